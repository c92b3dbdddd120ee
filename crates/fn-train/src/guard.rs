//! Steps with non-finite gradients: they are skipped and counted, and after too many in a row training ends with an error.
//!
//! The optimiser makes no update if the gradient norm is NaN or infinite; this module limits how many such steps may follow
//! each other. Reports contain the actual value, neither smoothed nor replaced.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::optim::Update;

/// Counts of the non-finite steps of a run. Part of every checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardState {
    /// Steps skipped since the start of the run.
    pub skipped_total: u64,
    /// Number of skipped steps since the last finite one.
    pub consecutive: u32,
}

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The update was made.
    Apply,
    /// The update was skipped; training continues with the next batch.
    Skip,
}

/// Counts non-finite steps and decides when training has diverged.
#[derive(Debug, Clone)]
pub struct Guard {
    max_consecutive: u32,
    state: GuardState,
}

impl Guard {
    /// A guard that ends training after `max_consecutive` (at least 1) non-finite steps in a row.
    pub fn new(max_consecutive: u32, state: GuardState) -> Self {
        Self { max_consecutive: max_consecutive.max(1), state }
    }

    /// Registers step `step` (counted from 1). The error names the checkpoint `last_good`.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if this is the `max_consecutive`-th non-finite step in a row.
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

    /// The counts so far.
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
    fn a_finite_step_resets_the_consecutive_count_but_not_the_total() {
        let mut guard = Guard::new(3, GuardState::default());
        for _ in 0..5 {
            assert_eq!(guard.observe(1, &update(f64::NAN), None).unwrap(), Decision::Skip);
            assert_eq!(guard.observe(2, &update(f64::INFINITY), None).unwrap(), Decision::Skip);
            assert_eq!(guard.observe(3, &update(0.5), None).unwrap(), Decision::Apply);
        }
        assert_eq!(*guard.state(), GuardState { skipped_total: 10, consecutive: 0 });
    }

    #[test]
    fn too_many_in_a_row_are_an_error_that_names_step_value_and_checkpoint() {
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
    fn a_resumed_run_continues_the_consecutive_count() {
        let mut guard = Guard::new(10, GuardState { skipped_total: 9, consecutive: 9 });
        assert!(guard.observe(10, &update(f64::NAN), None).is_err());
    }
}
