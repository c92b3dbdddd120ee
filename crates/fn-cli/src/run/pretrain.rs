//! `fnlm pretrain` (being written).

use crate::args::PretrainArgs;
use crate::error::{CliError, Outcome};

/// Runs it.
///
/// # Errors
/// Always, until it is written.
pub fn run(_args: &PretrainArgs) -> Result<Outcome, CliError> {
    Err(CliError::usage("pretrain is being written"))
}
