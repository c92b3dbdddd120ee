//! GELU, GeGLU and binary cross-entropy, element by element.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::Derivative;
use super::memory::{CHUNK, rows_and_width, rows_per_task, tensor, unwritten, values, whole};
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

    /// `gelu(a) b` of a row that is a and b beside each other.
    fn geglu_row<S>(out: &mut [f32], row: &[f32]) {
        let (a, b) = row.split_at(out.len());
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) { *o = a * normal::<S>(a).0 * b; }
    }

    /// `g b gelu'(a)` and `g gelu(a)` beside each other.
    fn geglu_backward_row<S>(out: &mut [f32], row: &[f32], g: &[f32]) {
        let ((da, db), (a, b)) = (out.split_at_mut(g.len()), row.split_at(g.len()));
        let slopes = da.iter_mut().zip(db);
        for (((da, db), &g), (&a, &b)) in slopes.zip(g).zip(a.iter().zip(b)) {
            let (below, density) = normal::<S>(a);
            *da = g * b * S::fma(a, density, below);
            *db = g * a * below;
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

/// Saved for the backward pass of [`geglu`]: its input.
#[derive(Debug, Clone)]
pub(crate) struct GegluKept(FlexTensor);

/// `gelu(a) b` of `[.., 2 F]`, whose last axis is a and b beside each other.
pub(crate) fn geglu(x: FlexTensor, keep: bool) -> (FlexTensor, Option<GegluKept>) {
    let x = whole(x);
    let (rows, width) = rows_and_width(&x);
    assert!(width % 2 == 0, "geglu: a width of {width}, expected an even number");
    let half = width / 2;
    // SAFETY: `geglu_row` writes every element of a row and reads none; there are as many rows as in x.
    #[allow(unsafe_code)]
    let mut out = unsafe { unwritten(rows * half) };
    if half > 0 {
        let task = rows_per_task(width);
        out.par_chunks_mut(task * half).zip(values(&x).par_chunks(task * width)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(half).zip(x.chunks_exact(width)) {
                geglu_row(out, x);
            }
        });
    }
    let mut shape = x.layout().shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = half;
    (tensor(out, shape), keep.then_some(GegluKept(x)))
}

impl Derivative<1> for GegluKept {
    fn backward(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = whole(gradient);
        let (_, width) = rows_and_width(&self.0);
        let (x, g, half) = (values(&self.0), values(&gradient), width / 2);
        // SAFETY: `geglu_backward_row` writes every element of a row and reads none; there are as many rows as in x.
        #[allow(unsafe_code)]
        let mut out = unsafe { unwritten(x.len()) };
        if half > 0 {
            let task = rows_per_task(width);
            let inputs = x.par_chunks(task * width).zip(g.par_chunks(task * half));
            out.par_chunks_mut(task * width).zip(inputs).for_each(|(out, (x, g))| {
                let inputs = x.chunks_exact(width).zip(g.chunks_exact(half));
                for (out, (x, g)) in out.chunks_exact_mut(width).zip(inputs) {
                    geglu_backward_row(out, x, g);
                }
            });
        }
        [Some(tensor(out, self.0.layout().shape().clone()))]
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
