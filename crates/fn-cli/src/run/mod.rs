//! One module per command: nothing but wiring and printing.

pub mod bench;
pub mod completions;
pub mod config;
pub mod data;
pub mod doctor;
pub mod export;
pub mod finetune;
pub mod glue;
pub mod import;
pub mod inspect;
pub mod lexicon;
pub mod predict;
pub mod pretrain;
pub mod probe;
pub mod quickstart;
pub mod report;
pub mod robust;
pub mod score;
pub mod squad;
pub mod study;
pub mod submit;
pub mod support;
pub mod tokenizer;
mod truth;

use crate::args::{Command, TokenizerCommand};
use crate::error::CliError;
pub use crate::error::Outcome;

/// Runs a command.
///
/// # Errors
/// See [`CliError`]; its [`CliError::code`] is the exit code.
pub fn run(command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Tokenizer(TokenizerCommand::Train(args)) => tokenizer::train(&args),
        Command::Data(command) => data::run(&command),
        Command::Lexicon(command) => lexicon::run(&command),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Finetune(args) => finetune::run(&args),
        Command::Glue(args) => glue::run(&args),
        Command::Squad(args) => squad::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Robust(args) => robust::run(&args),
        Command::Submit(args) => submit::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Probe(command) => probe::run(&command),
        Command::Study(command) => study::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Completions(args) => completions::completions(&args),
        Command::HelpAll => completions::help_all(),
    }
}
