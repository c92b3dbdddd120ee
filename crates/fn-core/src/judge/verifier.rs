//! Judging by context: another masked language model says how well the prediction fits, after MAFA (Byun et al., *MAFA: Managing
//! False Negatives for Vision-Language Pre-training*, CVPR 2024).
//!
//! ```text
//! ratio = p(r | context) / p(w | context)        under the verifier, with every masked position masked
//! ratio < low: an error        low <= ratio < high: a false negative        high <= ratio: as good as w
//! ```

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::teacher::surprise;
use super::{Judge, MaskedModel, Reading, Teacher, VocabularyJudge};
use crate::batch::Predictions;
use crate::error::{CoreError, check_range};

/// Which ratios count as plausible, and which as good as the original.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bands {
    /// From this ratio on the grade is at least 0.5, so that the prediction is a false negative. Default 0.5.
    pub low: f64,
    /// From this ratio on the grade is 1: as good as the original word. Default 1.
    pub high: f64,
}

impl Default for Bands {
    fn default() -> Self {
        Self { low: 0.5, high: 1.0 }
    }
}

/// The largest grade below that of `low`.
const BELOW: f32 = 0.499_999_97;

impl Bands {
    /// Checks that 0 < low <= high <= 1e6.
    ///
    /// # Errors
    /// [`CoreError`] with the name of the value.
    pub fn validate(&self) -> Result<(), CoreError> {
        check_range("low", self.low, 1e-6, 1e6)?;
        check_range("high", self.high, self.low, 1e6)
    }

    /// Grades of logarithmic ratios, of any shape: `ratio / (2 low)` below `low`, from there in the logarithm of the ratio up to 1 at
    /// `high`. Continuous where `low < high`, and never falling.
    pub fn grade<const D: usize>(&self, log_ratio: Tensor<D>) -> Tensor<D> {
        let (low, high) = (self.low.ln() as f32, self.high.ln() as f32);
        let below = ((log_ratio.clone() - low).clamp_max(0.0).exp() * 0.5).clamp_max(BELOW);
        let within = (log_ratio.clone() - low) * (0.5 / (high - low).max(f32::MIN_POSITIVE)) + 0.5;
        let within = within.clamp(0.5, 1.0 - f32::EPSILON / 2.0);
        let plausible = log_ratio.clone().greater_equal_scalar(low);
        let as_good = log_ratio.greater_equal_scalar(high);
        below.mask_where(plausible, within).mask_fill(as_good, 1.0)
    }
}

/// Judges by a masked language model that reads each sequence with *all* its masked positions masked, so that it sees neither the
/// original nor the prediction.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::judge::{Bands, MaskedModel, Verdict, Verifier};
///
/// /// Finds word 2 nearly as good as word 1, and word 0 bad, whatever the context.
/// struct Constant;
/// impl MaskedModel for Constant {
///     fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
///         Some(Tensor::<2>::from_floats([[-5.0, 1.0, 0.8]], &ids.device()).repeat(&[batch.gold.dims()[0], 1]))
///     }
/// }
///
/// let device = Device::flex();
/// let judge = Verifier::new(Constant, 3, Bands::default());
/// let batch = Batch::new(Tensor::from_ints([[1, 1]], &device), Tensor::from_ints([0, 1], &device));
/// let predictions = Predictions::sampled(&batch, &Tensor::zeros([2, 4], &device), Tensor::from_ints([2, 0], &device));
/// let verdict = Verdict::of(&judge, &predictions, 0.5);
/// assert_eq!(verdict.false_negative.into_data().iter::<bool>().collect::<Vec<_>>(), [true, false]);
/// ```
pub struct Verifier<T> {
    teacher: T,
    bands: Bands,
}

impl<M: MaskedModel> Verifier<Reading<M>> {
    /// Judges by `model`; `mask` is the id of its `[MASK]`.
    pub fn new(model: M, mask: u32, bands: Bands) -> Self {
        Self::of(Reading::new(model, mask), bands)
    }

    /// The masked language model.
    pub fn model(&self) -> &M {
        self.teacher.model()
    }
}

impl<T: Teacher> Verifier<T> {
    /// Judges by the probabilities of `teacher`.
    pub fn of(teacher: T, bands: Bands) -> Self {
        Self { teacher, bands }
    }

    pub(super) fn teacher(&self) -> &T {
        &self.teacher
    }

    pub(super) fn bands(&self) -> &Bands {
        &self.bands
    }

    /// `ln p(r) - ln p(w)` of the predictions, `[P]`; None while there is no model.
    pub fn log_ratio(&self, predictions: &Predictions<'_>) -> Option<Tensor<1>> {
        let logits = self.teacher.logits(predictions)?;
        Some(surprise(&logits, &predictions.batch.gold) - surprise(&logits, &predictions.ids))
    }
}

impl<T: Teacher> Judge for Verifier<T> {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        match self.log_ratio(predictions) {
            Some(log_ratio) => self.bands.grade(log_ratio),
            None => super::NoJudge.grade(predictions),
        }
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        Some(self)
    }
}
