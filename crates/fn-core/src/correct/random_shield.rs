//! The control of Hard Correction: as many positions, but the wrong ones.

use burn::tensor::{Bool, Tensor};

use super::{Corrected, Correction, Masked};
use crate::batch::Predictions;
use crate::permute::random_ranks;

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
    let count = flagged.clone().int().sum().expand(wrong.dims());
    random_ranks(&wrong).lower(count).bool_and(wrong)
}
