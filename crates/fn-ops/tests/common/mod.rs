//! Inputs in many layouts, and an operation's output and gradients as plain numbers.
#![allow(dead_code)]

use burn::tensor::{Device, Tensor, TensorData};

/// Repeatable numbers in [-1, 1), about as many small as large ones.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32) / 8_388_608.0 - 1.0
        })
        .collect()
}

pub fn device() -> Device {
    Device::flex().autodiff()
}

pub fn constant<const D: usize>(shape: [usize; D], seed: u64, size: f32) -> Tensor<D> {
    let n = shape.iter().product();
    let values = numbers(n, seed).into_iter().map(|x| x * size).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

pub fn leaf<const D: usize>(shape: [usize; D], seed: u64, size: f32) -> Tensor<D> {
    constant(shape, seed, size).require_grad()
}

/// How an input lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lies {
    Plain,
    /// First and last axis swapped.
    Turned,
    /// A part of something larger.
    Sliced,
    /// One axis backwards.
    Flipped,
    /// The first rows of something larger: contiguous, but not alone in its buffer.
    Headed,
}

pub const ALL: [Lies; 5] = [Lies::Plain, Lies::Turned, Lies::Sliced, Lies::Flipped, Lies::Headed];

/// A leaf and the view of it with the given shape.
pub fn viewed<const D: usize>(lies: Lies, shape: [usize; D], seed: u64, size: f32) -> (Tensor<D>, Tensor<D>) {
    let mut larger = shape;
    match lies {
        Lies::Plain | Lies::Flipped => {}
        Lies::Turned => larger.swap(0, D - 1),
        Lies::Sliced => larger.iter_mut().for_each(|n| *n += 2),
        Lies::Headed => larger[0] += 3,
    }
    let leaf = leaf(larger, seed, size);
    let view = match lies {
        Lies::Plain => leaf.clone(),
        Lies::Turned => leaf.clone().swap_dims(0, D - 1),
        Lies::Sliced => leaf.clone().slice(shape.map(|n| 1..n + 1)),
        Lies::Flipped => leaf.clone().flip([D as isize - 1]),
        Lies::Headed => leaf.clone().slice(shape.map(|n| 0..n)),
    };
    assert_eq!(view.dims(), shape);
    (leaf, view)
}

pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// The gradient of `sum(output * w)` for fixed w, at each leaf in turn, after the output itself.
pub fn results<const D: usize>(output: Tensor<D>, leaves: &[&dyn Leaf]) -> Vec<Vec<f32>> {
    let mut all = vec![values(&output)];
    let weights = constant(output.dims(), 99, 1.0);
    let gradients = (output * weights).sum().backward();
    all.extend(leaves.iter().map(|leaf| leaf.gradient(&gradients)));
    all
}

pub trait Leaf {
    fn gradient(&self, gradients: &burn::tensor::Gradients) -> Vec<f32>;
}

impl<const D: usize> Leaf for Tensor<D> {
    /// Empty where there is none.
    fn gradient(&self, gradients: &burn::tensor::Gradients) -> Vec<f32> {
        self.grad(gradients).map(|g| g.to_data().iter::<f32>().collect()).unwrap_or_default()
    }
}

/// Same lengths, and each element within `tolerance`, relative above 1.
#[track_caller]
pub fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (which, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "result {which}");
        for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
            let close = (f - e).abs() <= tolerance * e.abs().max(1.0) || f.to_bits() == e.to_bits();
            assert!(close, "result {which} (0 is the output), element {i}: {f} instead of {e}");
        }
    }
}

pub fn bits(results: &[Vec<f32>]) -> Vec<Vec<u32>> {
    results.iter().map(|r| r.iter().map(|x| x.to_bits()).collect()).collect()
}
