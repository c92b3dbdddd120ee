//! Restores that forget something, for tests only: they must be noticed.
//!
//! The environment variable `FNLM_FORGET` names one thing that a resumed run then does not take from its checkpoint:
//! `position` (of the data), `moments`, `step` (and with it the schedule) or `noise`. `FNLM_PAUSE_OPEN` holds milliseconds that
//! opening a session takes longer, so that a test can send a signal in that time.

use crate::NamedTensor;
use crate::checkpoint::TrainState;

/// Forgets what `FNLM_FORGET` names; gives the seed of the noise.
pub(crate) fn forget(state: &mut TrainState, moments: &mut [NamedTensor]) -> u64 {
    match std::env::var("FNLM_FORGET").as_deref() {
        Ok("position") => state.micro_step = 0,
        Ok("moments") => moments.iter_mut().for_each(|t| t.data.fill(0.0)),
        Ok("step") => state.step = 0,
        Ok("noise") => return !state.seed,
        _ => {}
    }
    state.seed
}

/// Waits as long as `FNLM_PAUSE_OPEN` says.
pub(crate) fn pause_open() {
    if let Some(ms) = std::env::var("FNLM_PAUSE_OPEN").ok().and_then(|ms| ms.parse().ok()) {
        std::thread::sleep(std::time::Duration::from_millis(ms));
    }
}
