//! One module per command; each only wires library functions and prints.

pub mod babylm;
pub mod bench;
pub mod completions;
pub mod config;
pub mod data;
pub mod doctor;
mod dose;
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

use clap::Subcommand;

use crate::args::{
    BabylmArgs, BenchArgs, CompletionsArgs, ConfigCommand, DataCommand, DoctorArgs, ExportArgs, FinetuneArgs,
    Flags, GlueArgs, HelpAllArgs, ImportArgs, InspectArgs, LexiconCommand, ManArgs, PredictArgs,
    PretrainArgs, ProbeCommand, QuickstartArgs, ReportArgs, RobustArgs, ScoreArgs, SquadArgs, StudyCommand,
    SubmitArgs, TokenizerCommand,
};
use crate::error::CliError;
pub use crate::error::Outcome;

/// Each command in one line: its help, its arguments, the function that runs it.
macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident($args:ty) => $run:path,)+) => {
        /// The commands.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$meta])* $name($args),)+
        }

        /// Runs a command.
        ///
        /// # Errors
        /// See [`CliError`]; its [`CliError::code`] is the exit code.
        pub fn run(command: &Command) -> Result<Outcome, CliError> {
            match command {
                $(Command::$name(args) => $run(args),)+
            }
        }

        impl Command {
            /// The options that are read before the command runs.
            pub fn flags(&self) -> &dyn Flags {
                match self {
                    $(Self::$name(args) => args,)+
                }
            }
        }
    };
}

commands! {
    /// Pre-train a tiny model three times on generated text and print a table.
    Quickstart(QuickstartArgs) => quickstart::run,
    /// Test what works on this machine: backends, threads, disk.
    Doctor(DoctorArgs) => doctor::run,
    /// Train a tokenizer.
    #[command(subcommand)]
    Tokenizer(TokenizerCommand) => tokenizer::run,
    /// Tokenise and pack text, inspect it, measure how fast it is read.
    #[command(subcommand)]
    Data(DataCommand) => data::run,
    /// Build and inspect lexicons: the look-up sets V(w).
    #[command(subcommand)]
    Lexicon(LexiconCommand) => lexicon::run,
    /// Pre-train a BERT, a RoBERTa or an ELECTRA.
    Pretrain(PretrainArgs) => pretrain::run,
    /// Show what a model predicts, and which predictions are false negatives.
    Inspect(InspectArgs) => inspect::run,
    /// Write a checkpoint as a Hugging Face folder.
    Export(ExportArgs) => export::run,
    /// Read any BERT, RoBERTa or ELECTRA in the Hugging Face layout, list its contents, and convert it.
    Import(ImportArgs) => import::run,
    /// Fine-tune an encoder on a task and evaluate it, with several seeds.
    Finetune(FinetuneArgs) => finetune::run,
    /// Fine-tune an encoder on all tasks of GLUE whose files are there: one table, one average.
    Glue(GlueArgs) => glue::run,
    /// Fine-tune an encoder on SQuAD 1.1 or 2.0.
    Squad(SquadArgs) => squad::run,
    /// Predict with a fine-tuned model: a test set, a file, or a sentence.
    Predict(PredictArgs) => predict::run,
    /// Score a file of predictions, or compare two.
    Score(ScoreArgs) => score::run,
    /// Measure how much the score of a fine-tuned model drops on perturbed copies of a development set.
    Robust(RobustArgs) => robust::run,
    /// Write the zip file that the GLUE server accepts.
    Submit(SubmitArgs) => submit::run,
    /// Compare runs: a table of their last metrics, and curves.
    Report(ReportArgs) => report::run,
    /// Analyse the errors and embeddings of a model.
    #[command(subcommand)]
    Probe(ProbeCommand) => probe::run,
    /// Measure a pre-trained model on pairs of sentences: BLiMP and the supplement of the BabyLM challenge.
    Babylm(BabylmArgs) => babylm::run,
    /// Run the arms of a study with several seeds, and test whether their difference is significant.
    #[command(subcommand)]
    Study(StudyCommand) => study::run,
    /// Measure how fast this machine pre-trains.
    Bench(BenchArgs) => bench::run,
    /// Show, check and create configurations.
    #[command(subcommand)]
    Config(ConfigCommand) => config::run,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs) => completions::completions,
    /// Write manual pages for `man`, one for each command.
    Man(ManArgs) => completions::man,
    /// Print the help of every command.
    #[command(hide = true)]
    HelpAll(HelpAllArgs) => completions::help_all,
}
