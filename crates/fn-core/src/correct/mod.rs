//! What to do about false negatives: one variant per correction, one file per formula.

mod hard;
mod hard_negatives;
mod label_smoothing;
mod soft;
mod synonym_target;

pub(crate) use hard::{denominator, kept_weight};
pub(crate) use hard_negatives::importance;
pub(crate) use label_smoothing::smoothing_excess;
pub(crate) use soft::word_distance;
pub(crate) use synonym_target::spread_excess;

use std::collections::BTreeMap;

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{CoreError, check_range};
use crate::sample::Prediction;

/// What a shielded loss is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// All masked rows: a shielded row counts as a row with loss 0. Learning rates stay comparable with the baseline.
    #[default]
    All,
    /// The rows that are kept: the remaining ones weigh more.
    Kept,
}

/// What soft regularisation compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Embeddings of the predicted and the gold word.
    #[default]
    Word,
    /// Pooled vectors of the sentence filled with predictions and the original one.
    Sentence,
}

/// What the masked-language-model loss does about false negatives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Correction {
    /// Nothing: the baseline.
    #[default]
    #[serde(deserialize_with = "no_settings")]
    None,
    /// Hard Correction: false negatives give no gradient.
    Hard {
        /// What the sum is divided by. Default `all`.
        #[serde(default)]
        normalise: Normalise,
    },
    /// Soft Regularisation: adds `lambda * mean(1 - cos)` between prediction and gold.
    Soft {
        /// Words (default) or sentences.
        #[serde(default)]
        level: Level,
        /// Which prediction is compared. Default `argmax`. With `argmax` and `sample` the distance reaches only rows of
        /// the embedding table; `expected` reaches the logits too.
        #[serde(default)]
        prediction: Prediction,
        /// Weight of the distance. Default 1.
        #[serde(default = "one")]
        lambda: f64,
    },
    /// The target keeps `1 - epsilon` and spreads epsilon over the whole vocabulary.
    LabelSmoothing {
        /// Mass that is spread. Default 0.1.
        #[serde(default = "tenth")]
        epsilon: f64,
    },
    /// The target keeps `1 - epsilon` and spreads epsilon evenly over the gold word's look-up set; a word without one keeps
    /// its whole target.
    SynonymTarget {
        /// Mass that is spread. Default 0.1.
        #[serde(default = "tenth")]
        epsilon: f64,
    },
    /// The control of Hard Correction: shields as many wrong predictions, picked at random.
    RandomShield {},
}

/// Refuses what stands beside such a `kind`; serde would pass over it.
fn no_settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match BTreeMap::<String, IgnoredAny>::deserialize(deserializer)?.into_keys().next() {
        Some(key) => Err(D::Error::custom(format!("unknown field `{key}`, this kind has no settings"))),
        None => Ok(()),
    }
}

fn one() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

impl Correction {
    /// Checks every range: lambda 0 to 1000, epsilon 0 to 1 (below 1).
    ///
    /// ```
    /// use fn_core::correct::Correction;
    /// let e = Correction::LabelSmoothing { epsilon: 1.5 }.validate().unwrap_err();
    /// assert_eq!(e.to_string(), "`epsilon` is 1.5, but must be between 0 and 0.999");
    /// ```
    pub fn validate(&self) -> Result<(), CoreError> {
        match self {
            Correction::None | Correction::Hard { .. } | Correction::RandomShield {} => Ok(()),
            Correction::Soft { lambda, .. } => check_range("lambda", *lambda, 0.0, 1e3),
            Correction::LabelSmoothing { epsilon } | Correction::SynonymTarget { epsilon } => {
                check_range("epsilon", *epsilon, 0.0, 0.999)
            }
        }
    }
}

/// What the replaced-token-detection loss does about replacements that are false negatives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DiscriminatorCorrection {
    /// Nothing: they are called replaced.
    #[default]
    #[serde(deserialize_with = "no_settings")]
    None,
    /// They are left out of the loss.
    #[serde(deserialize_with = "no_settings")]
    Drop,
    /// They are called original.
    #[serde(deserialize_with = "no_settings")]
    Relabel,
    /// Those that the judge finds as right as the original are called original, the others are left out. With a judge that
    /// does not tell (a lexicon) it is `drop`.
    #[serde(deserialize_with = "no_settings")]
    Banded,
    /// Soft Regularisation: adds `lambda * mean(1 - cos)` between the embeddings of replacement and original.
    Soft {
        /// Weight of the distance, beside (not within) the discriminator's weight. Default 1.
        #[serde(default = "one")]
        lambda: f64,
    },
}

impl DiscriminatorCorrection {
    /// Checks the range of lambda: 0 to 1000.
    pub fn validate(&self) -> Result<(), CoreError> {
        match self {
            DiscriminatorCorrection::Soft { lambda } => check_range("lambda", *lambda, 0.0, 1e3),
            DiscriminatorCorrection::None
            | DiscriminatorCorrection::Drop
            | DiscriminatorCorrection::Banded
            | DiscriminatorCorrection::Relabel => Ok(()),
        }
    }
}
