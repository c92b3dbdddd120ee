//! Each operation of fn-ops against its composed twin, forward and backward, at the sizes of ELECTRA-small (batch 16 x 128, whose
//! tokens are the elements of the throughput). On devices without a kernel of ours both are the same code.

#![allow(clippy::expect_used, missing_docs)] // a bench that cannot be set up has nothing to say

mod common;

use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput};
use fn_ops::adamw::{self, Coefficients, Slot};
use fn_ops::{MatmulPrecision, Noise, composed};

const TOKENS: [usize; 3] = [16, 128, 256];
const INNER: usize = 1024;
const HEADS: usize = 4;
const RATE: f64 = 0.1;
const EPSILON: f64 = 1e-12;
/// Masked rows of a batch of 16 x 128 at 15 %.
const MASKED: usize = 304;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device).require_grad()
}

/// Forward, backward, and one value read, so that the device has done its work.
fn both<const D: usize, const E: usize>(leaf: &Tensor<D>, out: Tensor<E>) -> f32 {
    let gradients = out.sum().backward();
    leaf.grad(&gradients).expect("a gradient").sum().into_scalar::<f32>()
}

fn compare(
    criterion: &mut Criterion,
    operation: &str,
    mut arms: impl FnMut(&Device) -> [Box<dyn FnMut() -> f32>; 2],
) {
    let mut group = criterion.benchmark_group(format!("ops/{operation}"));
    group.sample_size(20).throughput(Throughput::Elements((TOKENS[0] * TOKENS[1]) as u64));
    for (name, device) in common::devices() {
        let [mut fused, mut composed] = arms(&device.autodiff());
        group.bench_function(BenchmarkId::new(name, "fused"), |bencher| bencher.iter(&mut fused));
        group.bench_function(BenchmarkId::new(name, "composed"), |bencher| bencher.iter(&mut composed));
    }
    group.finish();
}

/// The same with operands of products rounded to bf16.
fn in_bf16(arms: [Box<dyn FnMut() -> f32>; 2]) -> [Box<dyn FnMut() -> f32>; 2] {
    arms.map(|mut arm| -> Box<dyn FnMut() -> f32> {
        Box::new(move || {
            fn_ops::set_matmul_precision(MatmulPrecision::Bf16);
            let out = arm();
            fn_ops::set_matmul_precision(MatmulPrecision::F32);
            out
        })
    })
}

/// The same call on both sides: `call!(operation(x, ..), x)`, x the leaf whose gradient is read.
macro_rules! call {
    ($name:ident($($argument:expr),*), $leaf:ident $(, $kept:ident)*) => {{
        let twin = {
            let ($leaf, $($kept,)*) = ($leaf.clone(), $($kept.clone(),)*);
            move || both(&$leaf, composed::$name($($argument),*))
        };
        let fused = move || both(&$leaf, fn_ops::$name($($argument),*));
        [Box::new(fused) as Box<dyn FnMut() -> f32>, Box::new(twin)]
    }};
}

fn rows(criterion: &mut Criterion) {
    compare(criterion, "dropout", |device| {
        let x = random(TOKENS, device);
        call!(dropout(x.clone(), RATE, &Noise::new(1)), x)
    });
    compare(criterion, "layer_norm", |device| {
        let (x, g, b) = (random(TOKENS, device), random([TOKENS[2]], device), random([TOKENS[2]], device));
        call!(layer_norm(x.clone(), g.clone(), b.clone(), EPSILON), x, g, b)
    });
    compare(criterion, "residual_layer_norm", |device| {
        let (x, y) = (random(TOKENS, device), random(TOKENS, device));
        let (g, b) = (random([TOKENS[2]], device), random([TOKENS[2]], device));
        call!(
            residual_layer_norm(x.clone(), y.clone(), RATE, &Noise::new(1), g.clone(), b.clone(), EPSILON),
            x,
            y,
            g,
            b
        )
    });
    compare(criterion, "gelu", |device| {
        let x = random([TOKENS[0], TOKENS[1], INNER], device);
        call!(gelu(x.clone()), x)
    });
}

