//! What a run must remember beside weights and moments.

use serde::{Deserialize, Serialize};

use crate::guard::GuardState;

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
    /// SHA-256 of the configuration that the run was started with, as hex.
    pub config_sha256: String,
}

impl TrainState {
    /// The start of a run.
    pub fn new(seed: u64, config_sha256: String) -> Self {
        Self { seed, config_sha256, ..Self::default() }
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
