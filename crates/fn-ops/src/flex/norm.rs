//! Layer normalisation, alone or with the dropout and the residual sum before it: one pass over the rows forward and one backward.
//!
//! ```text
//! h = r + m x        x^ = (h - mean) s        y = gamma x^ + beta        s = 1 / sqrt(variance + epsilon)
//! dh = s (gamma dy - mean(gamma dy) - x^ mean(gamma dy x^))        dr = dh        dx = m dh
//! ```
//! with m the factors of dropout. Saved for the backward pass: x^ and s.

use std::sync::Arc;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::Derivative;
use super::mask::Dropout;
use super::memory::{rows_and_width, rows_per_task, tensor, unwritten, values, whole};
use super::simd::{LANES, simd, sum_lanes};

/// Saved for the backward pass.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    normal: Arc<Vec<f32>>,
    scale: Arc<Vec<f32>>,
    gamma: FlexTensor,
    dropout: Option<Dropout>,
}

simd! {
    /// Replaces h in `out` by `(h - mean) s`; returns s.
    fn normalise<S>(out: &mut [f32], epsilon: f32) -> f32 {
        let n = out.len() as f32;
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = out.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES { lanes[i] += block[i]; }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) { *lane += x; }
        let mean = sum_lanes(lanes) / n;
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = out.as_chunks_mut::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                block[i] -= mean;
                lanes[i] = S::fma(block[i], block[i], lanes[i]);
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *x -= mean;
            *lane = S::fma(*x, *x, *lane);
        }
        let scale = 1.0 / (sum_lanes(lanes) / n + epsilon).sqrt();
        for x in out { *x *= scale; }
        scale
    }

    fn add_dropped<S>(out: &mut [f32], x: &[f32], residual: &[f32], row: usize, dropout: Dropout) {
        let key = dropout.row(row);
        for (column, ((o, &x), &r)) in out.iter_mut().zip(x).zip(residual).enumerate() {
            *o = S::fma(x, key.factor(column as u32), r);
        }
    }

    fn add<S>(out: &mut [f32], x: &[f32], residual: &[f32]) {
        for ((o, &x), &r) in out.iter_mut().zip(x).zip(residual) { *o = x + r; }
    }

    fn scale_shift<S>(out: &mut [f32], normal: &[f32], gamma: &[f32], beta: &[f32]) {
        for (((o, &x), &g), &b) in out.iter_mut().zip(normal).zip(gamma).zip(beta) { *o = S::fma(x, g, b); }
    }

    fn scale_shift_in_place<S>(out: &mut [f32], gamma: &[f32], beta: &[f32]) {
        for ((o, &g), &b) in out.iter_mut().zip(gamma).zip(beta) { *o = S::fma(*o, g, b); }
    }

    /// Replaces dy in `g` by dh; adds to dgamma and dbeta.
    fn backward_row<S>(g: &mut [f32], normal: &[f32], gamma: &[f32], scale: f32, dgamma: &mut [f32], dbeta: &mut [f32]) {
        let n = g.len();
        let (normal, gamma) = (&normal[..n], &gamma[..n]);
        let (dgamma, dbeta) = (&mut dgamma[..n], &mut dbeta[..n]);
        let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
        let even = n / LANES * LANES;
        let mut at = 0;
        while at < even {
            for i in 0..LANES {
                let (dy, x) = (g[at + i], normal[at + i]);
                dgamma[at + i] = S::fma(dy, x, dgamma[at + i]);
                dbeta[at + i] += dy;
                let d = dy * gamma[at + i];
                g[at + i] = d;
                first[i] += d;
                second[i] = S::fma(d, x, second[i]);
            }
            at += LANES;
        }
        for i in even..n {
            let (dy, x) = (g[i], normal[i]);
            dgamma[i] = S::fma(dy, x, dgamma[i]);
            dbeta[i] += dy;
            let d = dy * gamma[i];
            g[i] = d;
            first[i - even] += d;
            second[i - even] = S::fma(d, x, second[i - even]);
        }
        let (first, second) = (sum_lanes(first) / n as f32, sum_lanes(second) / n as f32);
        for (d, &x) in g.iter_mut().zip(normal) {
            *d = S::fma(-second, x, *d - first) * scale;
        }
    }

    fn drop_into<S>(out: &mut [f32], x: &[f32], row: usize, dropout: Dropout) {
        let key = dropout.row(row);
        for (column, (o, &x)) in out.iter_mut().zip(x).enumerate() { *o = x * key.factor(column as u32); }
    }
}

