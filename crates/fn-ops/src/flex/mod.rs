//! Kernels for Flex, Burn's CPU backend: Rust over slices, split over threads in pieces of fixed size.
#![allow(clippy::result_large_err)] // an `Err` returns the operands for the composed operation; it is not a failure

mod activation;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod attention;
mod bf16;
#[cfg(target_arch = "x86_64")]
mod blocks;
mod bridge;
#[cfg(target_arch = "x86_64")]
mod dot;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod guarded;
mod mask;
mod memory;
mod norm;
#[cfg(target_arch = "x86_64")]
mod pack;
mod product;
mod rows;
mod simd;
#[cfg(test)]
mod skipped;

use burn::tensor::{Int, Tensor};

use crate::{Noise, Reach, Rotary, matmul_precision};
pub use bf16::unit as bf16_unit;
use bridge::{Input, run, takes, takes_ids};
use mask::Dropout;

/// Returns `Err($inputs)` unless `$ok`.
macro_rules! or_back {
    ($inputs:expr, $ok:expr) => {
        if !$ok {
            return Err($inputs);
        }
    };
}

/// See [`crate::dropout`].
pub(crate) fn dropout<const D: usize>(
    x: Tensor<D>,
    rate: f64,
    noise: &Noise,
) -> Result<Tensor<D>, Tensor<D>> {
    or_back!(x, takes(&x));
    let Some(dropout) = Dropout::new(rate, noise) else { return Ok(x) };
    Ok(run([Input::new(x)], |[x], [tracked]| norm::dropout(x, dropout, tracked)))
}

/// x, gamma, beta.
type Norm<const D: usize> = (Tensor<D>, Tensor<1>, Tensor<1>);

/// See [`crate::layer_norm`].
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Result<Tensor<D>, Norm<D>> {
    or_back!((x, gamma, beta), takes(&x) && takes(&gamma) && takes(&beta));
    let inputs = [Input::new(x), Input::new(gamma), Input::new(beta)];
    Ok(run(inputs, |[x, gamma, beta], tracked| {
        norm::forward(x, None, gamma, beta, epsilon, None, tracked.contains(&true))
    }))
}

/// x, residual, gamma, beta.
type Residual<const D: usize> = (Tensor<D>, Tensor<D>, Tensor<1>, Tensor<1>);

/// See [`crate::residual_layer_norm`].
pub(crate) fn residual_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    rate: f64,
    noise: &Noise,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Result<Tensor<D>, Residual<D>> {
    let ok = takes(&x) && takes(&residual) && takes(&gamma) && takes(&beta);
    // Different shapes broadcast, which the composed operation does.
    or_back!((x, residual, gamma, beta), ok && x.dims() == residual.dims());
    let dropout = Dropout::new(rate, noise);
    let inputs = [Input::new(x), Input::new(residual), Input::new(gamma), Input::new(beta)];
    Ok(run(inputs, |[x, residual, gamma, beta], tracked| {
        norm::forward(x, Some(residual), gamma, beta, epsilon, dropout, tracked.contains(&true))
    }))
}

/// See [`crate::gelu`].
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
    or_back!(x, takes(&x));
    Ok(run([Input::new(x)], |[x], [tracked]| activation::gelu(x, tracked)))
}

/// See [`crate::geglu`].
pub(crate) fn geglu<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
    or_back!(x, takes(&x));
    Ok(run([Input::new(x)], |[x], [tracked]| activation::geglu(x, tracked)))
}

/// x, weight, bias.
type Linear<const D: usize> = (Tensor<D>, Tensor<2>, Option<Tensor<1>>);

/// See [`crate::linear`].
pub(crate) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Result<Tensor<D>, Linear<D>> {
    let ok = takes(&x) && takes(&weight) && bias.as_ref().is_none_or(takes);
    or_back!((x, weight, bias), ok);
    let (x, weight, precision) = (Input::new(x), Input::new(weight), matmul_precision());
    Ok(match bias {
        Some(bias) => run([x, weight, Input::new(bias)], |[x, weight, bias], tracked| {
            product::linear(x, weight, Some(bias), precision, tracked)
        }),
        None => run([x, weight], |[x, weight], [first, second]| {
            product::linear(x, weight, None, precision, [first, second, false])
        }),
    })
}

/// q, k, v, mask.
type Attention = (Tensor<3>, Tensor<3>, Tensor<3>, Option<Tensor<2>>);

