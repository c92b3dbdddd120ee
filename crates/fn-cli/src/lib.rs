//! The command line of true-negatives: arguments, wiring, printing, and nothing else.
//!
//! [`start`] is the whole program: it parses the arguments, runs one module of [`run`], prints an error if there is one, and returns the
//! exit code. The options that describe a configuration become [`fn_train::config::Layers`], which are resolved and checked once,
//! before anything else is read.
//!
//! ```
//! let code = fn_cli::start(["fnlm", "config", "list"].map(Into::into));
//! assert_eq!(code, 0);
//! ```
#![deny(missing_docs)]

pub mod allocator;
pub mod args;
pub mod device;
pub mod error;
pub mod progress;
pub mod run;
pub mod term;

use std::ffi::OsString;

use clap::Parser;

use fn_study::process::{self, Ended, Record};
use fn_train::collective;

use crate::args::{Cli, DataCommand, StudyCommand};
use crate::error::{CliError, Outcome};
use crate::run::Command;

/// Runs `fnlm` with these arguments (the program's name first) and returns the exit code.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of clap with code 0; true ones have code 2, as ours.
            if let Err(failed) = error.print()
                && failed.kind() != std::io::ErrorKind::BrokenPipe
            {
                return CliError::failed_from(failed).code();
            }
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    // A judge for generated languages, which a configuration may name.
    fn_study::dose::SetQuality::register();
    let flags = cli.command.flags();
    let common = flags.common().cloned().unwrap_or_default();
    term::log(common.verbose);
    if !common.quiet {
        term::show_loops();
    }
    // Resolved and checked here, before anything else is read, and kept in the command's arguments.
    let resolved = || flags.config().map(|config| config.resolve()).transpose();
    let mut ended = match one_process(&cli.command).and_then(|()| resolved()) {
        Ok(config) => {
            let threads = flags.threads().or(config.and_then(|config| config.train.threads));
            let threads = threads.or_else(collective::threads);
            device::on_pool(threads, || run::run(&cli.command))
        }
        Err(error) => Err(error),
    };
    if let Some(path) = &common.record
        && let Err(error) = process::append(path, &Record::Ended(record_of(&ended)))
    {
        ended = ended.and(Err(error.into()));
    }
    match ended {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            term::print_error(&error, common.verbose);
            error.code()
        }
    }
}

/// Refuses several processes of a command that is not made for them.
fn one_process(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Pretrain(_) | Command::Finetune(_) | Command::Squad(_) | Command::Glue(_) => Ok(()),
        Command::Data(DataCommand::Prepare(_)) | Command::Study(StudyCommand::Run(_)) => Ok(()),
        Command::Bench(args) if args.world => Ok(()),
        _ => Ok(collective::one_process()?),
    }
}

/// How a command ended, for the program that started this one.
fn record_of(ended: &Result<Outcome, CliError>) -> Ended {
    match ended {
        Ok(Outcome::Done) => Ended::Done,
        Ok(Outcome::Stopped { saved }) => Ended::Stopped { saved: *saved },
        Err(CliError::Interrupted(_)) => Ended::Stopped { saved: false },
        Err(error) => {
            Ended::Failed { message: error.to_string(), usage: matches!(error, CliError::Usage(_)) }
        }
    }
}
