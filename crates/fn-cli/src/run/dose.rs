//! `fnlm study dose`: what a correction gains by how many replacements fit and by how good its judge is.

use fn_study::dose::{Dose, Record, report};

use super::support;
use crate::args::StudyDoseArgs;
use crate::device;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs what is missing, then writes figure and values and prints the tables.
///
/// # Errors
/// A share that no language has, a folder of other runs (2), a run that fails (1).
pub fn run(args: &StudyDoseArgs) -> Result<Outcome, CliError> {
    let device = device::open_spec(&args.device.parse()?)?;
    let dose = Dose {
        out: &args.out,
        shares: &args.shares,
        seeds: args.seeds,
        steps: args.steps,
        parts: &args.parts,
        device: &device,
        stop: &support::interruptible()?,
    };
    let (records, complete) = dose.run(&mut |made: usize, all: usize, record: &Record| {
        term::note(args.common.quiet, &format!("[{made}/{all}] {record}"));
    })?;
    if !complete {
        term::note(args.common.quiet, "stopped; the same command goes on from there");
        return Ok(Outcome::Stopped { saved: true });
    }
    let text = report(&records, &args.out)?;
    let json = || serde_json::to_string_pretty(&records).map_err(CliError::failed_from);
    term::out(&if args.json { json()? + "\n" } else { text })?;
    Ok(Outcome::Done)
}
