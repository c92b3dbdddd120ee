//! Tests of the update; `state` tests the optimiser state, `deferred` asynchronous devices.

use std::collections::BTreeMap;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use fn_models::params::{NamedTensor, collect};

use super::*;

mod deferred;
mod sharded;
mod state;

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Norm {
    gamma: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Toy {
    layers: Vec<Layer>,
    norm: Norm,
    unused: Param<Tensor<1>>,
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// Pseudo-random numbers in -1..1.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64)
        .map(|i| {
            let x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xd134_2543_de82_ef95);
            let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((x >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect()
}

fn param<const D: usize>(shape: [usize; D], seed: u64) -> Param<Tensor<D>> {
    let data = TensorData::new(noise(shape.iter().product(), seed), shape);
    Param::initialized(ParamId::new(), Tensor::from_data(data, &device()).require_grad())
}

/// A small network with a hidden layer of `width`; with 200 the first weight has more than one chunk of the fused kernel.
fn toy(width: usize) -> Toy {
    let layer = |from, to, seed| Layer { weight: param([from, to], seed), bias: param([to], seed + 1) };
    Toy {
        layers: vec![layer(100, width, 1), layer(width, 3, 3)],
        norm: Norm { gamma: param([3], 5) },
        unused: param([4], 6),
    }
}

/// Mean over the rows of a smooth function of all parameters except `unused`.
fn loss(toy: &Toy, rows: std::ops::Range<usize>, share: f64) -> Tensor<1> {
    let n = rows.len();
    let x = noise(32 * 100, 9);
    let x = Tensor::<2>::from_data(
        TensorData::new(x[rows.start * 100..rows.end * 100].to_vec(), [n, 100]),
        &device(),
    );
    let hidden = (x.matmul(toy.layers[0].weight.val()) + toy.layers[0].bias.val().unsqueeze()).tanh();
    let out = (hidden.matmul(toy.layers[1].weight.val()) + toy.layers[1].bias.val().unsqueeze())
        * toy.norm.gamma.val().unsqueeze();
    out.add_scalar(1.0).square().mean().mul_scalar(share)
}

fn gradients(toy: &Toy) -> Gradients {
    Gradients::from_backward(toy, loss(toy, 0..8, 1.0).backward())
}

fn optimizer(config: AdamWConfig) -> AdamW {
    AdamW::new(config, Groups::new())
}

fn run(mut toy: Toy, adam: &mut AdamW, steps: usize) -> Toy {
    for _ in 0..steps {
        let g = gradients(&toy);
        toy = adam.step(toy, g, 1e-2).0;
    }
    toy
}

fn bits(tensors: &[NamedTensor]) -> Vec<(String, Vec<u32>)> {
    tensors.iter().map(|t| (t.name.clone(), t.data.iter().map(|x| x.to_bits()).collect())).collect()
}

fn host(tensor: &Tensor<1>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// AdamW as in its paper and in torch's documentation, in f64, with the gradients of the model under test.
#[derive(Default)]
struct Reference {
    params: BTreeMap<String, Vec<f64>>,
    m: BTreeMap<String, Vec<f64>>,
    v: BTreeMap<String, Vec<f64>>,
    t: i32,
}

impl Reference {
    fn step(&mut self, gradients: &Gradients, config: &AdamWConfig, lr: f64) {
        self.t += 1;
        let mut squares = 0.0;
        gradients.visit(|_, g| squares += host(g).iter().map(|x| x * x).sum::<f64>());
        let clip = config.clip_norm.map_or(1.0, |limit| (limit / squares.sqrt()).min(1.0));
        gradients.visit(|path, g| {
            let p = self.params.get_mut(path).unwrap();
            let m = self.m.entry(path.to_owned()).or_insert_with(|| vec![0.0; p.len()]);
            let v = self.v.entry(path.to_owned()).or_insert_with(|| vec![0.0; p.len()]);
            let decay = if path.ends_with("weight") { config.weight_decay } else { 0.0 };
            for (i, g) in host(g).into_iter().enumerate() {
                let g = g * clip;
                m[i] = config.beta1 * m[i] + (1.0 - config.beta1) * g;
                v[i] = config.beta2 * v[i] + (1.0 - config.beta2) * g * g;
                let (mut m, mut v) = (m[i], v[i]);
                if config.bias_correction {
                    m /= 1.0 - config.beta1.powi(self.t);
                    v /= 1.0 - config.beta2.powi(self.t);
                }
                p[i] -= lr * (m / (v.sqrt() + config.epsilon) + decay * p[i]);
            }
        });
    }
}

#[test]
fn the_optimiser_agrees_with_a_plain_reference_in_f64() {
    for bias_correction in [false, true] {
        for clip_norm in [None, Some(0.05)] {
            let config =
                AdamWConfig { bias_correction, clip_norm, weight_decay: 0.1, ..AdamWConfig::default() };
            let mut adam = optimizer(config.clone());
            let mut model = toy(20);
            let mut reference = Reference::default();
            for t in collect(&model) {
                reference.params.insert(t.name, t.data.iter().map(|&x| f64::from(x)).collect());
            }
            let before = reference.params.clone();
            for step in 0..40 {
                let g = gradients(&model);
                let lr = 1e-3 * f64::from(step);
                reference.step(&g, &config, lr);
                model = adam.step(model, g, lr).0;
            }
            for t in collect(&model) {
                for (i, (&got, &expected)) in t.data.iter().zip(&reference.params[&t.name]).enumerate() {
                    let error = (f64::from(got) - expected).abs();
                    assert!(
                        error < 2e-5,
                        "{bias_correction} {clip_norm:?} {}[{i}]: {got} instead of {expected}",
                        t.name
                    );
                }
                let moved =
                    t.data.iter().zip(&before[&t.name]).any(|(&x, &y)| (f64::from(x) - y).abs() > 0.05);
                assert_eq!(moved, t.name != "unused", "{}", t.name);
            }
        }
    }
}

#[test]
fn only_weights_decay() {
    let mut adam = optimizer(AdamWConfig { weight_decay: 0.5, ..AdamWConfig::default() });
    let model = toy(20);
    let before = collect(&model);
    let zero = gradients(&model).scale(0.0);
    let (model, update) = adam.step(model, zero, 0.1);
    assert_eq!(update, Update { grad_norm: 0.0, finite: true, clipped: false });
    for (old, new) in before.iter().zip(collect(&model)) {
        let factor = if new.name.ends_with("weight") { 0.95 } else { 1.0 };
        for (old, new) in old.data.iter().zip(&new.data) {
            assert!((old * factor - new).abs() < 1e-6);
        }
    }
}

#[test]
fn a_learning_rate_factor_equals_a_lower_learning_rate() {
    let factors = Groups::layerwise(0.5, 0, |path| if path.starts_with("layers.0") { 0 } else { 2 });
    assert_eq!(factors.factor("layers.0.weight"), 0.25);
    let model = toy(20);
    let g = gradients(&model);
    let with = AdamW::new(AdamWConfig::default(), factors).step(model.clone(), g.clone(), 0.1).0;
    let full = collect(&optimizer(AdamWConfig::default()).step(model.clone(), g.clone(), 0.1).0);
    let quarter = collect(&optimizer(AdamWConfig::default()).step(model, g, 0.025).0);
    for ((got, full), quarter) in collect(&with).into_iter().zip(full).zip(quarter) {
        let expected = if got.name.starts_with("layers.0") { quarter } else { full };
        assert_eq!(got, expected);
    }
}

#[test]
fn clipping_scales_all_gradients_together_and_reports_the_norm_before() {
    let model = toy(20);
    let g = gradients(&model);
    let norm = g.norm();
    let mut squares = 0.0;
    g.visit(|_, g| squares += host(g).iter().map(|x| x * x).sum::<f64>());
    assert!((norm - squares.sqrt()).abs() <= 1e-12 * norm);

    let clipping = AdamWConfig { clip_norm: Some(norm / 4.0), ..AdamWConfig::default() };
    let (clipped, update) = optimizer(clipping.clone()).step(model.clone(), g.clone(), 0.1);
    assert_eq!(update, Update { grad_norm: norm, finite: true, clipped: true });
    let none = AdamWConfig { clip_norm: None, ..AdamWConfig::default() };
    let (scaled, _) = optimizer(none).step(model.clone(), g.clone().scale(0.25), 0.1);
    for (a, b) in collect(&clipped).iter().zip(collect(&scaled)) {
        for (a, b) in a.data.iter().zip(b.data) {
            assert!((a - b).abs() < 1e-6);
        }
    }
    let (_, update) = optimizer(AdamWConfig { clip_norm: Some(norm), ..clipping }).step(model, g, 0.1);
    assert!(!update.clipped);
}

#[test]
fn accumulated_micro_batches_have_the_gradient_of_one_batch() {
    let model = toy(20);
    let whole = Gradients::from_backward(&model, loss(&model, 0..32, 1.0).backward());
    // Micro-batches of different size: each mean is weighted with its share of the rows.
    let mut sum: Option<Gradients> = None;
    for rows in [0..4, 4..20, 20..21, 21..32] {
        let share = rows.len() as f64 / 32.0;
        let part = Gradients::from_backward(&model, loss(&model, rows, share).backward());
        match &mut sum {
            None => sum = Some(part),
            Some(sum) => sum.accumulate(part),
        }
    }
    let sum = sum.unwrap();
    assert_eq!(sum.len(), whole.len());
    whole.visit(|path, expected| {
        let scale = host(expected).iter().fold(0.0f64, |a, x| a.max(x.abs()));
        for (got, expected) in host(sum.get(path).unwrap()).iter().zip(host(expected)) {
            assert!((got - expected).abs() <= 1e-6 * scale, "{path}: {got} instead of {expected}");
        }
    });
}

#[test]
fn a_gradient_that_only_one_micro_batch_has_is_kept() {
    let model = toy(20);
    let mut all = gradients(&model);
    let mut unused = Gradients::default();
    unused.set("unused", Tensor::from_floats([1.0, 2.0, 3.0, 4.0], &Device::flex()));
    assert_eq!(all.get("unused").map(host), None);
    all.accumulate(unused);
    assert_eq!(all.get("unused").map(host), Some(vec![1.0, 2.0, 3.0, 4.0]));
}

#[test]
fn a_non_finite_gradient_changes_no_bit_of_weights_and_moments() {
    let mut adam = optimizer(AdamWConfig { bias_correction: true, ..AdamWConfig::default() });
    let mut model = run(toy(20), &mut adam, 3);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for path in ["layers.0.weight", "norm.gamma"] {
            let (weights, moments, updates) = (bits(&collect(&model)), bits(&adam.state()), adam.updates());
            let mut g = gradients(&model);
            let mut values = g.get(path).unwrap().to_data().try_into_vec::<f32>().unwrap();
            *values.last_mut().unwrap() = bad;
            let n = values.len();
            g.set(path, Tensor::from_data(TensorData::new(values, [n]), &Device::flex()));
            let (after, update) = adam.step(model, g, 0.1);
            model = after;
            assert!(!update.finite && !update.clipped);
            assert_eq!(update.grad_norm.is_nan(), bad.is_nan(), "the actual value is reported");
            assert_eq!(bits(&collect(&model)), weights);
            assert_eq!(bits(&adam.state()), moments);
            assert_eq!(adam.updates(), updates);
        }
    }
    let before = bits(&collect(&model));
    assert_ne!(bits(&collect(&run(model, &mut adam, 1))), before, "the next finite step is an update");
}

#[test]
fn gradients_whose_squares_overflow_in_f32_are_still_finite() {
    let model = toy(20);
    let (model, update) =
        optimizer(AdamWConfig::default()).step(model.clone(), gradients(&model).scale(1e25), 1e-3);
    assert!(update.finite && update.clipped && update.grad_norm > 1e22);
    assert!(collect(&model).iter().all(|t| t.data.iter().all(|x| x.is_finite())));
}

#[test]
fn parameters_stay_leaves_with_their_ids() {
    let model = toy(20);
    let ids = (model.layers[0].weight.id, model.norm.gamma.id);
    let mut adam = optimizer(AdamWConfig::default());
    let model = run(model, &mut adam, 2);
    assert_eq!((model.layers[0].weight.id, model.norm.gamma.id), ids);
    assert!(model.layers[0].weight.is_require_grad() && model.layers[0].weight.val().is_autodiff());
    assert_eq!(gradients(&model).len(), 5);
    assert_eq!(adam.updates(), 2);
}

#[test]
fn a_clone_of_the_model_keeps_the_old_weights() {
    let model = toy(20);
    let (clone, before) = (model.clone(), bits(&collect(&model)));
    let model = run(model, &mut optimizer(AdamWConfig::default()), 1);
    assert_eq!(bits(&collect(&clone)), before);
    assert_ne!(bits(&collect(&model)), before);
}

#[test]
fn frozen_parameters_stay_as_they_are() {
    let mut model = toy(20);
    model.layers[0].weight = model.layers[0].weight.clone().set_require_grad(false);
    let frozen = collect(&model)[0].clone();
    let mut adam = optimizer(AdamWConfig::default());
    let model = run(model, &mut adam, 2);
    assert_eq!(collect(&model)[0], frozen);
    assert!(!model.layers[0].weight.is_require_grad());
    assert!(adam.state().iter().all(|t| !t.name.contains("layers.0.weight")));
}
