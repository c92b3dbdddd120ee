//! The few operations that losses are made of.

use burn::tensor::{Int, Tensor};

/// `ln sum_v exp(z_v)` per row: `[P, V]` -> `[P]`.
pub(crate) fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let max = logits.clone().detach().max_dim(1);
    ((logits - max.clone()).exp().sum_dim(1).log() + max).squeeze_dim(1)
}

/// `-ln p(gold)` per row: `[P, V]`, `[P]` -> `[P]`.
pub(crate) fn cross_entropy_rows(logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    let gold_logit = logits.clone().gather(1, gold.unsqueeze_dim(1)).squeeze_dim(1);
    log_sum_exp(logits) - gold_logit
}

/// Binary cross entropy of raw logits, element by element.
pub(crate) fn bce_with_logits<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    logits.clone().clamp_min(0.0) - logits.clone() * targets + (-logits.abs()).exp().log1p()
}
