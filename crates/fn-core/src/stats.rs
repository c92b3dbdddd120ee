//! Counts that stay on the device until somebody reports them, and the spread of an embedding table.

use burn::tensor::{Bool, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::batch::Predictions;
use crate::judge::Verdict;

/// How many predictions of a batch were wrong, and how many of those were false negatives. Each `[1]`, on the device.
#[derive(Debug, Clone)]
pub struct FalseNegativeCounts {
    /// Masked positions (discriminator: tokens), padding left out.
    pub rows: Tensor<1>,
    /// Wrong predictions (discriminator: replaced tokens).
    pub wrong: Tensor<1>,
    /// Wrong ones that the judge calls false negatives.
    pub false_negative: Tensor<1>,
    /// Masked positions that the correction leaves out of the loss (discriminator: tokens whose label or weight it changed).
    pub shielded: Tensor<1>,
}

impl FalseNegativeCounts {
    /// Counts of the masked positions; `kept` `[P]` is their weight after the correction.
    pub fn of(predictions: &Predictions<'_>, verdict: &Verdict, kept: &Tensor<1>) -> Self {
        let count = |mask: Tensor<1, Bool>| mask.float().sum();
        let real = predictions.batch.weight.clone().inner().greater_scalar(0.0);
        let left_out = kept.clone().inner().equal_scalar(0.0).bool_and(real.clone());
        Self {
            rows: count(real),
            wrong: count(predictions.wrong()),
            false_negative: count(verdict.false_negative.clone()),
            shielded: count(left_out),
        }
    }

    /// Counts of a discriminator's tokens, all `[B, L]`.
    pub(crate) fn of_tokens(
        attention: &Tensor<2>,
        replaced: &Tensor<2, Bool>,
        false_negative: &Tensor<2, Bool>,
        changed: &Tensor<2, Bool>,
    ) -> Self {
        let count = |mask: &Tensor<2, Bool>| mask.clone().float().sum();
        Self {
            rows: attention.clone().greater_scalar(0.0).float().sum(),
            wrong: count(replaced),
            false_negative: count(false_negative),
            shielded: count(changed),
        }
    }

    /// The counts of two batches together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            wrong: self.wrong + other.wrong,
            false_negative: self.false_negative + other.false_negative,
            shielded: self.shielded + other.shielded,
        }
    }

    /// Reads the counts back: this waits for the device.
    ///
    pub fn read(self) -> FalseNegativeStats {
        let all = Tensor::cat(vec![self.rows, self.wrong, self.false_negative, self.shielded], 0);
        let mut values = all.into_data().iter::<f64>().collect::<Vec<_>>().into_iter();
        let mut next = || values.next().unwrap_or(0.0);
        FalseNegativeStats { rows: next(), wrong: next(), false_negative: next(), shielded: next() }
    }
}

/// [`FalseNegativeCounts`] on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FalseNegativeStats {
    /// Real rows.
    pub rows: f64,
    /// Wrong predictions.
    pub wrong: f64,
    /// Wrong ones that are false negatives.
    pub false_negative: f64,
    /// Rows that the correction shielded.
    pub shielded: f64,
}

impl FalseNegativeStats {
    /// Share of the rows that is wrong; NaN without rows.
    pub fn wrong_share(&self) -> f64 {
        self.wrong / self.rows
    }

    /// Share of the wrong rows that are false negatives; NaN without wrong rows.
    pub fn false_negative_share(&self) -> f64 {
        self.false_negative / self.wrong
    }

    /// Share of the rows that was shielded; NaN without rows.
    pub fn shielded_share(&self) -> f64 {
        self.shielded / self.rows
    }
}

/// Mean norm of the rows of an embedding table `[V, H]`, and mean cosine over all pairs of different rows (0 = spread in all
/// directions, 1 = all alike). At most `sample_rows` rows are used, evenly spaced. Waits for the device.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let e = Tensor::<2>::from_floats([[3.0, 0.0], [0.0, 1.0]], &Device::flex());
/// let (norm, cosine) = fn_core::stats::anisotropy(e, 100);
/// assert!((norm - 2.0).abs() < 1e-6 && cosine.abs() < 1e-6);
/// ```
pub fn anisotropy(embedding: Tensor<2>, sample_rows: usize) -> (f64, f64) {
    let embedding = embedding.inner();
    let [v, _] = embedding.dims();
    let n = sample_rows.min(v);
    if n == 0 {
        return (f64::NAN, f64::NAN);
    }
    let index: Vec<i32> = (0..n).map(|i| (i * v / n) as i32).collect();
    let index = Tensor::<1, Int>::from_ints(index.as_slice(), &embedding.device());
    let rows = embedding.select(0, index);
    let norm = rows.clone().square().sum_dim(1).sqrt();
    let unit = rows / norm.clone().clamp_min(1e-12);
    // The squared length of the sum of unit vectors is the sum of the cosines of all pairs, those with themselves included.
    let all = unit.clone().sum_dim(0).square().sum();
    let own = unit.square().sum();
    let values: Vec<f64> = Tensor::cat(vec![norm.mean(), all, own], 0).into_data().iter::<f64>().collect();
    let pairs = (n * (n - 1)) as f64;
    (values[0], (values[1] - values[2]) / pairs)
}
