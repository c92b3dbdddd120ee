//! The masked-language-model loss (BERT, and ELECTRA's generator), corrected.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::LossParts;
use crate::batch::Predictions;
use crate::correct::{
    Corrected, Correction, CorrectionKind, Masked, Resources, TargetShift, TermValue, Uncorrected, importance,
};
use crate::error::{CoreError, check_range};
use crate::judge::Verdict;
use crate::stats::FalseNegativeCounts;
use crate::student::Student;
use fn_ops as ops;

/// Settings of [`MaskedLm`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskedLmConfig {
    /// What to do about false negatives. Default nothing.
    pub correction: CorrectionKind,
    /// beta of the importance weights of true negatives, 0 to 50: errors of which the model is sure weigh more. 0 (default): all weigh
    /// the same. Their mean is known after the forward pass only, so it needs steps of a single micro-batch.
    pub hard_negatives: f64,
}

impl MaskedLmConfig {
    /// The loss.
    ///
    /// # Errors
    /// A setting out of range; a lexicon that is missing.
    pub fn init(&self, resources: &Resources) -> Result<MaskedLm, CoreError> {
        check_range("hard_negatives", self.hard_negatives, 0.0, 50.0)?;
        Ok(MaskedLm { correction: self.correction.init(resources)?, hard_negatives: self.hard_negatives })
    }
}

/// The loss of the masked positions.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::correct::HardConfig;
/// use fn_core::judge::{DeviceLexicon, LexiconJudge, Verdict};
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// use fn_core::{loss::MaskedLm, sample::Prediction};
///
/// let device = Device::flex().autodiff();
/// let lexicon = Lexicon::from_rows(4, [(0, vec![1])], LexiconInfo::default())?;
/// let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device));
/// let batch = Batch::new(Tensor::from_ints([[0, 2, 0]], &device), Tensor::from_ints([0, 2], &device));
/// let logits = Tensor::<2>::from_floats([[0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]], &device).require_grad();
/// // 1, a synonym of 0, and 3, an error.
/// let predictions = Predictions::new(&batch, &logits, Prediction::Argmax);
/// let verdict = Verdict::of(&judge, &predictions, 0.5);
/// let hard = MaskedLm::new(HardConfig::default().init());
/// let out = hard.forward(&logits, &predictions, &verdict, &Tensor::<2>::zeros([4, 2], &device));
/// let gradient = logits.grad(&out.parts.total().backward()).unwrap();
/// assert_eq!(gradient.slice([0..1]).abs().sum().into_scalar::<f32>(), 0.0); // the synonym is not pushed down
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
pub struct MaskedLm {
    correction: Box<dyn Correction>,
    hard_negatives: f64,
}

impl Default for MaskedLm {
    fn default() -> Self {
        Self::new(Uncorrected)
    }
}

/// A loss and what was found on the way.
#[derive(Debug, Clone)]
pub struct MaskedLmOutput {
    /// `masked_lm`, and the terms that the correction adds: `word_distance`, `sentence_distance`, `label_smoothing`,
    /// `synonym_target`, `target_shift`, or its own.
    pub parts: LossParts,
    /// Counts of this batch, on the device.
    pub counts: FalseNegativeCounts,
}

impl MaskedLm {
    /// The loss with this correction, and without importance weights.
    pub fn new(correction: impl Correction + 'static) -> Self {
        Self { correction: Box::new(correction), hard_negatives: 0.0 }
    }

    /// Means are taken over all masked positions that are no padding (sum of weights), and are 0 where there are none; see
    /// [`Normalise`](crate::correct::Normalise) for the one exception.
    ///
    /// # Shapes
    /// - logits: `[P, V]` at the masked positions only, those that `predictions` were made from;
    /// - predictions, verdict: `[P]`.
    pub fn forward(
        &self,
        logits: &Tensor<2>,
        predictions: &Predictions<'_>,
        verdict: &Verdict,
        student: &dyn Student,
    ) -> MaskedLmOutput {
        let batch = predictions.batch;
        let cross_entropy = ops::cross_entropy_rows(logits.clone(), batch.gold.clone());
        let masked = Masked { logits, predictions, verdict, student };
        let Corrected { weight: kept, normalise, targets, terms: added } = self.correction.correct(&masked);
        let counts = FalseNegativeCounts::of(predictions, verdict, &kept);
        let count = normalise.denominator(batch.weight.clone(), kept.clone());
        let kept = self.with_importance(kept, predictions);
        let mean = |values: Tensor<1>, weight: Tensor<1>| (values * weight).sum() / count.clone();

        let mut terms = vec![("masked_lm", mean(cross_entropy, kept.clone()))];
        if let Some(targets) = targets {
            terms.push(("target_shift", mean(shifted_excess(targets, &masked), kept)));
        }
        for term in added {
            let value = match term.value {
                TermValue::PerPosition(values) => mean(values, batch.weight.clone()),
                TermValue::Mean(mean) => mean,
            };
            let value = if term.scale == 1.0 { value } else { value * term.scale as f32 };
            terms.push((term.name, value));
        }
        MaskedLmOutput { parts: LossParts { terms }, counts }
    }

    /// Importance weights of the true negatives among the positions that are kept.
    fn with_importance(&self, kept: Tensor<1>, predictions: &Predictions<'_>) -> Tensor<1> {
        if self.hard_negatives == 0.0 {
            return kept;
        }
        let surprise = ops::cross_entropy_rows(predictions.logits(), predictions.ids.clone().inner());
        let negatives = predictions.wrong().bool_and(kept.clone().inner().greater_scalar(0.0));
        let weights = importance(self.hard_negatives, surprise.neg().exp(), negatives);
        kept.inner() * weights
    }
}

/// What moving mass of the target adds to the cross entropy of each position: `sum_j mass_j (z_w - z_j)`, `[P]`.
fn shifted_excess(targets: TargetShift, masked: &Masked<'_>) -> Tensor<1> {
    let gold = masked.predictions.batch.gold.clone().unsqueeze_dim(1);
    // Differences first: they are exact for large logits.
    let excess = masked.logits.clone().gather(1, gold) - masked.logits.clone().gather(1, targets.words);
    (excess * targets.mass).sum_dim(1).squeeze_dim(1)
}
