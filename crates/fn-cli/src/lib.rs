//! The command line of true-negatives: arguments, wiring, printing, and nothing else.
//!
//! [`start`] is the whole program: it parses, runs one module of [`run`], prints an error if there is one, and answers with
//! the exit code. The decision that shapes the crate: **what was typed and what is meant are two types**. [`args`] holds the
//! first; [`config`] merges preset, file and flags into [`fn_train::config::RunConfig`] and remembers where each value
//! came from, so that an error can name the line and `fnlm config show` can name the source.
//!
//! ```
//! let code = fn_cli::start(["fnlm", "config", "list"].map(Into::into));
//! assert_eq!(code, 0);
//! ```
#![deny(missing_docs)]

pub mod allocator;
pub mod args;
pub mod card;
pub mod config;
pub mod device;
pub mod error;
pub mod progress;
pub mod run;
pub mod rundir;
pub mod term;

use std::ffi::OsString;

use clap::Parser;

use crate::args::Cli;

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
    // Wrong configurations are reported by the command itself.
    let train = cli.command.config().and_then(|config| config.resolve().ok()).map(|found| found.run.train);
    let threads = cli.command.typed_threads().or(train.and_then(|train| train.threads));
    let common = cli.command.common().cloned().unwrap_or_default();
    term::log(common.verbose);
    match device::on_pool(threads, || run::run(cli.command)) {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            term::print_error(&error, common.verbose);
            error.code()
        }
    }
}
