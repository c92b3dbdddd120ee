//! The control of Hard Correction: as many positions, but the wrong ones.

use burn::tensor::{Bool, Distribution, Int, Tensor};

use super::{Corrected, Correction, Masked};
use crate::batch::Predictions;

/// Leaves as many wrong predictions of the batch out as the judge calls false negatives, but picks them at random. What Hard
/// Correction gains over this is due to *which* positions it leaves out, not to how many.
///
/// The choice comes from the device's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomShield;

impl Correction for RandomShield {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let corrected = Corrected::unchanged(masked.predictions);
        let picked = as_many_at_random(masked.predictions, &masked.verdict.false_negative);
        Corrected { weight: corrected.weight.mask_fill(picked, 0.0), ..corrected }
    }
}

/// A random set of wrong predictions, as large as that of `flagged`: `[P]` -> `[P]`.
fn as_many_at_random(predictions: &Predictions<'_>, flagged: &Tensor<1, Bool>) -> Tensor<1, Bool> {
    let wrong = predictions.wrong();
    let [p] = wrong.dims();
    let device = wrong.device();
    // Every wrong prediction draws a key; those with the n smallest keys are taken. Keys are ranked by comparing all pairs: P is
    // some thousands at most, and sorting would wait for the device.
    let key = Tensor::<1>::random([p], Distribution::Uniform(0.0, 1.0), &device);
    let key = key.mask_fill(wrong.clone().bool_not(), 2.0);
    let own = key.clone().unsqueeze_dim::<2>(1).expand([p, p]);
    let other = key.unsqueeze_dim::<2>(0).expand([p, p]);
    // Equal keys are ranked by index.
    let index = Tensor::<1, Int>::arange(0..p as i64, &device);
    let before =
        index.clone().unsqueeze_dim::<2>(0).expand([p, p]).lower(index.unsqueeze_dim::<2>(1).expand([p, p]));
    let smaller = other.clone().lower(own.clone()).bool_or(other.equal(own).bool_and(before));
    let rank = smaller.int().sum_dim(1).squeeze_dim::<1>(1);
    let count = flagged.clone().int().sum().expand([p]);
    rank.lower(count).bool_and(wrong)
}
