//! Tensor operations of transformer training, fused where a backend has a kernel for them.
//!
//! Every function has two bodies. [`composed`] is made of plain Burn operations: it runs on any backend, is differentiated by
//! Burn, and is the reference. On the `flex` device (Cargo feature `flex`) the functions of this module run kernels of our own
//! instead, with backward passes in closed form; tests hold both to the same values and gradients. Which body runs is decided
//! by the tensors: models call the functions and know nothing of it.
//!
//! Dropout takes its noise from a [`Noise`], a function of a seed: no state is kept between passes.
#![deny(missing_docs)]

pub mod adamw;
pub mod composed;
#[cfg(feature = "flex")]
mod flex;
mod noise;

pub use composed::{bce_with_logits, embedding, log_sum_exp, select_rows};
pub use noise::Noise;

use burn::tensor::{Int, Tensor};

/// Returns the fused result where there is one.
macro_rules! fused {
    ($call:expr) => {
        #[cfg(feature = "flex")]
        if let Some(out) = $call {
            return out;
        }
    };
}

/// Sets a share `rate` of the elements to 0 and scales the others by `1 / (1 - rate)`; nothing in evaluation.
pub fn dropout<const D: usize>(x: Tensor<D>, rate: f64, noise: &Noise) -> Tensor<D> {
    if noise.is_training() && rate > 0.0 {
        fused!(flex::dropout(&x, rate, noise.next_seed()));
    }
    composed::dropout(x, rate, noise)
}

/// Layer normalisation over the last axis; `gamma` and `beta` are `[width]`.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    fused!(flex::layer_norm(&x, None, &gamma, &beta, epsilon));
    composed::layer_norm(x, gamma, beta, epsilon)
}

/// `layer_norm(residual + dropout(x))`: what follows every block of a transformer.
pub fn residual_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    rate: f64,
    noise: &Noise,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    #[cfg(feature = "flex")]
    {
        let (rate, seed) = if noise.is_training() { (rate, noise.next_seed()) } else { (0.0, 0) };
        fused!(flex::layer_norm(&x, Some((&residual, rate, seed)), &gamma, &beta, epsilon));
    }
    composed::residual_layer_norm(x, residual, rate, noise, gamma, beta, epsilon)
}

/// `x Phi(x)` with the error function (not its tanh approximation).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    fused!(flex::gelu(&x));
    composed::gelu(x)
}

/// `x W + b` over the last axis; `weight` is `[in, out]`, `bias` `[out]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let dims = x.dims();
    if D <= 2 {
        return composed::linear(x, weight, bias);
    }
    // One product of two matrices, forward and backward, instead of one per row of the batch.
    let (rows, width) = (dims[..D - 1].iter().product::<usize>(), dims[D - 1]);
    let mut shape = dims;
    shape[D - 1] = weight.dims()[1];
    composed::linear(x.reshape([rows, width]), weight, bias).reshape(shape)
}

/// Scaled dot-product attention of `heads` heads with dropout on the weights.
///
/// # Shapes
/// - `q`, `k`, `v` and the output: `[batch, length, width]`, heads side by side in the width
/// - `mask`: `[batch, length]`, 1 = real, 0 = padding that nobody attends to. A row without a real key attends to all alike.
pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: Option<Tensor<2>>,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    {
        let dropout = (noise.is_training() && rate > 0.0).then(|| (rate, noise.next_seed()));
        fused!(flex::attention(&q, &k, &v, heads, mask.as_ref(), dropout));
    }
    composed::attention(q, k, v, heads, mask, rate, noise)
}

/// `ln sum exp(row) - row[gold]` of each row: `[P, V]`, `[P]` -> `[P]`. Exact to f32 for logits up to 1e4 and beyond.
pub fn cross_entropy_rows(logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    fused!(flex::cross_entropy_rows(&logits, &gold));
    composed::cross_entropy_rows(logits, gold)
}