/// `y`, and what its backward pass needs if `keep`. `residual` has the shape of `x`.
pub(crate) fn forward(
    x: FlexTensor,
    residual: Option<FlexTensor>,
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
    dropout: Option<Dropout>,
    keep: bool,
) -> (FlexTensor, Option<Kept>) {
    let shape = x.layout().shape().clone();
    let (rows, width) = rows_and_width(&x);
    let (x, residual, gamma, beta) = (whole(x), residual.map(whole), whole(gamma), whole(beta));
    assert_eq!(values(&gamma).len(), width, "layer norm over {width} elements: gamma has another length");
    assert_eq!(values(&beta).len(), width, "layer norm over {width} elements: beta has another length");
    let (xs, rs, gs, bs) = (values(&x), residual.as_ref().map(values), values(&gamma), values(&beta));
    assert!(rs.is_none_or(|r| r.len() == xs.len()), "layer norm: input and residual differ in shape");
    let epsilon = epsilon as f32;
    let load = |out: &mut [f32], row: usize| {
        let part = row * width..(row + 1) * width;
        match (rs, dropout) {
            (Some(r), Some(dropout)) => add_dropped(out, &xs[part.clone()], &r[part], row, dropout),
            (Some(r), None) => add(out, &xs[part.clone()], &r[part]),
            (None, _) => out.copy_from_slice(&xs[part]),
        }
    };
    // SAFETY: here and below, each row of `y` and `normal` is first written by `load` or `scale_shift`, `scale` by the result of
    // `normalise`; where there is no row, there is no element.
    #[allow(unsafe_code)]
    let mut y = unsafe { unwritten(rows * width) };
    let task = rows_per_task(width);
    if width == 0 || rows == 0 {
        return (tensor(y, shape), keep.then(|| Kept::new(Vec::new(), Vec::new(), gamma.clone(), dropout)));
    }
    if !keep {
        y.par_chunks_mut(task * width).enumerate().for_each(|(chunk, y)| {
            for (i, y) in y.chunks_exact_mut(width).enumerate() {
                load(y, chunk * task + i);
                normalise(y, epsilon);
                scale_shift_in_place(y, gs, bs);
            }
        });
        return (tensor(y, shape), None);
    }
    // SAFETY: see `y`.
    #[allow(unsafe_code)]
    let (mut normal, mut scale) = unsafe { (unwritten(rows * width), unwritten(rows)) };
    y.par_chunks_mut(task * width)
        .zip(normal.par_chunks_mut(task * width))
        .zip(scale.par_chunks_mut(task))
        .enumerate()
        .for_each(|(chunk, ((y, normal), scale))| {
            let each = y.chunks_exact_mut(width).zip(normal.chunks_exact_mut(width)).zip(scale);
            for (i, ((y, normal), scale)) in each.enumerate() {
                load(normal, chunk * task + i);
                *scale = normalise(normal, epsilon);
                scale_shift(y, normal, gs, bs);
            }
        });
    let kept = Kept::new(normal, scale, gamma.clone(), dropout);
    (tensor(y, shape), Some(kept))
}

/// The gradients of gamma, beta, h, and x; the last one is `None` without dropout, where it is that of h.
struct Gradients {
    gamma: FlexTensor,
    beta: FlexTensor,
    h: FlexTensor,
    x: Option<FlexTensor>,
}

impl Kept {
    fn new(normal: Vec<f32>, scale: Vec<f32>, gamma: FlexTensor, dropout: Option<Dropout>) -> Self {
        Self { normal: Arc::new(normal), scale: Arc::new(scale), gamma, dropout }
    }