/// See [`crate::attention_within`].
#[allow(clippy::too_many_arguments)]
pub(crate) fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: Option<Tensor<2>>,
    reach: &Reach,
    rate: f64,
    noise: &Noise,
) -> Result<Tensor<3>, Attention> {
    let same = q.dims() == k.dims() && q.dims() == v.dims();
    let ok = same && takes(&q) && takes(&k) && takes(&v) && mask.as_ref().is_none_or(takes);
    or_back!((q, k, v, mask), ok);
    let settings = settings(heads, mask, reach, rate, noise);
    Ok(run([Input::new(q), Input::new(k), Input::new(v)], |qkv, tracked| {
        attention::forward(qkv, settings, tracked.contains(&true))
    }))
}

/// See [`crate::rotary_attention`].
pub(crate) fn rotary_attention(
    qkv: Tensor<3>,
    heads: usize,
    rotary: &Rotary,
    mask: Option<Tensor<2>>,
    reach: &Reach,
    rate: f64,
    noise: &Noise,
) -> Result<Tensor<3>, (Tensor<3>, Option<Tensor<2>>)> {
    let ok = takes(&qkv) && mask.as_ref().is_none_or(takes);
    or_back!((qkv, mask), ok);
    let settings = settings(heads, mask, reach, rate, noise);
    Ok(run([Input::new(qkv)], |[qkv], [tracked]| attention::rotary(qkv, rotary.clone(), settings, tracked)))
}

fn settings(
    heads: usize,
    mask: Option<Tensor<2>>,
    reach: &Reach,
    rate: f64,
    noise: &Noise,
) -> attention::Settings {
    attention::Settings {
        heads,
        mask: mask.map(|mask| Input::new(mask).detached()),
        reach: reach.clone(),
        dropout: Dropout::new(rate, noise),
        precision: matmul_precision(),
    }
}

/// See [`crate::embedding`] and [`crate::select_rows`]: D is the rank of the ids, E that of the output.
pub(crate) fn gather<const D: usize, const E: usize>(
    weight: Tensor<2>,
    ids: Tensor<D, Int>,
) -> Result<Tensor<E>, (Tensor<2>, Tensor<D, Int>)> {
    or_back!((weight, ids), takes(&weight) && takes_ids(&ids));
    let [limit, width] = weight.dims();
    let mut shape = ids.dims().to_vec();
    shape.push(width);
    let ids = memory::ids(bridge::ids(ids), limit, "rows of a matrix");
    Ok(run([Input::new(weight)], |[weight], [tracked]| rows::gather(weight, ids, &shape, tracked)))
}

/// See [`crate::log_sum_exp`].
pub(crate) fn log_sum_exp(logits: Tensor<2>) -> Result<Tensor<1>, Tensor<2>> {
    or_back!(logits, takes(&logits));
    Ok(run([Input::new(logits)], |[logits], [tracked]| rows::log_sum_exp(logits, None, tracked)))
}

/// See [`crate::cross_entropy_rows`].
pub(crate) fn cross_entropy_rows(
    logits: Tensor<2>,
    gold: Tensor<1, Int>,
) -> Result<Tensor<1>, (Tensor<2>, Tensor<1, Int>)> {
    or_back!((logits, gold), takes(&logits) && takes_ids(&gold));
    let gold = memory::ids(bridge::ids(gold), logits.dims()[1], "cross-entropy");
    Ok(run([Input::new(logits)], |[logits], [tracked]| rows::log_sum_exp(logits, Some(gold), tracked)))
}

/// See [`crate::bce_with_logits`].
pub(crate) fn bce_with_logits<const D: usize>(
    logits: Tensor<D>,
    targets: Tensor<D>,
) -> Result<Tensor<D>, (Tensor<D>, Tensor<D>)> {
    let ok = takes(&logits) && takes(&targets) && logits.dims() == targets.dims();
    or_back!((logits, targets), ok);
    let inputs = [Input::new(logits), Input::new(targets)];
    Ok(run(inputs, |[x, t], tracked| activation::bce(x, t, tracked.contains(&true))))
}

/// See [`crate::dropout_factors`].
pub(crate) fn dropout_factors(rows: usize, width: usize, rate: f64, seed: u64) -> Vec<f32> {
    let dropout = Dropout::seeded(rate, seed);
    (0..rows).flat_map(|row| (0..width).map(move |column| dropout.row(row).factor(column as u32))).collect()
}
