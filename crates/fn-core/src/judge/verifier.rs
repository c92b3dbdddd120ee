//! A second opinion: another masked language model says how well the prediction fits, after MAFA (Byun et al., *MAFA: Managing False
//! Negatives for Vision-Language Pre-training*, CVPR 2024).
//!
//! ```text
//! ratio = p(r | context) / p(w | context)        under the verifier
//! ratio < low: an error        low <= ratio < high: a false negative        high <= ratio: as right as w
//! ```

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use super::Judge;
use crate::error::{CoreError, check_range};
use crate::ids::Rows;
use fn_ops as ops;

/// Where the three bands of the ratio meet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bands {
    /// From this ratio on a prediction is a false negative. Default 0.5.
    pub low: f64,
    /// From this ratio on it is as right as the gold word. Default 1.
    pub high: f64,
}

impl Default for Bands {
    fn default() -> Self {
        Self { low: 0.5, high: 1.0 }
    }
}

impl Bands {
    /// Checks that 0 < low <= high <= 1e6.
    ///
    /// # Errors
    /// [`CoreError`] with the name of the value.
    pub fn validate(&self) -> Result<(), CoreError> {
        check_range("low", self.low, 1e-6, 1e6)?;
        check_range("high", self.high, self.low, 1e6)
    }
}

/// Judges the masked rows of one batch by the verifier's logits at these rows.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::{ids::Rows, judge::{Bands, Judge, VerifierJudge}};
/// let device = Device::flex();
/// // The verifier finds word 2 nearly as good as word 1, and word 0 bad.
/// let logits = Tensor::<2>::from_floats([[-5.0, 1.0, 0.8], [-5.0, 1.0, 0.8]], &device);
/// let judge = VerifierJudge::new(logits, Bands::default());
/// let rows = Rows {
///     gold: Tensor::from_ints([1, 1], &device),
///     predicted: Tensor::from_ints([2, 0], &device),
///     weight: Tensor::from_floats([1.0, 1.0], &device),
/// };
/// assert_eq!(judge.judge(&rows).into_data().iter::<bool>().collect::<Vec<_>>(), [true, false]);
/// ```
#[derive(Debug, Clone)]
pub struct VerifierJudge {
    /// `[P, V]`, without autodiff.
    logits: Tensor<2>,
    bands: Bands,
}

impl VerifierJudge {
    /// Judges by `logits`, `[P, V]`, of the rows that it will be asked about.
    pub fn new(logits: Tensor<2>, bands: Bands) -> Self {
        Self { logits: logits.inner(), bands }
    }

    /// `ln p(r) - ln p(w)`, `[P]`.
    fn log_ratio(&self, rows: &Rows) -> Tensor<1> {
        let of = |ids| ops::cross_entropy_rows(self.logits.clone(), ids);
        of(rows.gold.clone().inner()) - of(rows.predicted.clone().inner())
    }

    fn at_least(&self, rows: &Rows, ratio: f64) -> Tensor<1, Bool> {
        self.log_ratio(rows).greater_equal_scalar(ratio.ln() as f32).bool_and(rows.wrong())
    }
}

impl Judge for VerifierJudge {
    fn judge(&self, rows: &Rows) -> Tensor<1, Bool> {
        self.at_least(rows, self.bands.low)
    }

    fn right(&self, rows: &Rows) -> Option<Tensor<1, Bool>> {
        Some(self.at_least(rows, self.bands.high))
    }

    fn name(&self) -> &'static str {
        "verifier"
    }
}
