//! GELU and binary cross-entropy, element by element.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::Derivative;
use super::memory::{CHUNK, tensor, unwritten, values, whole};
use super::simd::{normal, simd};

simd! {
    fn gelu_chunk<S>(out: &mut [f32], x: &[f32]) {
        for (o, &x) in out.iter_mut().zip(x) { *o = x * normal::<S>(x).0; }
    }

    /// `g (Phi(x) + x phi(x))`.
    fn gelu_backward_chunk<S>(g: &mut [f32], x: &[f32]) {
        for (g, &x) in g.iter_mut().zip(x) {
            let (below, density) = normal::<S>(x);
            *g *= S::fma(x, density, below);
        }
    }
}

/// Saved for the backward pass of [`gelu`]: its input.
#[derive(Debug, Clone)]
pub(crate) struct GeluKept(FlexTensor);

pub(crate) fn gelu(x: FlexTensor, keep: bool) -> (FlexTensor, Option<GeluKept>) {
    let x = whole(x);
    // SAFETY: `gelu_chunk` writes every element and reads none; the chunks of `out` are as long as those of `x`.
    #[allow(unsafe_code)]
    let mut out = unsafe { unwritten(values(&x).len()) };
    out.par_chunks_mut(CHUNK).zip(values(&x).par_chunks(CHUNK)).for_each(|(out, x)| gelu_chunk(out, x));
    let out = tensor(out, x.layout().shape().clone());
    (out, keep.then_some(GeluKept(x)))
}

impl Derivative<1> for GeluKept {
    fn backward(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        // In place if no other handle shares the gradient.
        let mut gradient = whole(gradient);
        let g: &mut [f32] = gradient.storage_mut();
        g.par_chunks_mut(CHUNK)
            .zip(values(&self.0).par_chunks(CHUNK))
            .for_each(|(g, x)| gelu_backward_chunk(g, x));
        [Some(gradient)]
    }
}

/// Saved for the backward pass of [`bce`]: logits and targets.
#[derive(Debug, Clone)]
pub(crate) struct BceKept(FlexTensor, FlexTensor);

/// `max(x, 0) - x t + ln(1 + exp(-|x|))`: one number per token, so the standard library's functions are fast enough.
pub(crate) fn bce(logits: FlexTensor, targets: FlexTensor, keep: bool) -> (FlexTensor, Option<BceKept>) {
    let (logits, targets) = (whole(logits), whole(targets));
    let (x, t) = (values(&logits), values(&targets));
    assert_eq!(x.len(), t.len(), "binary cross-entropy: logits and targets differ in shape");
    // `x * 0.0` keeps NaN, which `max` would drop.
    let loss = |(&x, &t): (&f32, &f32)| x.max(0.0) + x * 0.0 - x * t + (-x.abs()).exp().ln_1p();
    let out: Vec<f32> = x.iter().zip(t).map(loss).collect();
    let out = tensor(out, logits.layout().shape().clone());
    (out, keep.then_some(BceKept(logits, targets)))
}

/// `1 / (1 + exp(-x))`, without overflow.
fn sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

impl Derivative<2> for BceKept {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let shape = gradient.layout().shape().clone();
        let gradient = whole(gradient);
        let (g, x, t) = (values(&gradient), values(&self.0), values(&self.1));
        let logits =
            wanted[0].then(|| g.iter().zip(x).zip(t).map(|((g, &x), t)| g * (sigmoid(x) - t)).collect());
        let targets = wanted[1].then(|| g.iter().zip(x).map(|(g, x)| -g * x).collect());
        [logits.map(|v| tensor(v, shape.clone())), targets.map(|v| tensor(v, shape))]
    }
}
