//! `fnlm quickstart` (being written).

use crate::args::QuickstartArgs;
use crate::error::{CliError, Outcome};

/// Runs it.
///
/// # Errors
/// Always, until it is written.
pub fn run(_args: &QuickstartArgs) -> Result<Outcome, CliError> {
    Err(CliError::usage("quickstart is being written"))
}
