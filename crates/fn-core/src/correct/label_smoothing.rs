//! Label smoothing, as in PyTorch's `cross_entropy(label_smoothing=epsilon)`: the target is `1 - epsilon` at the gold word
//! plus `epsilon / V` everywhere.
//!
//! ```text
//! sum_v q_v (-ln p_v) = CE(z, w) + epsilon * (z_w - mean_v z_v)
//! ```

use burn::tensor::{Int, Tensor};

/// What smoothing adds to the cross entropy of a row: `[P, V]`, `[P]` -> `[P]`.
pub(crate) fn smoothing_excess(epsilon: f64, logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    // Relative to the largest logit, so that the mean of large logits keeps its decimals; the shift cancels out.
    let max = logits.clone().detach().max_dim(1);
    let logits = logits - max;
    let gold_logit = logits.clone().gather(1, gold.unsqueeze_dim(1));
    (gold_logit - logits.mean_dim(1)).squeeze_dim::<1>(1) * epsilon as f32
}
