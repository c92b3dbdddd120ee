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
pub mod device;
pub mod error;
pub mod progress;
pub mod run;
pub mod term;

use std::ffi::OsString;

use clap::Parser;

use crate::args::Cli;
pub use fn_train::config;

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
    let config = match cli.command.config().map(|config| config.resolve()).transpose() {
        Ok(config) => config,
        Err(error) => {
            term::print_error(&error, common.verbose);
            return error.code();
        }
    };
    let threads = cli.command.typed_threads().or(config.and_then(|config| config.train.threads));
    match device::on_pool(threads, || run::run(cli.command)) {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            term::print_error(&error, common.verbose);
            error.code()
        }
    }
}
