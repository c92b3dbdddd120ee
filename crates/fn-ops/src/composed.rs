//! Every operation built from Burn's own: runs on any backend, differentiated by Burn, and the reference for the kernels.

use burn::tensor::activation;
use burn::tensor::{Bool, Device, Distribution, Int, Tensor, TensorData, module};

use crate::precision::{exact, matmul};
use crate::{Noise, Reach, Rotary};

/// Dropout: sets each element to 0 with probability `rate` and scales the others by `1 / (1 - rate)`. The mask is drawn from the
/// device's random generator; seed that before the pass.
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

/// GELU: `x Phi(x)` with the exact normal distribution.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// Linear layer: `x W + b` over the last axis; `weight` is `[in, out]`.
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

/// GeGLU; see [`crate::geglu`].
pub fn geglu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let half = x.dims()[D - 1] / 2;
    gelu(x.clone().narrow(D - 1, 0, half)) * x.narrow(D - 1, half, half)
}

/// Multi-head scaled dot-product attention; see [`crate::attention`].
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

/// Multi-head scaled dot-product attention; see [`crate::attention_within`]. Its memory grows with L x L.
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
    let [batch, length, width] = q.dims();
    reach.check(batch, length);
    let device = q.device();
    let size = width / heads;
    let split = |x: Tensor<3>| x.reshape([batch, length, heads, size]).swap_dims(1, 2);
    let scores = matmul(split(q), split(k).swap_dims(2, 3)).mul_scalar(1.0 / (size as f64).sqrt());
    let scores = match mask {
        // Far below any score, yet finite: a sequence of padding only gets equal weights, not NaN.
        Some(mask) => scores + (mask.reshape([batch, 1, 1, length]).sub_scalar(1.0)).mul_scalar(1e9),
        None => scores,
    };
    let scores = match out_of_reach(reach, length, &device) {
        // Every query reaches itself, so that no row is all minus infinity.
        Some(out) => scores.mask_fill(out.expand([batch, heads, length, length]), f32::NEG_INFINITY),
        None => scores,
    };
    let weights = dropout(activation::softmax(scores, 3), rate, noise);
    matmul(weights, split(v)).swap_dims(1, 2).reshape([batch, length, width])
}

/// Which keys each query does not reach, `[B or 1, 1, L, L]`.
fn out_of_reach(reach: &Reach, length: usize, device: &Device) -> Option<Tensor<4, Bool>> {
    let places = || Tensor::<1, Int>::arange(0..length as i64, device);
    let far = reach.window.map(|window| {
        let distance = places().reshape([1, 1, length, 1]) - places().reshape([1, 1, 1, length]);
        distance.abs().greater_elem(i64::try_from(window.min(length)).unwrap_or(i64::MAX))
    });
    let other = reach.documents.as_ref().map(|documents| {
        let numbers = ints(documents.numbers(), device);
        let rows = numbers.dims()[0] / length.max(1);
        let [queries, keys] =
            [[rows, 1, length, 1], [rows, 1, 1, length]].map(|shape| numbers.clone().reshape(shape));
        let shape = [rows, 1, length, length];
        queries.expand(shape).not_equal(keys.expand(shape))
    });
    match (far, other) {
        (Some(far), Some(other)) => {
            let shape = other.dims();
            Some(far.expand(shape).bool_or(other))
        }
        (far, other) => far.or(other),
    }
}

fn ints(values: Vec<usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    let count = [values.len()];
    Tensor::from_data(TensorData::new(values, count), device)
}

/// Attention with rotary positions; see [`crate::rotary_attention`].
pub fn rotary_attention(
    qkv: Tensor<3>,
    heads: usize,
    rotary: &Rotary,
    mask: Option<Tensor<2>>,
    reach: &Reach,
    rate: f64,
    noise: &Noise,
) -> Tensor<3> {
    let [batch, length, width] = qkv.dims();
    let (width, device) = (width / 3, qkv.device());
    reach.check(batch, length);
    let positions = match &reach.documents {
        Some(documents) => documents.positions(),
        None => (0..length).collect(),
    };
    let rows = positions.len() / length.max(1);
    let angle = |part: fn((&[f32], &[f32])) -> Vec<f32>| {
        let values: Vec<f32> = positions.iter().flat_map(|&position| part(rotary.at(position))).collect();
        let shape = [rows, length, 1, rotary.size() / 2];
        Tensor::<4>::from_data(TensorData::new(values, shape), &device)
    };
    let (cos, sin) = (angle(|(cos, _)| cos.to_vec()), angle(|(_, sin)| sin.to_vec()));
    let part = |i: usize| qkv.clone().narrow(2, i * width, width);
    let turned = |i: usize| {
        let x = part(i).reshape([batch, length, heads, width / heads]);
        let half = width / heads / 2;
        let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos.clone() + a * sin.clone();
        Tensor::cat(vec![first, second], 3).reshape([batch, length, width])
    };
    attention_within(turned(0), turned(1), part(2), heads, mask, reach, rate, noise)
}

/// Embedding: rows of `weight` `[V, H]` by `ids` `[B, L]`, giving `[B, L, H]`.
pub fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    module::embedding(weight, ids)
}

/// Rows of `x` `[N, H]` by `index` `[P]`, giving `[P, H]`.
pub fn select_rows(x: Tensor<2>, index: Tensor<1, Int>) -> Tensor<2> {
    x.select(0, index)
}

/// `ln(sum(exp(x)))` of each row of `[P, V]`, giving `[P]`.
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let largest = logits.clone().detach().max_dim(1);
    ((logits - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim(1)
}

/// Cross-entropy of each row of `[P, V]` with the class `gold` `[P]`, giving `[P]`.
pub fn cross_entropy_rows(logits: Tensor<2>, gold: Tensor<1, Int>) -> Tensor<1> {
    // The largest logit is subtracted from both terms first: the difference of two numbers around 1e4 would lose digits.
    let largest = logits.clone().detach().max_dim(1);
    let shifted = logits - largest;
    let gold = shifted.clone().gather(1, gold.unsqueeze_dim(1));
    (shifted.exp().sum_dim(1).log() - gold).squeeze_dim(1)
}

/// Binary cross-entropy of each logit, unreduced: `max(x, 0) - x t + ln(1 + exp(-|x|))`.
pub fn bce_with_logits<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    // max(x, 0) as (x + |x|) / 2, whose derivative at 0 is 1/2, as that of the loss must be.
    let size = logits.clone().abs();
    let positive_part = (logits.clone() + size.clone()).mul_scalar(0.5);
    positive_part - logits * targets + size.neg().exp().log1p()
}
