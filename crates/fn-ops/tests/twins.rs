//! Every kernel equals its composed twin: values, and gradients of all inputs, for random shapes and layouts in memory.

mod common;

use burn::tensor::{Int, Tensor, TensorData};
use common::*;
use fn_ops::{Noise, composed};
use proptest::prelude::*;

fn lies() -> impl Strategy<Value = Lies> {
    proptest::sample::select(ALL.to_vec())
}

fn ids<const D: usize>(shape: [usize; D], limit: usize, seed: u64) -> Tensor<D, Int> {
    let n = shape.iter().product();
    let ids: Vec<i32> =
        numbers(n, seed).into_iter().map(|x| ((x + 1.0) / 2.0 * limit as f32) as i32).collect();
    let ids: Vec<i32> = ids.into_iter().map(|id| id.min(limit as i32 - 1)).collect();
    Tensor::from_data(TensorData::new(ids, shape), &device())
}

/// The factors that the kernels used when they took the first seed of `Noise::new(seed)`.
fn factors<const D: usize>(shape: [usize; D], width: usize, rate: f64, seed: u64) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let first = Noise::new(seed).next_seed();
    Tensor::from_data(
        TensorData::new(fn_ops::dropout_factors(n / width, width, rate, first), shape),
        &device(),
    )
}

/// Attention with given factors in place of dropout.
fn attention_with(
    [q, k, v]: [Tensor<3>; 3],
    heads: usize,
    mask: Option<Tensor<2>>,
    factors: Option<Tensor<4>>,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    let split = |x: Tensor<3>| x.reshape([batch, length, heads, width / heads]).swap_dims(1, 2);
    let mut scores = split(q).matmul(split(k).swap_dims(2, 3)) / ((width / heads) as f64).sqrt();
    if let Some(mask) = mask {
        scores = scores + (mask.reshape([batch, 1, 1, length]) - 1.0) * 1e9;
    }
    let mut weights = burn::tensor::activation::softmax(scores, 3);
    if let Some(factors) = factors {
        weights = weights * factors;
    }
    weights.matmul(split(v)).swap_dims(1, 2).reshape([batch, length, width])
}

