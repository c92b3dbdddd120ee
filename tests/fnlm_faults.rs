//! `fnlm` with fault injection for tests, controlled by environment variables. It is built with the feature `faults`, which
//! only tests enable; `fnlm` itself reads none of these variables.
//!
//! | variable | fault |
//! |---|---|
//! | `FNLM_FORGET` | the part of a checkpoint that a resumed run does not restore: [`Forget`](fn_train::faults::Forget) |
//! | `FNLM_PAUSE_OPEN` | additional milliseconds that opening a session takes |
//! | `FNLM_POISON` | values that become non-finite: [`Poison`](fn_train::faults::Poison) |
//! | `FNLM_FAIL_POINT` | file operations of a save that fail: [`FailPoints`](fn_train::faults::FailPoints) |

use std::env::VarError;
use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use fn_train::faults::Faults;

/// The value of a variable, if it is set.
fn variable<T: FromStr<Err: Display>>(name: &str) -> Result<Option<T>, String> {
    match std::env::var(name) {
        Ok(text) => text.parse().map(Some).map_err(|error| format!("{name}: {error}")),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

fn faults() -> Result<Faults, String> {
    Ok(Faults {
        forget: variable("FNLM_FORGET")?,
        pause_open: Duration::from_millis(variable("FNLM_PAUSE_OPEN")?.unwrap_or(0)),
        poison: variable("FNLM_POISON")?,
        fail_points: variable("FNLM_FAIL_POINT")?.unwrap_or_default(),
    })
}

fn main() -> ExitCode {
    match faults() {
        Ok(faults) => faults.install(),
        Err(error) => {
            eprintln!("fnlm-faults: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::from(fn_cli::start(std::env::args_os()))
}
