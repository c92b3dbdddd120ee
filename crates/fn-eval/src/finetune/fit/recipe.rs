//! Hyper-parameters of fine-tuning.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::finetune::FinetuneError;

use fn_data::names::explained;
use fn_train::config::Dtype;
use fn_train::error::RangeError;
use fn_train::optim::AdamWConfig;

/// Hyper-parameters of fine-tuning. The defaults are those of google-research/electra for a small model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Epochs, above 0; need not be a whole number.
    pub epochs: f64,
    /// Batch size in examples, at least 1.
    pub batch: usize,
    /// Micro-batches into which a batch is divided, at least 1: one at a time is in memory. Several processes (MPI) divide them among
    /// themselves.
    pub micro_batches: usize,
    /// Peak learning rate of the head.
    pub lr: f64,
    /// Share of the steps with linear warm-up, 0 to 1; after it the rate decays linearly to 0.
    pub warmup: f64,
    /// Layer-wise decay: factor on the learning rate of each layer relative to the layer above it, above 0 to 1; 1 is the same
    /// rate for all layers.
    pub layer_decay: f64,
    /// Maximum sequence length, in tokens.
    pub length: usize,
    /// Train on each sentence pair in both orders (MRPC and STS-B in google-research/electra).
    pub double_pairs: bool,
    /// Early stopping: evaluate on the development set after each epoch, stop after this many epochs without an improvement,
    /// and keep the weights of the best epoch. 0: train to the end and keep the last weights.
    pub patience: u32,
    /// Floating-point type of matrix products; weights, accumulation and optimiser state stay in f32.
    pub dtype: Dtype,
    /// Settings of AdamW.
    pub optimizer: AdamWConfig,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 3.0,
            batch: 32,
            micro_batches: 1,
            lr: 3e-4,
            warmup: 0.1,
            layer_decay: 0.8,
            length: 128,
            double_pairs: false,
            patience: 0,
            dtype: Dtype::F32,
            optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        }
    }
}

impl Recipe {
    /// The defaults of the Trainer of Hugging Face transformers: a rate of 5e-5 for all layers, no warm-up, PyTorch's AdamW.
    pub fn transformers() -> Self {
        Self {
            lr: 5e-5,
            warmup: 0.0,
            layer_decay: 1.0,
            optimizer: AdamWConfig { epsilon: 1e-8, bias_correction: true, ..Self::default().optimizer },
            ..Self::default()
        }
    }

    /// Reads a recipe from a TOML file; keys that the file does not set have their defaults.
    ///
    /// # Errors
    /// A file that cannot be read or is not a valid recipe.
    pub fn open(path: &Path) -> Result<Self, FinetuneError> {
        let text = fn_core::files::read_to_string(path).map_err(FinetuneError::io(path, "read"))?;
        toml::from_str(&text).map_err(|error| FinetuneError::Recipe {
            path: path.to_owned(),
            message: explained(&error.to_string()),
        })
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        let above = |x: f64, most: f64| x > 0.0 && x <= most;
        RangeError::unless(above(self.epochs, 1e4), "epochs", self.epochs, "above 0 to 10,000")?;
        RangeError::unless(self.batch >= 1, "batch", self.batch as f64, "at least 1")?;
        let micro = self.micro_batches;
        RangeError::unless((1..=self.batch).contains(&micro), "micro_batches", micro as f64, "1 to `batch`")?;
        RangeError::unless(above(self.lr, 1.0), "lr", self.lr, "above 0 to 1")?;
        RangeError::unless((0.0..=1.0).contains(&self.warmup), "warmup", self.warmup, "0 to 1")?;
        RangeError::unless(above(self.layer_decay, 1.0), "layer_decay", self.layer_decay, "above 0 to 1")?;
        RangeError::unless(self.length >= 8, "length", self.length as f64, "at least 8")?;
        self.optimizer.validate()
    }

    /// Optimiser steps for so many examples: whole batches over all epochs.
    pub fn steps(&self, examples: usize) -> u64 {
        ((self.steps_of_epoch(examples) as f64 * self.epochs).round() as u64).max(1)
    }

    /// Steps of warm-up in a run of so many steps.
    pub fn warmup_steps(&self, steps: u64) -> u64 {
        (steps as f64 * self.warmup) as u64
    }

    /// Optimiser steps of one whole epoch.
    pub fn steps_of_epoch(&self, examples: usize) -> u64 {
        examples.div_ceil(self.batch.max(1)) as u64
    }
}
