//! The control of Hard Correction: as many rows, but the wrong ones.

use burn::tensor::{Bool, Distribution, Int, Tensor};

use super::Judge;
use crate::ids::Rows;

/// Calls as many wrong predictions of the batch false negatives as the inner judge does, but picks them at random. What
/// Hard Correction gains over this is due to *which* rows it shields, not to how many.
///
/// The choice comes from the device's generator.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::{ids::Rows, judge::{Judge, NoJudge, RandomShield}};
/// let device = Device::flex();
/// let rows = Rows {
///     gold: Tensor::from_ints([1, 2], &device),
///     predicted: Tensor::from_ints([3, 3], &device),
///     weight: Tensor::from_floats([1.0, 1.0], &device),
/// };
/// let judge = RandomShield::new(Box::new(NoJudge)); // shields none, so random shielding does not either
/// assert!(!judge.judge(&rows).any().into_scalar::<bool>());
/// ```
pub struct RandomShield {
    inner: Box<dyn Judge>,
}

impl RandomShield {
    /// Imitates the rate of `inner`.
    pub fn new(inner: Box<dyn Judge>) -> Self {
        Self { inner }
    }
}

impl Judge for RandomShield {
    fn judge(&self, rows: &Rows) -> Tensor<1, Bool> {
        random_like(rows, &self.inner.judge(rows))
    }

    fn name(&self) -> &'static str {
        "random"
    }
}

/// A random set of wrong rows, as large as the set of `verdict`: `[P]`.
pub(crate) fn random_like(rows: &Rows, verdict: &Tensor<1, Bool>) -> Tensor<1, Bool> {
    let wrong = rows.wrong();
    let [p] = wrong.dims();
    let device = wrong.device();
    // Every wrong row draws a key; those with the n smallest keys are taken. Rows are ranked by comparing all pairs: P is
    // some thousands at most, and sorting would wait for the device.
    let key = Tensor::<1>::random([p], Distribution::Uniform(0.0, 1.0), &device);
    let key = key.mask_fill(wrong.clone().bool_not(), 2.0);
    let own = key.clone().unsqueeze_dim::<2>(1).expand([p, p]);
    let other = key.unsqueeze_dim::<2>(0).expand([p, p]);
    // Equal keys are ranked by place.
    let place = Tensor::<1, Int>::arange(0..p as i64, &device);
    let before =
        place.clone().unsqueeze_dim::<2>(0).expand([p, p]).lower(place.unsqueeze_dim::<2>(1).expand([p, p]));
    let smaller = other.clone().lower(own.clone()).bool_or(other.equal(own).bool_and(before));
    let rank = smaller.int().sum_dim(1).squeeze_dim::<1>(1);
    let count = verdict.clone().int().sum().expand([p]);
    rank.lower(count).bool_and(wrong)
}
