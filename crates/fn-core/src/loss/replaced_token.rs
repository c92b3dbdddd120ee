//! The discriminator's loss: was this token replaced? Corrected where the replacement fits.
//!
//! ```text
//! y_t = [ corrupted_t != original_t ]
//! L   = weight * (1/T) sum_t a_t BCE(z_t, y_t)          a_t = 1 for real tokens (specials included), T = sum_t a_t
//! ```
//! For a false negative `t`, `drop` sets `a_t = 0` **but leaves T**: a dropped token counts as one with loss 0, for the same
//! reason as in Hard Correction (the weight of all other tokens stays that of the baseline). `relabel` sets `y_t = 0`.

use burn::tensor::{Bool, Int, Tensor};

use super::{LossParts, cosine_distance};
use crate::correct::{DiscriminatorCorrection, importance};
use crate::ids::guarded;
use crate::stats::FalseNegativeCounts;
use fn_ops as ops;

/// What the discriminator said and what was true.
#[derive(Debug, Clone)]
pub struct ReplacedTokenInput {
    /// Raw scores, positive = replaced, `[B, L]`.
    pub logits: Tensor<2>,
    /// Original ids, `[B, L]`.
    pub original: Tensor<2, Int>,
    /// Ids that the discriminator saw, `[B, L]`.
    pub corrupted: Tensor<2, Int>,
    /// 1 for a real token, 0 for padding, `[B, L]`.
    pub attention: Tensor<2>,
    /// Where a replacement is a false negative, `[B, L]`; ignored where nothing was replaced.
    pub false_negative: Tensor<2, Bool>,
    /// Where a replacement is as right as the original, `[B, L]`, if the judge tells; read by `banded` only.
    pub right: Option<Tensor<2, Bool>>,
}

/// The loss of replaced-token detection.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::correct::DiscriminatorCorrection;
/// use fn_core::loss::{ReplacedToken, ReplacedTokenInput};
/// let device = Device::flex();
/// let out = ReplacedToken { correction: &DiscriminatorCorrection::Drop, weight: 50.0, hard_negatives: 0.0 }.loss(
///     ReplacedTokenInput {
///         logits: Tensor::zeros([1, 3], &device),
///         original: Tensor::from_ints([[5, 6, 7]], &device),
///         corrupted: Tensor::from_ints([[5, 8, 9]], &device),
///         attention: Tensor::ones([1, 3], &device),
///         false_negative: Tensor::from_bool([[false, true, false]], &device),
///         right: None,
///     },
///     Tensor::zeros([10, 2], &device),
/// );
/// // Two of three tokens count, each with ln 2.
/// assert!((out.parts.total().into_scalar::<f32>() - 50.0 * 2.0 / 3.0 * 2f32.ln()).abs() < 1e-4);
/// ```
pub struct ReplacedToken<'a> {
    /// What to do about replacements that are false negatives.
    pub correction: &'a DiscriminatorCorrection,
    /// Weight of the loss beside the generator's (ELECTRA: 50).
    pub weight: f64,
    /// beta of the importance weights of true negatives: replacements that look original weigh more. 0: all weigh the same.
    pub hard_negatives: f64,
}

/// A loss and what it was made of.
#[derive(Debug, Clone)]
pub struct ReplacedTokenOutput {
    /// `replaced_token`, already weighted, and `replacement_distance` where the correction adds it.
    pub parts: LossParts,
    /// 1 = to be called replaced, `[B, L]`, after the correction.
    pub labels: Tensor<2>,
    /// Weight of each token, `[B, L]`, after the correction.
    pub weights: Tensor<2>,
    /// Of this batch: real tokens, replaced ones, false negatives among them, and those dropped or relabelled.
    pub counts: FalseNegativeCounts,
}

impl ReplacedToken<'_> {
    /// # Shapes
    /// - input: `[B, L]`; embedding: `[V, H]`, read by soft regularisation only.
    pub fn loss(&self, input: ReplacedTokenInput, embedding: Tensor<2>) -> ReplacedTokenOutput {
        let ReplacedTokenInput { logits, original, corrupted, attention, false_negative, right } = input;
        let attention = attention.inner();
        let replaced = corrupted.clone().inner().not_equal(original.clone().inner());
        let replaced = replaced.bool_and(attention.clone().greater_scalar(0.0));
        let false_negative = false_negative.inner().bool_and(replaced.clone());
        let mut labels = replaced.clone().float();
        let mut weights = attention.clone();
        let mut corrected = false;
        match self.correction {
            DiscriminatorCorrection::None | DiscriminatorCorrection::Soft { .. } => {}
            DiscriminatorCorrection::Drop => {
                weights = weights.mask_fill(false_negative.clone(), 0.0);
                corrected = true;
            }
            DiscriminatorCorrection::Banded => {
                let right = match right {
                    Some(right) => right.inner().bool_and(false_negative.clone()),
                    None => false_negative.clone().bool_and(false_negative.clone().bool_not()),
                };
                labels = labels.mask_fill(right.clone(), 0.0);
                weights = weights.mask_fill(false_negative.clone().bool_and(right.bool_not()), 0.0);
                corrected = true;
            }
            DiscriminatorCorrection::Relabel => {
                labels = labels.mask_fill(false_negative.clone(), 0.0);
                corrected = true;
            }
        }
        if self.hard_negatives != 0.0 {
            let negatives = labels.clone().greater_scalar(0.5).bool_and(weights.clone().greater_scalar(0.0));
            let original = burn::tensor::activation::sigmoid(logits.clone().inner().neg());
            weights = weights * importance(self.hard_negatives, original, negatives);
        }
        let counts = FalseNegativeCounts::of_tokens(&attention, &replaced, &false_negative, corrected);

        let per_token = ops::bce_with_logits(logits, labels.clone());
        let mean = (per_token * weights.clone()).sum() / guarded(attention.sum());
        let mut terms = vec![("replaced_token", mean * self.weight as f32)];
        if let DiscriminatorCorrection::Soft { lambda } = self.correction {
            let [b, l] = replaced.dims();
            let rows = |ids: Tensor<2, Int>| embedding.clone().select(0, ids.reshape([b * l]));
            let distance = cosine_distance(rows(corrupted), rows(original));
            let replaced = replaced.float().reshape([b * l]);
            let mean = (distance * replaced.clone()).sum() / guarded(replaced.sum());
            terms.push(("replacement_distance", mean * *lambda as f32));
        }
        ReplacedTokenOutput { parts: LossParts { terms }, labels, weights, counts }
    }
}
