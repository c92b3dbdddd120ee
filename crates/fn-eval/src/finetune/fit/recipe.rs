//! How an encoder is fine-tuned.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::finetune::FinetuneError;

use fn_train::config::Dtype;
use fn_train::error::RangeError;
use fn_train::optim::AdamWConfig;

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
    /// Share of the steps in which the rate rises, 0 to 1; then it falls to 0 in a line.
    pub warmup: f64,
    /// Each layer learns this much slower than the one above it, above 0 to 1; 1 is one rate for all.
    pub layer_decay: f64,
    /// Longest sequence, in ids.
    pub length: usize,
    /// Train on each pair in both orders (MRPC and STS-B in google-research/electra).
    pub double_pairs: bool,
    /// Measure on the development set after each epoch, end when so many epochs brought nothing, and keep the best epoch's
    /// weights. 0: train to the end and keep the last ones.
    pub patience: u32,
    /// Number format of matrix products; weights, sums and optimiser stay in f32.
    pub dtype: Dtype,
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
            double_pairs: false,
            patience: 0,
            dtype: Dtype::F32,
            optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        }
    }
}

impl Recipe {
    /// The defaults of transformers' Trainer: one rate of 5e-5 for all layers, no warm-up, PyTorch's AdamW.
    pub fn transformers() -> Self {
        Self {
            lr: 5e-5,
            warmup: 0.0,
            layer_decay: 1.0,
            optimizer: AdamWConfig { epsilon: 1e-8, bias_correction: true, ..Self::default().optimizer },
            ..Self::default()
        }
    }

    /// Reads one from a TOML file; what the file does not name has its default.
    ///
    /// # Errors
    /// A file that cannot be read or is no recipe.
    pub fn open(path: &Path) -> Result<Self, FinetuneError> {
        let text = std::fs::read_to_string(path).map_err(FinetuneError::io(path, "read"))?;
        let damaged = |error: toml::de::Error| FinetuneError::Damaged {
            path: path.to_owned(),
            message: error.to_string(),
        };
        toml::from_str(&text).map_err(damaged)
    }

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
        ((self.steps_of_epoch(examples) as f64 * self.epochs).round() as u64).max(1)
    }

    /// Steps of a whole epoch.
    pub fn steps_of_epoch(&self, examples: usize) -> u64 {
        examples.div_ceil(self.batch.max(1)) as u64
    }
}
