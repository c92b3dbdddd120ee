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

use crate::args::Cli;
use crate::error::{CliError, Outcome};

/// Runs `fnlm` with these arguments (the program's name first) and returns the exit code.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of clap with code 0; true ones have code 2, as ours.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let common = cli.command.common().cloned().unwrap_or_default();
    term::log(common.verbose);
    // Resolved and checked here, before anything else is read, and kept in the command's arguments.
    let mut ended = match cli.command.config().map(|config| config.resolve()).transpose() {
        Ok(config) => {
            name_backend(cli.command.typed_device().or(config.map(|config| config.train.device.as_str())));
            let threads = cli.command.typed_threads().or(config.and_then(|config| config.train.threads));
            device::on_pool(threads, || run::run(cli.command))
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

/// Burn asks `BURN_DEVICE` wherever nobody hands it a device, and takes the most powerful backend compiled in otherwise,
/// which need not work on this machine. Set before there is any second thread.
fn name_backend(spec: Option<&str>) {
    if std::env::var_os("BURN_DEVICE").is_some() {
        return;
    }
    let Some(Ok(spec)) = spec.map(str::parse::<device::DeviceSpec>) else {
        return;
    };
    if spec.backend.compiled() {
        // SAFETY: first thing after parsing; no other thread has been started that could read the environment.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var("BURN_DEVICE", spec.backend.name());
        }
    }
}
