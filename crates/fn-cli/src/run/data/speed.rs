//! `fnlm data speed`: does reading keep up with the device?

use fn_study::process::{self, Record};
use fn_study::reading::ReadingSpeed;
use fn_train::config::RunConfig;

use super::preparing;
use crate::args::DataSpeedArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Prepares the training text where that has not been done, and takes batches of it as training would.
///
/// # Errors
/// Text or tokenizers that cannot be read (3), a full disk (5), a signal (128+n).
pub fn run(args: &DataSpeedArgs) -> Result<Outcome, CliError> {
    if args.batches == 0 {
        return Err(CliError::usage("--batches must be at least 1"));
    }
    let resolved = args.config.resolve()?;
    resolved.require_text()?;
    let run: &RunConfig = resolved;
    let stop = support::interruptible()?;
    let tokenizer = support::tokenizer(&run.data.tokenizer)?;
    let mut show = preparing(args.common.quiet);
    let measured = ReadingSpeed::measure(run, &tokenizer, args.batches, &mut show, &stop);
    drop(show);
    let speed = measured.map_err(|error| match stop.requested() {
        true => support::interrupted(&stop),
        false => error.into(),
    })?;
    if let Some(record) = &args.common.record {
        process::append(record, &Record::Reading(speed.reading()))?;
    }
    term::out(&if args.json { format!("{:#}\n", speed.json()) } else { speed.text() })?;
    Ok(Outcome::Done)
}
