//! Non-finite steps: skip and count, then give up with a clear error.
//!
//! A gradient that is NaN or infinite makes the optimiser leave weights and moments alone; this module decides how long
//! that may go on. The value that happened is what is reported: nothing here smooths, averages or replaces it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::optim::Update;

/// What a run remembers about its non-finite steps. Part of every checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardState {
    /// Steps skipped since the start of the run.
    pub skipped_total: u64,
    /// Steps skipped in a row, up to now.
    pub consecutive: u32,
}

/// What to do with the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The update was made.
    Apply,
    /// The update was left out; go on with the next batch.
    Skip,
}

/// Watches for non-finite steps.
#[derive(Debug, Clone)]
pub struct Guard {
    max_consecutive: u32,
    state: GuardState,
}

impl Guard {
    /// Gives up after `max_consecutive` non-finite steps in a row (at least 1).
    pub fn new(max_consecutive: u32, state: GuardState) -> Self {
        Self { max_consecutive: max_consecutive.max(1), state }
    }

    /// Takes note of step `step` (counted from 1). `last_good` is named in the error.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] when this was the last non-finite step that may happen in a row.
    pub fn observe(
        &mut self,
        step: u64,
        update: &Update,
        last_good: Option<&Path>,
    ) -> Result<Decision, TrainError> {
        if update.finite {
            self.state.consecutive = 0;
            return Ok(Decision::Apply);
        }
        self.state.skipped_total += 1;
        self.state.consecutive = self.state.consecutive.saturating_add(1);
        if self.state.consecutive >= self.max_consecutive {
            return Err(TrainError::Diverged {
                step,
                consecutive: self.state.consecutive,
                value: update.grad_norm,
                last_good: last_good.map(Path::to_owned),
            });
        }
        Ok(Decision::Skip)
    }

    /// What has been seen so far.
    pub fn state(&self) -> &GuardState {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(grad_norm: f64) -> Update {
        Update { grad_norm, finite: grad_norm.is_finite(), clipped: false }
    }

    #[test]
    fn finite_steps_are_applied() {
        let mut guard = Guard::new(3, GuardState::default());
        assert_eq!(guard.observe(1, &update(1.0), None).unwrap(), Decision::Apply);
        assert_eq!(*guard.state(), GuardState::default());
    }

    #[test]
    fn a_finite_step_ends_a_row_but_not_the_count() {
        let mut guard = Guard::new(3, GuardState::default());
        for _ in 0..5 {
            assert_eq!(guard.observe(1, &update(f64::NAN), None).unwrap(), Decision::Skip);
            assert_eq!(guard.observe(2, &update(f64::INFINITY), None).unwrap(), Decision::Skip);
            assert_eq!(guard.observe(3, &update(0.5), None).unwrap(), Decision::Apply);
        }
        assert_eq!(*guard.state(), GuardState { skipped_total: 10, consecutive: 0 });
    }

    #[test]
    fn the_row_ends_with_an_error_that_names_step_value_and_checkpoint() {
        let mut guard = Guard::new(2, GuardState::default());
        guard.observe(7, &update(f64::NAN), None).unwrap();
        let error =
            guard.observe(8, &update(f64::INFINITY), Some(Path::new("run/step-00000005"))).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TrainError::Diverged { step: 8, consecutive: 2, .. }));
        assert!(
            text.contains("step 8") && text.contains("inf") && text.contains("run/step-00000005"),
            "{text}"
        );
    }

    #[test]
    fn a_resumed_run_has_no_more_patience_than_the_uninterrupted_one() {
        let mut guard = Guard::new(10, GuardState { skipped_total: 9, consecutive: 9 });
        assert!(guard.observe(10, &update(f64::NAN), None).is_err());
    }
}
