//! The loop: batches, loss, one update each, with ELECTRA's layer-wise learning rates.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_core::noise::{Use, mix};
use fn_data::task::features::Buckets;
use fn_models::task::depth;
use fn_ops::Noise;
use serde::{Deserialize, Serialize};

use crate::error::{RangeError, TrainError};
use crate::guard::{Guard, GuardState};
use crate::optim::{AdamW, AdamWConfig, Gradients, Groups};
use crate::schedule::{ScheduleConfig, ScheduleKind};
use crate::stop::Stop;

/// Non-finite steps in a row after which a run gives up.
const PATIENCE: u32 = 10;

/// How an encoder is fine-tuned. The defaults are those of google-research/electra for a small model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Passes over the examples, above 0.
    pub epochs: f64,
    /// Examples of a step, at least 1.
    pub batch: usize,
    /// Highest learning rate, of the head.
    pub lr: f64,
    /// Share of the steps in which the rate rises, 0 to 1.
    pub warmup: f64,
    /// Each layer learns this much slower than the one above it, above 0 to 1; 1 is one rate for all.
    pub layer_decay: f64,
    /// Longest sequence, in ids.
    pub length: usize,
    /// AdamW.
    pub optimizer: AdamWConfig,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 3.0,
            batch: 32,
            lr: 3e-4,
            warmup: 0.1,
            layer_decay: 0.8,
            length: 128,
            optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        }
    }
}

impl Recipe {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        let above = |x: f64, most: f64| x > 0.0 && x <= most;
        RangeError::unless(above(self.epochs, 1e4), "epochs", self.epochs, "above 0 to 10,000")?;
        RangeError::unless(self.batch >= 1, "batch", self.batch as f64, "at least 1")?;
        RangeError::unless(above(self.lr, 1.0), "lr", self.lr, "above 0 to 1")?;
        RangeError::unless((0.0..=1.0).contains(&self.warmup), "warmup", self.warmup, "0 to 1")?;
        RangeError::unless(above(self.layer_decay, 1.0), "layer_decay", self.layer_decay, "above 0 to 1")?;
        RangeError::unless(self.length >= 8, "length", self.length as f64, "at least 8")?;
        self.optimizer.validate()
    }

    /// Steps over so many examples: whole batches of all epochs.
    pub fn steps(&self, examples: usize) -> u64 {
        let each = examples.div_ceil(self.batch.max(1)) as f64;
        ((each * self.epochs).round() as u64).max(1)
    }
}

/// What a step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Counted from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Its loss.
    pub loss: f64,
    /// Examples since the start, per second.
    pub examples_per_second: f64,
}

/// Trains to the end; None when a stop was asked for meanwhile. `loss` computes the mean loss of the chosen examples.
///
/// # Errors
/// [`TrainError::Diverged`] when the gradient stays non-finite; a recipe out of range; no examples.
pub fn fit<M: Module>(
    mut model: M,
    layers: usize,
    recipe: &Recipe,
    seed: u64,
    lengths: &[usize],
    device: &Device,
    stop: &Stop,
    loss: &dyn Fn(&M, &[usize], &Noise) -> Tensor<1>,
    on_step: &mut dyn FnMut(Step),
) -> Result<Option<M>, TrainError> {
    recipe.validate()?;
    RangeError::unless(!lengths.is_empty(), "examples", 0.0, "at least 1")?;
    let buckets = Buckets::new(seed, recipe.batch)?;
    let steps = recipe.steps(lengths.len());
    let schedule = ScheduleConfig {
        kind: ScheduleKind::Linear,
        lr: recipe.lr,
        warmup: (steps as f64 * recipe.warmup) as u64,
        total: steps,
        end_factor: 0.0,
    };
    let groups = Groups::layerwise(recipe.layer_decay, layers, move |path| depth(path, layers));
    let mut optimizer = AdamW::new(recipe.optimizer.clone(), groups);
    let mut guard = Guard::new(PATIENCE, GuardState::default());
    let clock = Instant::now();
    let (mut done, mut examples, mut epoch) = (0, 0usize, 0);
    while done < steps {
        for chosen in buckets.epoch(lengths, epoch) {
            if done == steps {
                break;
            }
            if stop.requested() {
                return Ok(None);
            }
            let seeds = mix(&[seed, done, Use::Dropout as u64]);
            device.seed(seeds);
            let value = loss(&model, &chosen, &Noise::new(seeds));
            let gradients = Gradients::from_backward(&model, value.backward());
            let update;
            (model, update) = optimizer.step(model, gradients, schedule.at(done));
            done += 1;
            guard.observe(done, &update, None)?;
            examples += chosen.len();
            on_step(Step {
                step: done,
                steps,
                loss: f64::from(value.into_scalar::<f32>()),
                examples_per_second: examples as f64 / clock.elapsed().as_secs_f64().max(1e-9),
            });
        }
        epoch += 1;
    }
    Ok(Some(model))
}