fn linear(device: &Device) -> [Box<dyn FnMut() -> f32>; 2] {
    let (x, w) = (random(TOKENS, device), random([TOKENS[2], INNER], device));
    let b = random([INNER], device);
    call!(linear(x.clone(), w.clone(), Some(b.clone())), x, w, b)
}

fn attention(device: &Device) -> [Box<dyn FnMut() -> f32>; 2] {
    let (q, k, v) = (random(TOKENS, device), random(TOKENS, device), random(TOKENS, device));
    call!(attention(q.clone(), k.clone(), v.clone(), HEADS, None, RATE, &Noise::new(1)), q, k, v)
}

fn products(criterion: &mut Criterion) {
    compare(criterion, "linear", linear);
    compare(criterion, "linear-bf16", |device| in_bf16(linear(device)));
    compare(criterion, "attention", attention);
    compare(criterion, "attention-bf16", |device| in_bf16(attention(device)));
}

fn vocabulary(criterion: &mut Criterion) {
    let ids = |shape: [usize; 1], device: &Device| -> Tensor<1, Int> {
        Tensor::random(shape, Distribution::Uniform(0.0, common::VOCABULARY as f64), &device.clone().inner())
    };
    compare(criterion, "embedding", |device| {
        let table = random([common::VOCABULARY, 128], device);
        let ids = ids([TOKENS[0] * TOKENS[1]], device).reshape([TOKENS[0], TOKENS[1]]);
        call!(embedding(table.clone(), ids.clone()), table, ids)
    });
    compare(criterion, "select_rows", |device| {
        let x = random([TOKENS[0] * TOKENS[1], TOKENS[2]], device);
        let index = Tensor::<1, Int>::arange(0..MASKED as i64, &device.clone().inner()) * 6;
        call!(select_rows(x.clone(), index.clone()), x, index)
    });
    compare(criterion, "cross_entropy_rows", |device| {
        let logits = random([MASKED, common::VOCABULARY], device);
        let gold = ids([MASKED], device);
        call!(cross_entropy_rows(logits.clone(), gold.clone()), logits, gold)
    });
    compare(criterion, "log_sum_exp", |device| {
        let logits = random([MASKED, common::VOCABULARY], device);
        call!(log_sum_exp(logits.clone()), logits)
    });
    compare(criterion, "bce_with_logits", |device| {
        let logits = random([TOKENS[0], TOKENS[1]], device);
        let targets = Tensor::<2>::zeros([TOKENS[0], TOKENS[1]], device);
        call!(bce_with_logits(logits.clone(), targets.clone()), logits, targets)
    });
}

/// One update of a matrix of 1,024 x 1,024.
fn optimiser(criterion: &mut Criterion) {
    let k = Coefficients {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        rate: 1e-4,
        root: 1.0,
        decay: 1e-6,
        gradient: 1.0,
    };
    compare(criterion, "adamw", |device| {
        let device = device.clone().inner();
        let arm = |update: fn(Slot, Tensor<1>, &Coefficients) -> Slot| -> Box<dyn FnMut() -> f32> {
            let zeros = || Tensor::<1>::zeros([INNER * INNER], &device);
            let gradient = Tensor::<1>::ones([INNER * INNER], &device);
            let mut slot = Some(Slot { param: zeros(), m: zeros(), v: zeros() });
            Box::new(move || {
                let next = update(slot.take().expect("put back each time"), gradient.clone(), &k);
                let first = next.param.clone().narrow(0, 0, 1).into_scalar::<f32>();
                slot = Some(next);
                first
            })
        };
        [arm(adamw::update), arm(adamw::composed::update)]
    });
}

fn main() {
    common::on_pool(&[rows, products, vocabulary, optimiser]);
}
