//! What a run must remember beside weights and moments.

use serde::{Deserialize, Serialize};

use crate::guard::GuardState;
use crate::training_loop::Score;

/// Where a run stands. Together with weights and moments this is everything: noise is a function of (seed, step).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Optimiser steps attempted, skipped ones included. The schedule's position.
    pub step: u64,
    /// Micro-batches taken from the loader. The data's position.
    pub micro_step: u64,
    /// The run's seed.
    pub seed: u64,
    /// Updates made: `step` less the skipped ones.
    pub optimizer_updates: u64,
    /// Non-finite steps seen.
    pub guard: GuardState,
    /// Step of the last complete held-out measurement; 0 before the first.
    #[serde(default)]
    pub evaluated_step: u64,
    /// The best held-out measurement so far.
    pub best: Option<Best>,
    /// Tokens trained on, without padding.
    pub tokens_seen: u64,
}

impl TrainState {
    /// The start of a run.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Remembers `score`, an evaluation after this step, if it is the best so far of its metric.
    pub(crate) fn note_best(&mut self, score: Score) {
        let Score { metric, value, lower_is_better } = score;
        let better = |old: f64| if lower_is_better { value < old } else { value > old };
        let is_best = self.best.as_ref().is_none_or(|best| best.metric != metric || better(best.value));
        if value.is_finite() && is_best {
            self.best = Some(Best { step: self.step, metric, value });
        }
    }
}

/// The best held-out measurement so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Steps done when it was measured.
    pub step: u64,
    /// Name of the metric.
    pub metric: String,
    /// Its value; finite.
    pub value: f64,
}
