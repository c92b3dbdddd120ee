//! Every operation out of plain Burn operations: the reference, on any backend, differentiable by Burn itself.

use burn::tensor::activation;
use burn::tensor::{Distribution, Int, Tensor, module};

use crate::Noise;
use crate::precision::{exact, matmul};

/// Sets a share `rate` of the elements to 0 and scales the others by `1 / (1 - rate)`. The mask comes from the device's generator,
/// which the trainer seeds before each micro-step.
pub fn dropout<const D: usize>(x: Tensor<D>, rate: f64, noise: &Noise) -> Tensor<D> {
    if !noise.is_training() || rate <= 0.0 {
        return x;
    }
    noise.next_seed();
    let kept = x.random_like(Distribution::Bernoulli(1.0 - rate)).detach();
    x * kept.mul_scalar(1.0 / (1.0 - rate))
}

/// Layer normalisation over the last axis.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().powi_scalar(2).mean_dim(D - 1);
    centred / (variance.add_scalar(epsilon)).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

/// `layer_norm(residual + dropout(x))`.
pub fn residual_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    rate: f64,
    noise: &Noise,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    layer_norm(residual + dropout(x, rate, noise), gamma, beta, epsilon)
}

/// `x Phi(x)`, with the exact error function.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// `x W + b` over the last axis; `weight` is `[in, out]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    if exact() {
        return module::linear(x, weight, bias);
    }
    let out = matmul(x, weight.unsqueeze());
    match bias {
        Some(bias) => out + bias.unsqueeze(),
        None => out,
    }
}

/// Scaled dot-product attention with dropout on the weights; see [`crate::attention`].
pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: Option<Tensor<2>>,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    let size = width / heads;
    let split = |x: Tensor<3>| x.reshape([batch, length, heads, size]).swap_dims(1, 2);
    let scores = matmul(split(q), split(k).swap_dims(2, 3)).mul_scalar(1.0 / (size as f64).sqrt());
    let scores = match mask {
        // Far below any score, yet finite: a row without a single real key gets equal weights, not NaN.
        Some(mask) => scores + (mask.reshape([batch, 1, 1, length]).sub_scalar(1.0)).mul_scalar(1e9),
        None => scores,
    };
    let weights = dropout(activation::softmax(scores, 3), rate, noise);
    matmul(weights, split(v)).swap_dims(1, 2).reshape([batch, length, width])
}

/// Rows of `weight` `[V, H]` by `ids` `[B, L]`.
pub fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    module::embedding(weight, ids)
}

/// Rows of `x` `[N, H]` by `index` `[P]`.
pub fn select_rows(x: Tensor<2>, index: Tensor<1, Int>) -> Tensor<2> {
    x.select(0, index)
}

/// `ln sum exp` of each row of `[P, V]`, `[P]`.
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let largest = logits.clone().detach().max_dim(1);
    ((logits - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim(1)
}

/// `log_sum_exp(logits) - logits[gold]` of each row, `[P]`.
pub fn cross_entropy_rows(logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    // Both terms are taken after the largest logit is subtracted: the difference of two numbers around 1e4 would lose digits.
    let largest = logits.clone().detach().max_dim(1);
    let shifted = logits - largest;
    let gold = shifted.clone().gather(1, gold.unsqueeze_dim(1));
    (shifted.exp().sum_dim(1).log() - gold).squeeze_dim(1)
}

/// Binary cross-entropy of each element: `max(x, 0) - x t + ln(1 + exp(-|x|))`.
pub fn bce_with_logits<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    // max(x, 0) as (x + |x|) / 2, whose derivative at 0 is the right one, 1/2.
    let size = logits.clone().abs();
    let positive_part = (logits.clone() + size.clone()).mul_scalar(0.5);
    positive_part - logits * targets + size.neg().exp().log1p()
}
