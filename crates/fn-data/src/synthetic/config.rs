//! Configuration of synthetic pre-training, with the ranges of its numbers.

use fn_core::documented;
use serde::{Deserialize, Serialize};

/// The kind of synthetic sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyntheticKind {
    /// No synthetic sequences: text from the first step on.
    #[default]
    None,
    /// Brackets of `k` types, each type balanced, freely interleaved (k-Shuffle-Dyck).
    ShuffleDyck,
    /// The output of a random linear recurrent network.
    LinearRnn,
}

documented! {
    /// Pre-training on synthetic sequences before text.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct SyntheticConfig {
        /// Kind of the sequences: `none`, `shuffle-dyck` or `linear-rnn`.
        pub kind: SyntheticKind,
        /// Optimiser steps on synthetic sequences at the start of the run. Below `train.steps`; 0 with kind `none`.
        pub steps: u64,
        /// Types of brackets; the sequences have `2 k` symbols. 1 to 16,384. Default 64.
        pub k: usize,
        /// Probability of an opening bracket where both are possible, 0 to 1 (shuffle-dyck). Default 0.51.
        pub p: f64,
        /// The most brackets that are open at once, of all types together, 1 to 65,535 (shuffle-dyck). Default 8.
        pub depth: usize,
        /// Size of the hidden state, 1 to 256 (linear-rnn). Default 16.
        pub dim: usize,
    }
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self { kind: SyntheticKind::None, steps: 0, k: 64, p: 0.51, depth: 8, dim: 16 }
    }
}

/// Why synthetic sequences cannot be generated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A number is outside of its range.
    #[error("data.synthetic.{field} is {found}; it must be {expected}")]
    OutOfRange {
        /// The field of [`SyntheticConfig`].
        field: &'static str,
        /// Its value.
        found: String,
        /// The allowed range.
        expected: &'static str,
    },
    /// The vocabulary has too few pieces that are not special tokens.
    #[error(
        "data.synthetic.k = {k} needs {needed} pieces that are not special, the vocabulary has {found}; set data.synthetic.k to \
         {most} or less"
    )]
    VocabularyTooSmall {
        /// The configured number of bracket types.
        k: usize,
        /// Number of symbols that are needed.
        needed: usize,
        /// Number of pieces that are not special tokens.
        found: usize,
        /// The largest possible `k`.
        most: usize,
    },
}

impl SyntheticConfig {
    /// Checks every range but that of `steps`, which depends on the length of the run.
    ///
    /// # Errors
    /// [`SyntheticError::OutOfRange`] names the field.
    pub fn validate(&self) -> Result<(), SyntheticError> {
        let check = |good: bool, field, found: String, expected| {
            if good { Ok(()) } else { Err(SyntheticError::OutOfRange { field, found, expected }) }
        };
        check((1..=16_384).contains(&self.k), "k", self.k.to_string(), "1 to 16384")?;
        check((0.0..=1.0).contains(&self.p), "p", self.p.to_string(), "0 to 1")?;
        check((1..=65_535).contains(&self.depth), "depth", self.depth.to_string(), "1 to 65535")?;
        check((1..=256).contains(&self.dim), "dim", self.dim.to_string(), "1 to 256")
    }
}