    fn gradients(self, gradient: FlexTensor, want_x: bool) -> Gradients {
        let shape = gradient.layout().shape().clone();
        let (rows, width) = rows_and_width(&gradient);
        // In place if no other handle shares the gradient.
        let mut h = whole(gradient);
        let task = rows_per_task(width);
        let tasks = rows.div_ceil(task);
        let mut partial = vec![0.0f32; tasks * 2 * width];
        let dropped = self.dropout.filter(|_| want_x);
        // SAFETY: `drop_into` writes all rows below, wherever there is an element.
        #[allow(unsafe_code)]
        let mut x = dropped.map(|_| unsafe { unwritten(rows * width) });
        if width > 0 && rows > 0 {
            let gamma = values(&self.gamma);
            let h: &mut [f32] = h.storage_mut();
            let each = h
                .par_chunks_mut(task * width)
                .zip(self.normal.par_chunks(task * width))
                .zip(self.scale.par_chunks(task))
                .zip(partial.par_chunks_mut(2 * width));
            let work = |h: &mut [f32], normal: &[f32], scale: &[f32], partial: &mut [f32]| {
                let (dgamma, dbeta) = partial.split_at_mut(width);
                let rows = h.chunks_exact_mut(width).zip(normal.chunks_exact(width)).zip(scale);
                for ((h, normal), &scale) in rows {
                    backward_row(h, normal, gamma, scale, dgamma, dbeta);
                }
            };
            match (&mut x, dropped) {
                (Some(x), Some(dropout)) => each.zip(x.par_chunks_mut(task * width)).enumerate().for_each(
                    |(chunk, ((((h, normal), scale), partial), x))| {
                        work(h, normal, scale, partial);
                        for (i, (x, h)) in x.chunks_exact_mut(width).zip(h.chunks_exact(width)).enumerate() {
                            drop_into(x, h, chunk * task + i, dropout);
                        }
                    },
                ),
                _ => each.for_each(|(((h, normal), scale), partial)| work(h, normal, scale, partial)),
            }
        }
        // In the order of the tasks.
        let mut sums = vec![0.0f32; 2 * width];
        for partial in partial.chunks_exact((2 * width).max(1)) {
            for (sum, &part) in sums.iter_mut().zip(partial) {
                *sum += part;
            }
        }
        let beta = sums.split_off(width);
        Gradients {
            gamma: tensor(sums, [width]),
            beta: tensor(beta, [width]),
            h,
            x: x.map(|x| tensor(x, shape)),
        }
    }
}

/// Inputs: x, gamma, beta.
impl Derivative<3> for Kept {
    fn backward(self, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let found = self.gradients(gradient, true);
        [Some(found.h), Some(found.gamma), Some(found.beta)]
    }
}

/// Inputs: x, residual, gamma, beta.
impl Derivative<4> for Kept {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let found = self.gradients(gradient, wanted[0]);
        let x = found.x.unwrap_or_else(|| found.h.clone());
        [Some(x), Some(found.h), Some(found.gamma), Some(found.beta)]
    }
}

#[derive(Debug, Clone)]
pub(crate) struct DropoutKept(Dropout);

/// `m x`, and what its backward pass needs if `keep`.
pub(crate) fn dropout(x: FlexTensor, dropout: Dropout, keep: bool) -> (FlexTensor, Option<DropoutKept>) {
    (drop_rows(x, dropout), keep.then_some(DropoutKept(dropout)))
}

fn drop_rows(x: FlexTensor, dropout: Dropout) -> FlexTensor {
    let shape = x.layout().shape().clone();
    let (rows, width) = rows_and_width(&x);
    let x = whole(x);
    // SAFETY: `drop_into` writes every row.
    #[allow(unsafe_code)]
    let mut out = unsafe { unwritten(rows * width) };
    if !out.is_empty() {
        let task = rows_per_task(width);
        out.par_chunks_mut(task * width).zip(values(&x).par_chunks(task * width)).enumerate().for_each(
            |(chunk, (out, x))| {
                for (i, (out, x)) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
                    drop_into(out, x, chunk * task + i, dropout);
                }
            },
        );
    }
    tensor(out, shape)
}

impl Derivative<1> for DropoutKept {
    fn backward(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(drop_rows(gradient, self.0))]
    }
}
