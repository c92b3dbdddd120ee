//! `fnlm submit`: writes the zip file for the GLUE server.

use fn_eval::glue::submission::{Collected, Options, collect, write};

use super::support;
use crate::args::SubmitArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// Tasks without test predictions, predictions that do not cover their test set (3); an existing zip file (2).
pub fn run(args: &SubmitArgs) -> Result<Outcome, CliError> {
    support::may_write("--out", &args.out, args.write)?;
    let files = collect(&args.from, &mut |notice| match notice {
        Collected::Missing { folder, task } => term::note(
            false,
            &format!("warning: {}: no test predictions of {task}; was there a test set?", folder.display()),
        ),
        Collected::Found { folder, task, seed } => {
            term::note(args.common.quiet, &format!("{task}: seed {seed} of {}", folder.display()));
        }
    })?;
    let options = Options { partial: args.partial, overwrite: args.write.force };
    let report = write(&args.out, &files, &options).map_err(CliError::input_from)?;
    for warning in &report.warnings {
        term::note(false, &format!("warning: {warning}"));
    }
    let rows: usize = files.iter().map(|(_, records)| records.len()).sum();
    term::note(
        args.common.quiet,
        &format!(
            "{} files with {} predictions in {}",
            files.len(),
            term::thousands(rows as u64),
            args.out.display()
        ),
    );
    Ok(Outcome::Done)
}
