#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod adamw;
pub mod composed;
#[cfg(feature = "flex")]
mod flex;
mod noise;
mod precision;
mod reach;
mod rotary;

pub use noise::Noise;
pub use precision::{Bf16Unit, MatmulPrecision, matmul_precision, set_matmul_precision};
pub use reach::{Documents, Reach};
pub use rotary::Rotary;

use burn::tensor::{Int, Tensor};

/// Which instructions Flex multiplies bf16 matrices with on this processor.
pub fn bf16_unit() -> Bf16Unit {
    #[cfg(feature = "flex")]
    return flex::bf16_unit();
    #[cfg(not(feature = "flex"))]
    Bf16Unit::None
}

/// Runs the kernel if it accepts the inputs, else the composed operation.
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

/// Dropout: sets each element to 0 with probability `rate` and scales the others by `1 / (1 - rate)`. Returns `x` unchanged in
/// evaluation ([`Noise::none`]).
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

/// `layer_norm(residual + dropout(x))`, the end of each half of a transformer layer (post-norm).
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

/// GELU: `x Phi(x)` with the exact normal distribution, not the tanh approximation.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    fused!(gelu(x), x => composed::gelu(x))
}

/// Linear layer: `x W + b` over the last axis.
///
/// # Shapes
/// - x: `[.., in]`, weight: `[in, out]`, bias: `[out]` - output: `[.., out]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    fused!(linear(x, weight, bias), (x, weight, bias) => composed::linear(x, weight, bias))
}

/// `gelu(a) b`, where a and b are the halves of the last axis: the gated feed-forward part of Shazeer 2020.
///
/// # Shapes
/// - x: `[.., 2 F]` - output: `[.., F]`
pub fn geglu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    fused!(geglu(x), x => composed::geglu(x))
}

/// Multi-head scaled dot-product attention, with dropout on the attention weights. A sequence that consists of padding only gets
/// equal weights, not NaN. The mask gets no gradient.
///
/// # Shapes
/// - q, k, v: `[B, L, heads * size]`, mask: `[B, L]`, 1 for tokens, 0 for padding - output: `[B, L, heads * size]`
pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: Option<Tensor<2>>,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    attention_within(q, k, v, heads, mask, &Reach::default(), rate, noise)
}

/// [`attention`] where a query reaches some of the keys only. On Flex its memory grows with L, and its time with L times what a query
/// reaches.
///
/// # Shapes
/// As [`attention`].
///
/// # Panics
/// When `reach` has documents of another batch.
#[allow(clippy::too_many_arguments)]
pub fn attention_within(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: Option<Tensor<2>>,
    reach: &Reach,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    fused!(attention(q, k, v, heads, mask, reach, rate, noise),
        (q, k, v, mask) => composed::attention_within(q, k, v, heads, mask, reach, rate, noise))
}

/// [`attention_within`] of queries and keys that are turned by rotary positions first; these count from the beginning of a document.
///
/// # Shapes
/// - qkv: `[B, L, 3 * heads * size]`, queries, keys and values beside each other - output: `[B, L, heads * size]`
///
/// # Panics
/// When `reach` has documents of another batch; when `rotary` has heads of another size, or fewer than L positions.
pub fn rotary_attention(
    qkv: Tensor<3>,
    heads: usize,
    rotary: &Rotary,
    mask: Option<Tensor<2>>,
    reach: &Reach,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    fused!(rotary_attention(qkv, heads, rotary, mask, reach, rate, noise),
        (qkv, mask) => composed::rotary_attention(qkv, heads, rotary, mask, reach, rate, noise))
}

/// Embedding: the rows of `weight` that `ids` name.
///
/// # Shapes
/// - weight: `[V, H]`, ids: `[B, L]` - output: `[B, L, H]`
///
/// # Panics
/// If an id is not below V.
pub fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    fused!(gather(weight, ids), (weight, ids) => composed::embedding(weight, ids))
}

/// The rows of `x` that `index` names.
///
/// # Shapes
/// - x: `[N, H]`, index: `[P]` - output: `[P, H]`
///
/// # Panics
/// If an index is not below N.
pub fn select_rows(x: Tensor<2>, index: Tensor<1, Int>) -> Tensor<2> {
    fused!(gather(x, index), (x, index) => composed::select_rows(x, index))
}

/// `ln(sum(exp(x)))` of each row, without overflow.
///
/// # Shapes
/// - logits: `[P, V]` - output: `[P]`
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    fused!(log_sum_exp(logits), logits => composed::log_sum_exp(logits))
}

/// Cross-entropy of each row with the class `gold`, unreduced: `log_sum_exp(logits) - logits[gold]`. The largest logit is
/// subtracted first, so large logits (1e4) cost no digits.
///
/// # Shapes
/// - logits: `[P, V]`, gold: `[P]` - output: `[P]`
///
/// # Panics
/// If an id is not below V.
pub fn cross_entropy_rows(logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    fused!(cross_entropy_rows(logits, gold), (logits, gold) => composed::cross_entropy_rows(logits, gold))
}

/// Binary cross-entropy of each logit, unreduced: `max(x, 0) - x t + ln(1 + exp(-|x|))`.
pub fn bce_with_logits<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    fused!(bce_with_logits(logits, targets), (logits, targets) => composed::bce_with_logits(logits, targets))
}

/// For tests: the factors (0 or `1 / (1 - rate)`), row after row, by which the kernels' dropout multiplies `rows` rows of `width`
/// elements if [`Noise::next_seed`] returned `seed`.
#[doc(hidden)]
#[cfg(feature = "flex")]
pub fn dropout_factors(rows: usize, width: usize, rate: f64, seed: u64) -> Vec<f32> {
    flex::dropout_factors(rows, width, rate, seed)
}
