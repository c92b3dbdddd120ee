//! `fnlm probe`: analyses the errors and embeddings of a pre-trained model, without fine-tuning.

mod embeddings;
mod false_negatives;
mod judge;
mod olmpics;
mod replaced;
mod substitution;

use std::path::{Path, PathBuf};

use fn_study::probe::Prober;

use super::support;
use crate::args::ProbeCommand;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// Files that cannot be read (3), arguments that fit nothing (2), a signal (128 + n).
pub fn run(command: &ProbeCommand) -> Result<Outcome, CliError> {
    match command {
        ProbeCommand::FalseNegatives(args) => false_negatives::run(args),
        ProbeCommand::Olmpics(args) => olmpics::run(args),
        ProbeCommand::Embeddings(args) => embeddings::run(args),
        ProbeCommand::Substitution(args) => substitution::run(args),
        ProbeCommand::Judge(args) => judge::run(args),
        ProbeCommand::Replaced(args) => replaced::run(args),
    }
}

/// A model with a head of pre-training, on a device.
///
/// # Errors
/// A model or tokenizer that cannot be read (3), a device that is not there (2).
pub fn prober(
    model: &Path,
    tokenizer: Option<&PathBuf>,
    device: &str,
    quiet: bool,
) -> Result<Prober, CliError> {
    let tokenizer = support::tokenizer_of(model, tokenizer.map(PathBuf::as_path))?;
    let (prober, report) = Prober::load(model, tokenizer, &device::open(device)?)?;
    term::note(quiet || report.missing.is_empty(), &report.to_string());
    Ok(prober)
}