/// Real tokens first, a hole, or nothing real at all, one kind after the other.
fn mask(batch: usize, length: usize, seed: u64) -> Tensor<2> {
    let real = |b: usize, l: usize| match (b + seed as usize) % 5 {
        0 => true,
        1 => l <= length / 2,
        2 => l % 3 != 1,
        3 => false,
        _ => l == length - 1,
    };
    let mask: Vec<f32> =
        (0..batch * length).map(|i| f32::from(u8::from(real(i / length, i % length)))).collect();
    Tensor::from_data(TensorData::new(mask, [batch, length]), &device())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn gelu_equals_its_twin(shape in [1usize..6, 1..9, 1..70], lies in lies(), size in 0.1f32..12.0, seed: u64) {
        let run = |f: fn(Tensor<3>) -> Tensor<3>| {
            let (leaf, x) = viewed(lies, shape, seed, size);
            results(f(x), &[&leaf])
        };
        assert_close(&run(fn_ops::gelu), &run(composed::gelu), 2e-6);
    }

    #[test]
    fn dropout_multiplies_by_its_factors(shape in [1usize..6, 1..9, 1..70], lies in lies(), rate in 0.01..0.9, seed: u64) {
        let (leaf, x) = viewed(lies, shape, seed, 1.0);
        let found = results(fn_ops::dropout(x.clone(), rate, &Noise::new(seed)), &[&leaf]);
        let (leaf, x) = viewed(lies, shape, seed, 1.0);
        let expected = results(x * factors(shape, shape[2], rate, seed), &[&leaf]);
        assert_close(&found, &expected, 1e-6);
    }

    #[test]
    fn layer_norm_equals_its_twin(
        shape in [1usize..6, 1..9, 2..70], lies in lies(), size in 0.1f32..10.0, epsilon in 1e-12..1e-2f64, seed: u64
    ) {
        let run = |f: fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>| {
            let (leaf, x) = viewed(lies, shape, seed, size);
            let (g, gamma) = viewed(lies, [shape[2]], seed ^ 1, 1.0);
            let (b, beta) = viewed(lies, [shape[2]], seed ^ 2, 1.0);
            results(f(x, gamma, beta, epsilon), &[&leaf, &g, &b])
        };
        // Two elements that are nearly equal make the scale large and rounding visible.
        let width = if shape[2] < 8 { 5e-3 } else { 2e-5 };
        assert_close(&run(fn_ops::layer_norm), &run(composed::layer_norm), width);
    }

    #[test]
    fn residual_layer_norm_equals_its_twin(
        shape in [1usize..6, 1..9, 8..70], lies in [lies(), lies()], rate in 0.0..0.6, seed: u64
    ) {
        let run = |fused: bool| {
            let (a, x) = viewed(lies[0], shape, seed, 1.0);
            let (r, residual) = viewed(lies[1], shape, seed ^ 5, 1.0);
            let (g, b) = (leaf([shape[2]], seed ^ 1, 1.0), leaf([shape[2]], seed ^ 2, 1.0));
            let y = if fused {
                fn_ops::residual_layer_norm(x, residual, rate, &Noise::new(seed), g.clone(), b.clone(), 1e-6)
            } else {
                let x = if rate > 0.0 { x * factors(shape, shape[2], rate, seed) } else { x };
                composed::layer_norm(x + residual, g.clone(), b.clone(), 1e-6)
            };
            results(y, &[&a, &r, &g, &b])
        };
        assert_close(&run(true), &run(false), 5e-5);
    }

    #[test]
    fn linear_equals_its_twin(
        shape in [1usize..6, 1..9, 1..40], output in 1usize..40, lies in [lies(), lies(), lies()], bias: bool, seed: u64
    ) {
        let run = |f: fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>) -> Tensor<3>| {
            let (leaf, x) = viewed(lies[0], shape, seed, 1.0);
            let (w, weight) = viewed(lies[1], [shape[2], output], seed ^ 1, 1.0);
            let (b, bias_view) = viewed(lies[2], [output], seed ^ 2, 1.0);
            let y = f(x, weight, bias.then_some(bias_view));
            if bias { results(y, &[&leaf, &w, &b]) } else { results(y, &[&leaf, &w]) }
        };
        assert_close(&run(fn_ops::linear), &run(composed::linear), 1e-5);
    }

    #[test]
    fn attention_equals_its_twin(
        batch in 1usize..5,
        length in prop_oneof![1usize..40, 120usize..140, 250usize..260],
        heads in 1usize..4,
        size in 1usize..20,
        lies in [lies(), lies(), lies()],
        masked: bool,
        rate in prop_oneof![Just(0.0), 0.05f64..0.5],
        seed in 0u64..1 << 40,
    ) {
        let shape = [batch, length, heads * size];
        let mask = masked.then(|| mask(batch, length, seed));
        let run = |fused: bool| {
            let views: Vec<_> = (0..3).map(|i| viewed(lies[i], shape, seed + i as u64, 1.5)).collect();
            let [q, k, v] = [0, 1, 2].map(|i| views[i].1.clone());
            let y = if fused {
                fn_ops::attention(q, k, v, heads, mask.clone(), rate, &Noise::new(seed))
            } else {
                let factors = (rate > 0.0).then(|| factors([batch, heads, length, length], length, rate, seed));
                attention_with([q, k, v], heads, mask.clone(), factors)
            };
            results(y, &[&views[0].0, &views[1].0, &views[2].0])
        };
        assert_close(&run(true), &run(false), 2e-5);
    }

    #[test]
    fn gathered_rows_equal_their_twins(table in 1usize..50, shape in [1usize..5, 1..30], width in 1usize..40, lies in lies(), seed: u64) {
        let run = |f: fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>| {
            let (leaf, weight) = viewed(lies, [table, width], seed, 1.0);
            results(f(weight, ids(shape, table, seed)), &[&leaf])
        };
        assert_close(&run(fn_ops::embedding), &run(composed::embedding), 1e-5);
        let run = |f: fn(Tensor<2>, Tensor<1, Int>) -> Tensor<2>| {
            let (leaf, weight) = viewed(lies, [table, width], seed, 1.0);
            results(f(weight, ids([shape[1]], table, seed)), &[&leaf])
        };
        assert_close(&run(fn_ops::select_rows), &run(composed::select_rows), 1e-5);
    }

    #[test]
    fn cross_entropy_and_log_sum_exp_equal_their_twins(
        rows in 1usize..20, width in 1usize..200, lies in lies(), size in prop_oneof![0.1f32..5.0, Just(17.0), Just(1e4)], seed: u64
    ) {
        let run = |f: fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>| {
            let (leaf, logits) = viewed(lies, [rows, width], seed, size);
            results(f(logits, ids([rows], width, seed ^ 3)), &[&leaf])
        };
        assert_close(&run(fn_ops::cross_entropy_rows), &run(composed::cross_entropy_rows), 3e-6);
        let run = |f: fn(Tensor<2>) -> Tensor<1>| {
            let (leaf, logits) = viewed(lies, [rows, width], seed, size);
            results(f(logits), &[&leaf])
        };
        assert_close(&run(fn_ops::log_sum_exp), &run(composed::log_sum_exp), 3e-6);
    }

    #[test]
    fn binary_cross_entropy_equals_its_twin(shape in [1usize..9, 1..70], lies in [lies(), lies()], size in 0.1f32..90.0, seed: u64) {
        let run = |f: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let (a, x) = viewed(lies[0], shape, seed, size);
            let (b, t) = viewed(lies[1], shape, seed ^ 1, 1.0);
            results(f(x, t), &[&a, &b])
        };
        assert_close(&run(fn_ops::bce_with_logits), &run(composed::bce_with_logits), 2e-6);
    }
}
