//! The discriminator's loss: was this token replaced? Corrected where the replacement fits.
//!
//! ```text
//! y_t = [ corrupted_t != original_t ]
//! L   = weight * (1/T) sum_t a_t BCE(z_t, y_t)          a_t = 1 for real tokens (specials included), T = sum_t a_t
//! ```
//! For a false negative `t`, `drop` sets `a_t = 0` **but leaves T**: a dropped token counts as one with loss 0, for the same
//! reason as in Hard Correction (the weight of all other tokens stays that of the baseline). `relabel` sets `y_t = 0`.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{LossParts, scatter_bool, scatter_floats};
use crate::batch::{Predictions, guarded};
use crate::correct::detection::{
    CorrectedLabels, DetectionCorrection, DetectionKind, Replaced, UncorrectedDetection,
};
use crate::correct::{Resources, importance};
use crate::error::{CoreError, check_range};
use crate::judge::Verdict;
use crate::stats::FalseNegativeCounts;
use crate::student::Student;
use fn_ops as ops;

/// Settings of [`ReplacedToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplacedTokenConfig {
    /// What to do about replacements that are false negatives. Default nothing.
    pub correction: DetectionKind,
    /// Weight of the loss beside the generator's, at least 0. Default 50, as in ELECTRA.
    pub weight: f64,
    /// beta of the importance weights of true negatives, 0 to 50: replacements that look original weigh more. 0 (default): all weigh the
    /// same. Their mean is known after the forward pass only, so it needs steps of a single micro-batch.
    pub hard_negatives: f64,
}

impl Default for ReplacedTokenConfig {
    fn default() -> Self {
        Self { correction: DetectionKind::None, weight: 50.0, hard_negatives: 0.0 }
    }
}

impl ReplacedTokenConfig {
    /// The loss.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn init(&self, resources: &Resources) -> Result<ReplacedToken, CoreError> {
        check_range("weight", self.weight, 0.0, f64::MAX)?;
        check_range("hard_negatives", self.hard_negatives, 0.0, 50.0)?;
        Ok(ReplacedToken {
            correction: self.correction.init(resources)?,
            weight: self.weight,
            hard_negatives: self.hard_negatives,
        })
    }
}

/// The loss of replaced-token detection.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::correct::detection::Drop;
/// use fn_core::judge::{DeviceLexicon, LexiconJudge, Verdict};
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// use fn_core::loss::ReplacedToken;
///
/// let device = Device::flex();
/// let lexicon = Lexicon::from_rows(10, [(6, vec![8])], LexiconInfo::default())?;
/// let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device));
/// // Of three tokens the generator replaces the last two: 8 for 6, which fits, and 9 for 7.
/// let batch = Batch::new(Tensor::from_ints([[5, 6, 7]], &device), Tensor::from_ints([1, 2], &device));
/// let sampled = Tensor::from_ints([8, 9], &device);
/// let predictions = Predictions::sampled(&batch, &Tensor::zeros([2, 10], &device), sampled.clone());
/// let verdict = Verdict::of(&judge, &predictions, 0.5);
/// let (corrupted, scores) = (batch.filled(sampled), Tensor::<2>::zeros([1, 3], &device));
/// let out = ReplacedToken::new(Drop, 50.0).forward(&scores, &predictions, &corrupted, &verdict, &Tensor::<2>::zeros([10, 2], &device));
/// // Two of three tokens count, each with ln 2.
/// assert!((out.parts.total().into_scalar::<f32>() - 50.0 * 2.0 / 3.0 * 2f32.ln()).abs() < 1e-4);
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
pub struct ReplacedToken {
    correction: Box<dyn DetectionCorrection>,
    weight: f64,
    hard_negatives: f64,
}

impl Default for ReplacedToken {
    fn default() -> Self {
        Self::new(UncorrectedDetection, 50.0)
    }
}

/// A loss and what it was made of.
#[derive(Debug, Clone)]
pub struct ReplacedTokenOutput {
    /// `replaced_token`, already weighted, and the terms that the correction adds (`replacement_distance`, or its own).
    pub parts: LossParts,
    /// 1 = to be called replaced, `[B, L]`, after the correction.
    pub labels: Tensor<2>,
    /// Weight of each token, `[B, L]`, after the correction.
    pub weights: Tensor<2>,
    /// Of this batch: real tokens, replaced ones, false negatives among them, and those whose label or weight the correction changed.
    pub counts: FalseNegativeCounts,
}

impl ReplacedToken {
    /// The loss with this correction, times `weight` (ELECTRA: 50), and without importance weights.
    pub fn new(correction: impl DetectionCorrection + 'static, weight: f64) -> Self {
        Self { correction: Box::new(correction), weight, hard_negatives: 0.0 }
    }

    /// # Shapes
    /// - logits: raw scores, positive = replaced, `[B, L]`; corrupted: ids that the discriminator saw, `[B, L]`;
    /// - replacements: the sampled ids at the masked positions, `[P]`, with the generator's logits; verdict: on them, `[P]`.
    pub fn forward(
        &self,
        logits: &Tensor<2>,
        replacements: &Predictions<'_>,
        corrupted: &Tensor<2, Int>,
        verdict: &Verdict,
        student: &dyn Student,
    ) -> ReplacedTokenOutput {
        let batch = replacements.batch;
        let attention = batch.attention.clone().inner();
        let replaced = corrupted.clone().inner().not_equal(batch.original.clone().inner());
        let replaced = replaced.bool_and(attention.clone().greater_scalar(0.0));
        let positions = batch.positions.clone().inner();
        let flagged = scatter_bool(batch.shape(), positions.clone(), verdict.false_negative.clone());
        let grade = scatter_floats(batch.shape(), positions, verdict.grade.clone());
        let seen = Replaced {
            logits,
            batch,
            replacements,
            corrupted,
            false_negative: &flagged.bool_and(replaced.clone()),
            grade: &grade.mask_fill(replaced.clone().bool_not(), 0.0),
            replaced: &replaced,
            student,
        };
        let CorrectedLabels { labels, mut weights, terms: added } = self.correction.correct(&seen);
        let changed = labels.clone().not_equal(replaced.clone().float());
        let changed = changed.bool_or(weights.clone().not_equal(attention.clone()));
        let counts = FalseNegativeCounts::of_tokens(&attention, &replaced, seen.false_negative, &changed);
        if self.hard_negatives != 0.0 {
            let negatives = labels.clone().greater_scalar(0.5).bool_and(weights.clone().greater_scalar(0.0));
            let original = burn::tensor::activation::sigmoid(logits.clone().inner().neg());
            weights = weights * importance(self.hard_negatives, original, negatives);
        }

        let per_token = ops::bce_with_logits(logits.clone(), labels.clone());
        let mean = (per_token * weights.clone()).sum() / guarded(attention.sum());
        let mut terms = vec![("replaced_token", mean * self.weight as f32)];
        terms.extend(added);
        ReplacedTokenOutput { parts: LossParts { terms }, labels, weights, counts }
    }
}
