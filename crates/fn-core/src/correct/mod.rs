//! What the masked-language-model loss does about false negatives: one file per correction, with its configuration.
//!
//! A [`Correction`] is made once from its configuration and owns what it needs (a lexicon, say), so what is missing is an error when
//! it is made. For each batch it gets the logits, the predictions and the [`Verdict`], and says how the loss changes:
//! weights of positions, changes of targets, further terms. [`detection`] holds the counterparts for the discriminator, [`registry`] the
//! names by which a configuration finds a correction, those of other crates included.

pub mod detection;
mod hard;
mod hard_negatives;
mod kind;
mod label_smoothing;
mod prediction_target;
mod random_shield;
pub mod registry;
mod rows;
mod soft;
mod synonym_target;
pub mod tagged;
mod verifier_target;
mod weight;

pub use hard::{Hard, HardConfig};
pub(crate) use hard_negatives::importance;
pub use kind::CorrectionKind;
pub use label_smoothing::{LabelSmoothing, LabelSmoothingConfig};
pub use prediction_target::{PredictionTarget, PredictionTargetConfig};
pub use random_shield::RandomShield;
pub use registry::Resources;
pub use rows::Rows;
pub use soft::{Level, Soft, SoftConfig};
pub use synonym_target::{SynonymTarget, SynonymTargetConfig};
pub use verifier_target::{VerifierTarget, VerifierTargetConfig};
pub use weight::{Weight, WeightConfig};

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::batch::{Predictions, guarded};
use crate::judge::Verdict;
use crate::student::Student;

/// What a corrected loss is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// All masked positions: one that was left out counts with loss 0. Learning rates stay comparable with the baseline.
    #[default]
    All,
    /// The positions that are kept: the remaining ones weigh more. Only known after the forward pass, so it needs steps of a single
    /// micro-batch.
    Kept,
}

impl Normalise {
    /// `N`, never 0: with every position left out (or none at all) the loss is 0 / 1.
    pub(crate) fn denominator(self, weight: Tensor<1>, kept: Tensor<1>) -> Tensor<1> {
        guarded(match self {
            Self::All => weight.sum(),
            Self::Kept => kept.sum(),
        })
    }
}

/// What a correction sees of a batch.
pub struct Masked<'a> {
    /// The student's logits at the masked positions, `[P, V]`, with gradient.
    pub logits: &'a Tensor<2>,
    /// The predictions and their batch.
    pub predictions: &'a Predictions<'a>,
    /// What the judge says of them.
    pub verdict: &'a Verdict,
    /// The model that is trained.
    pub student: &'a dyn Student,
}

/// How a correction changes the loss of a batch:
///
/// ```text
/// L = (1/N) sum_k weight_k [ CE(z_k, w_k) + sum_j mass_kj (z_k[w_k] - z_k[word_kj]) ] + terms
/// ```
/// The sum over `j` is what moving `mass_kj` of the target from the original `w_k` to `word_kj` adds to the cross entropy.
pub struct Corrected {
    /// Weight of each masked position's cross entropy, `[P]`; 0 leaves it out. Starts as the batch's own weight.
    pub weight: Tensor<1>,
    /// What the sum is divided by.
    pub normalise: Normalise,
    /// Mass of the target that moves away from the original words.
    pub targets: Option<TargetShift>,
    /// Further terms.
    pub terms: Vec<Term>,
}

/// Mass of the targets that moves from the original words to others.
pub struct TargetShift {
    /// The words, `[P, K]`.
    pub words: Tensor<2, Int>,
    /// Mass of each, `[P, K]`, at least 0; the original keeps `1 - sum over K`.
    pub mass: Tensor<2>,
}

/// A further term of the loss.
pub struct Term {
    pub(crate) name: &'static str,
    pub(crate) value: TermValue,
    pub(crate) scale: f64,
}

pub(crate) enum TermValue {
    PerPosition(Tensor<1>),
    Mean(Tensor<1>),
}

impl Term {
    /// A value per masked position, `[P]`: its mean over all of them is added.
    pub fn per_position(name: &'static str, values: Tensor<1>) -> Self {
        Self { name, value: TermValue::PerPosition(values), scale: 1.0 }
    }

    /// A mean over something else, `[1]`, that is added as it is.
    pub fn mean(name: &'static str, mean: Tensor<1>) -> Self {
        Self { name, value: TermValue::Mean(mean), scale: 1.0 }
    }

    /// The term times `factor`, after its mean.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { scale: self.scale * factor, ..self }
    }
}

impl Corrected {
    /// The loss as it is without a correction.
    pub fn unchanged(predictions: &Predictions<'_>) -> Self {
        Self {
            weight: predictions.batch.weight.clone(),
            normalise: Normalise::All,
            targets: None,
            terms: Vec::new(),
        }
    }

    /// Adds a term.
    #[must_use]
    pub fn with(mut self, term: Term) -> Self {
        self.terms.push(term);
        self
    }
}

/// What the masked-language-model loss does about false negatives.
///
/// A correction of your own, which trusts a prediction as far as the judge does:
/// ```
/// use fn_core::correct::{Corrected, Correction, Masked};
///
/// /// A position weighs 1 - g.
/// struct Graded;
/// impl Correction for Graded {
///     fn correct(&self, masked: &Masked) -> Corrected {
///         let mut corrected = Corrected::unchanged(masked.predictions);
///         corrected.weight = corrected.weight * (-masked.verdict.grade.clone() + 1.0);
///         corrected
///     }
/// }
/// ```
pub trait Correction {
    /// How the loss of this batch changes. It must not wait for the device.
    fn correct(&self, masked: &Masked<'_>) -> Corrected;
}

/// The baseline: nothing changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uncorrected;

impl Correction for Uncorrected {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        Corrected::unchanged(masked.predictions)
    }
}
