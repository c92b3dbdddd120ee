//! The time of steps.

use std::time::Instant;

/// Wall time in steps, without evaluations and saves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Start of the current step.
    pub(super) began: Instant,
    /// Seconds that the current step waited for data.
    pub(super) waited: f64,
    pub(super) steps: u64,
    pub(super) seconds: f64,
    /// Seconds of the first step, in which memory is allocated and kernels are tuned.
    pub(super) first: f64,
}

impl Clock {
    /// Ends the timing of the current step and returns its seconds.
    pub(super) fn end_step(&mut self) -> f64 {
        let seconds = self.began.elapsed().as_secs_f64();
        self.steps += 1;
        self.seconds += seconds;
        if self.steps == 1 {
            self.first = seconds;
        }
        seconds
    }
}
