//! Importance weights of true negatives, as DiHT gives them to hard negatives (Radenovic et al., *Filtering, Distillation, and Hard
//! Negatives for Vision-Language Pre-Training*, CVPR 2023): after false negatives are taken out, the errors that look right weigh more.
//!
//! ```text
//! a_k = exp(beta h_k) / mean over true negatives of exp(beta h)        h_k in [0, 1]: how right the error looks to the model
//! ```
//! Their mean is 1, so the loss as a whole keeps its weight; beta = 0 changes nothing.

use burn::tensor::{Bool, Tensor};

use crate::batch::guarded;

/// Weights `a` of the true `negatives`, 1 elsewhere, without gradient. All of the same shape.
pub(crate) fn importance<const D: usize>(
    beta: f64,
    hardness: Tensor<D>,
    negatives: Tensor<D, Bool>,
) -> Tensor<D> {
    let raw = (hardness.inner() * beta as f32).exp();
    let negative = negatives.clone().inner().float();
    let shape = raw.dims();
    let mean = (raw.clone() * negative.clone()).sum() / guarded(negative.sum());
    // Without a negative nothing of this is used; 0 / 0 must not reach the others as NaN.
    let mean = mean.clone().mask_fill(mean.equal_scalar(0.0), 1.0);
    let weights = raw / mean.reshape([1; D]).expand(shape);
    weights.mask_fill(negatives.inner().bool_not(), 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn weights(beta: f64, hardness: [f32; 4], negatives: [bool; 4]) -> Vec<f32> {
        let device = Device::flex();
        let (h, n) =
            (Tensor::<1>::from_floats(hardness, &device), Tensor::<1, Bool>::from_bool(negatives, &device));
        importance(beta, h, n).into_data().iter::<f32>().collect()
    }

    #[test]
    fn hard_ones_weigh_more_the_mean_is_one_and_others_are_left_alone() {
        let found = weights(2.0, [0.9, 0.1, 0.5, 1.0], [true, true, false, true]);
        let raw = [1.8_f32.exp(), 0.2_f32.exp(), 2.0_f32.exp()];
        let mean = raw.iter().sum::<f32>() / 3.0;
        let expected = [raw[0] / mean, raw[1] / mean, 1.0, raw[2] / mean];
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-5, "{found:?}");
        }
        assert!((found[0] + found[1] + found[3] - 3.0).abs() < 1e-5);
    }

    #[test]
    fn nothing_changes_without_beta_or_without_negatives() {
        assert_eq!(weights(0.0, [0.9, 0.1, 0.5, 1.0], [true; 4]), [1.0; 4]);
        assert_eq!(weights(5.0, [0.9, 0.1, 0.5, 1.0], [false; 4]), [1.0; 4]);
    }
}
