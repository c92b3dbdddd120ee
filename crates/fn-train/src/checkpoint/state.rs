//! The state of a run besides weights and optimiser state.

use serde::{Deserialize, Serialize};

use crate::guard::GuardState;
use crate::training_loop::Score;

/// Progress of a run. Together with weights and moments this is the whole state, because random numbers are functions of (seed,
/// step).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Optimiser steps, including those that were skipped because of non-finite gradients. Position in the schedule.
    pub step: u64,
    /// Micro-batches taken from the loader. Position in the data.
    pub micro_step: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Updates made: `step` minus skipped steps.
    pub optimizer_updates: u64,
    /// Counts of non-finite steps.
    pub guard: GuardState,
    /// Step of the last complete evaluation; 0 before the first.
    #[serde(default)]
    pub evaluated_step: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Tokens trained on, without padding.
    pub tokens_seen: u64,
}

impl TrainState {
    /// The state at the start of a run.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Stores `score`, an evaluation after this step, as [`TrainState::best`] if it is better than the best so far by the same
    /// metric.
    pub(crate) fn note_best(&mut self, score: Score) {
        let Score { metric, value, lower_is_better } = score;
        let better = |old: f64| if lower_is_better { value < old } else { value > old };
        let is_best = self.best.as_ref().is_none_or(|best| best.metric != metric || better(best.value));
        if value.is_finite() && is_best {
            self.best = Some(Best { step: self.step, metric, value });
        }
    }
}

/// The best evaluation so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Step of the evaluation.
    pub step: u64,
    /// Name of the metric.
    pub metric: String,
    /// Value of the metric; finite.
    pub value: f64,
}
