//! Tensor operations of transformer training, fused where a backend has a kernel for them.
//!
//! Each function here looks at its tensors. On Flex (feature `flex`, f32) one kernel does the whole operation and another
//! one its derivative in closed form; everywhere else, and on a tape with gradient checkpointing, [`composed`] says the same
//! with Burn's own operations. Callers need not know which it was: values agree to rounding, shapes and gradients are the
//! same. The one thing that differs is the noise of dropout: kernels take it from a counter seeded by [`Noise`], composed
//! operations from the device's generator.
//!
//! Kernels split their work in pieces of fixed size and add in a fixed order: the result does not depend on the number of
//! threads. What they keep for the backward pass is little: attention two numbers a row, dropout its seed.
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! let device = Device::flex().autodiff();
//! let x = Tensor::<2>::random([4, 8], Distribution::Default, &device).require_grad();
//! let loss = fn_ops::gelu(x.clone()).sum();
//! assert_eq!(x.grad(&loss.backward()).unwrap().dims(), [4, 8]);
//! ```
#![deny(missing_docs)]

pub mod adamw;
pub mod composed;
#[cfg(feature = "flex")]
mod flex;
mod noise;
mod precision;

pub use noise::Noise;
pub use precision::{Bf16Unit, MatmulPrecision, matmul_precision, set_matmul_precision};

use burn::tensor::{Int, Tensor};

/// What Flex multiplies bf16 with on this processor.
pub fn bf16_unit() -> Bf16Unit {
    #[cfg(feature = "flex")]
    return flex::bf16_unit();
    #[cfg(not(feature = "flex"))]
    Bf16Unit::None
}

/// Takes the kernel where it accepts the inputs, else the composed operation.
macro_rules! fused {
    ($($name:ident)::+ ( $($arg:expr),* ), $back:pat => $composed:expr) => {{
        #[cfg(feature = "flex")]
        let $back = match flex::$($name)::+($($arg),*) {
            Ok(done) => return done,
            Err(back) => back,
        };
        $composed
    }};
}

/// Sets a share `rate` of the elements to 0 and scales the others by `1 / (1 - rate)`; `x` itself in evaluation.
pub fn dropout<const D: usize>(x: Tensor<D>, rate: f64, noise: &Noise) -> Tensor<D> {
    fused!(dropout(x, rate, noise), x => composed::dropout(x, rate, noise))
}

/// Layer normalisation over the last axis.
///
/// # Shapes
/// - x: `[.., H]`, gamma, beta: `[H]` - output: `[.., H]`
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    fused!(layer_norm(x, gamma, beta, epsilon),
        (x, gamma, beta) => composed::layer_norm(x, gamma, beta, epsilon))
}

/// `layer_norm(residual + dropout(x))`.
///
/// # Shapes
/// - x, residual: `[.., H]`, gamma, beta: `[H]` - output: `[.., H]`
pub fn residual_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    rate: f64,
    noise: &Noise,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    fused!(residual_layer_norm(x, residual, rate, noise, gamma, beta, epsilon),
        (x, residual, gamma, beta) => composed::residual_layer_norm(x, residual, rate, noise, gamma, beta, epsilon))
}

/// `x Phi(x)`, with the exact error function.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    fused!(gelu(x), x => composed::gelu(x))
}

/// `x W + b` over the last axis.
///
/// # Shapes
/// - x: `[.., in]`, weight: `[in, out]`, bias: `[out]` - output: `[.., out]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    fused!(linear(x, weight, bias), (x, weight, bias) => composed::linear(x, weight, bias))
}

/// Scaled dot-product attention of each head, with dropout on the weights. A sequence without a single real key gets equal
/// weights, not NaN. No gradient flows into the mask.
///
/// # Shapes
/// - q, k, v: `[B, L, heads * size]`, mask: `[B, L]` 1 real, 0 padding - output: `[B, L, heads * size]`
pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: Option<Tensor<2>>,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    fused!(attention(q, k, v, heads, mask, rate, noise),
        (q, k, v, mask) => composed::attention(q, k, v, heads, mask, rate, noise))
}

/// Rows of `weight` by `ids`.
///
/// # Shapes
/// - weight: `[V, H]`, ids: `[B, L]` - output: `[B, L, H]`
///
/// # Panics
/// When an id lies outside of the table.
pub fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    fused!(gather(weight, ids), (weight, ids) => composed::embedding(weight, ids))
}

/// Rows of `x` by `index`.
///
/// # Shapes
/// - x: `[N, H]`, index: `[P]` - output: `[P, H]`
///
/// # Panics
/// When an index lies outside of the matrix.
pub fn select_rows(x: Tensor<2>, index: Tensor<1, Int>) -> Tensor<2> {
    fused!(gather(x, index), (x, index) => composed::select_rows(x, index))
}

/// `ln sum exp` of each row.
///
/// # Shapes
/// - logits: `[P, V]` - output: `[P]`
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    fused!(log_sum_exp(logits), logits => composed::log_sum_exp(logits))
}

/// `log_sum_exp(logits) - logits[gold]` of each row, exact for logits up to 1e4 and beyond.
///
/// # Shapes
/// - logits: `[P, V]`, gold: `[P]` - output: `[P]`
///
/// # Panics
/// When an id lies outside of the vocabulary.
pub fn cross_entropy_rows(logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    fused!(cross_entropy_rows(logits, gold), (logits, gold) => composed::cross_entropy_rows(logits, gold))
}

/// Binary cross-entropy of each element: `max(x, 0) - x t + ln(1 + exp(-|x|))`.
pub fn bce_with_logits<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    fused!(bce_with_logits(logits, targets), (logits, targets) => composed::bce_with_logits(logits, targets))
}

/// For tests: the factors (0 or `1 / (1 - rate)`) by which the kernels multiply `rows` rows of `width` elements when dropout
/// takes `seed` from [`Noise::next_seed`].
#[doc(hidden)]
#[cfg(feature = "flex")]
pub fn dropout_factors(rows: usize, width: usize, rate: f64, seed: u64) -> Vec<f32> {
    flex::dropout_factors(rows, width, rate, seed)
}
