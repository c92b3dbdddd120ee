//! Scaled dot-product attention on `[batch, length, width]` as it lies: heads are strides, nothing is copied apart.
//!
//! The weights are stored once, before dropout; the backward pass draws the same mask again.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::math::{Mask, exp};
use super::{Inputs, Kernel, input, record, tensor};

#[derive(Debug, Clone)]
struct Attention {
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    /// Softmax of the scores, `[batch, heads, length, length]`.
    weights: FlexTensor,
    mask: Option<Mask>,
    size: Size,
}

#[derive(Debug, Clone, Copy)]
struct Size {
    batch: usize,
    length: usize,
    width: usize,
    heads: usize,
}

impl Size {
    fn head(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.head() as f32).sqrt()
    }

    fn square(self) -> usize {
        self.length * self.length
    }
}

/// A matrix inside of a slice: first element, distance between rows and between columns.
#[derive(Clone, Copy)]
struct View<'a>(&'a [f32], usize, usize);

/// `out = alpha a b` (+ `out` if `add`), `[m, k] x [k, n]`, into rows `stride` apart.
fn multiply([m, k, n]: [usize; 3], alpha: f32, a: View<'_>, b: View<'_>, out: &mut [f32], stride: usize) {
    let last = |v: &View<'_>, rows: usize, cols: usize| (rows - 1) * v.1 + (cols - 1) * v.2;
    assert!(last(&a, m, k) < a.0.len() && last(&b, k, n) < b.0.len() && (m - 1) * stride + n <= out.len());
    #[allow(unsafe_code)]
    // SAFETY: all three matrices lie inside of their slices, checked above; `out` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            false,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            0.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Softmax of each row in place; masked columns (0 in `real`) count as far below any score.
fn softmax(scores: &mut [f32], real: Option<&[f32]>, length: usize) {
    for row in scores.chunks_exact_mut(length) {
        if let Some(real) = real {
            row.iter_mut().zip(real).for_each(|(s, r)| *s += (r - 1.0) * 1e9);
        }
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut lanes = [0.0f32; 16];
        for (i, s) in row.iter_mut().enumerate() {
            *s = exp(*s - largest);
            lanes[i % 16] += *s;
        }
        let inverse = 1.0 / lanes.iter().sum::<f32>();
        row.iter_mut().for_each(|s| *s *= inverse);
    }
}

fn drop_out(weights: &[f32], mask: Option<Mask>, first: usize, out: &mut [f32]) {
    match mask {
        None => out.copy_from_slice(weights),
        Some(mask) => {
            for (i, (o, w)) in out.iter_mut().zip(weights).enumerate() {
                *o = w * mask.factor((first + i) as u32);
            }
        }
    }
}

fn forward(
    [q, k, v]: [&[f32]; 3],
    real: Option<&[f32]>,
    mask: Option<Mask>,
    size: Size,
) -> (Vec<f32>, Vec<f32>) {
    let Size { batch, length: l, width: w, heads } = size;
    let (d, square) = (size.head(), size.square());
    let mut out = vec![0.0f32; batch * l * w];
    let mut weights = vec![0.0f32; batch * heads * square];
    out.par_chunks_mut(l * w).zip(weights.par_chunks_mut(heads * square)).enumerate().for_each(
        |(b, (out, weights))| {
            let mut dropped = vec![0.0f32; square];
            for (h, weights) in weights.chunks_exact_mut(square).enumerate() {
                let at = b * l * w + h * d;
                multiply([l, d, l], size.scale(), View(&q[at..], w, 1), View(&k[at..], 1, w), weights, l);
                softmax(weights, real.map(|r| &r[b * l..(b + 1) * l]), l);
                drop_out(weights, mask, (b * heads + h) * square, &mut dropped);
                multiply([l, l, d], 1.0, View(&dropped, l, 1), View(&v[at..], w, 1), &mut out[h * d..], w);
            }
        },
    );
    (out, weights)
}

impl Kernel<3> for Attention {
    fn backward(self, gradient: &[f32], _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Size { batch, length: l, width: w, heads } = self.size;
        let (d, square, scale) = (self.size.head(), self.size.square(), self.size.scale());
        let (q, k, v): (&[f32], &[f32], &[f32]) = (self.q.storage(), self.k.storage(), self.v.storage());
        let weights: &[f32] = self.weights.storage();
        let n = batch * l * w;
        let (mut dq, mut dk, mut dv) = (vec![0.0f32; n], vec![0.0f32; n], vec![0.0f32; n]);
        dq.par_chunks_mut(l * w)
            .zip(dk.par_chunks_mut(l * w))
            .zip(dv.par_chunks_mut(l * w))
            .enumerate()
            .for_each(|(b, ((dq, dk), dv))| {
                let (mut dropped, mut ds) = (vec![0.0f32; square], vec![0.0f32; square]);
                for h in 0..heads {
                    let at = b * l * w + h * d;
                    let first = (b * heads + h) * square;
                    let p = &weights[first..first + square];
                    let dy = View(&gradient[at..], w, 1);
                    drop_out(p, self.mask, first, &mut dropped);
                    // dV = dropped^T dY, dP = (dY V^T) with the mask.
                    multiply([l, l, d], 1.0, View(&dropped, 1, l), dy, &mut dv[h * d..], w);
                    multiply([l, d, l], 1.0, dy, View(&v[at..], 1, w), &mut ds, l);
                    if let Some(mask) = self.mask {
                        ds.iter_mut().enumerate().for_each(|(i, s)| *s *= mask.factor((first + i) as u32));
                    }
                    for (ds, p) in ds.chunks_exact_mut(l).zip(p.chunks_exact(l)) {
                        let mut lanes = [0.0f32; 16];
                        for (i, (s, p)) in ds.iter().zip(p).enumerate() {
                            lanes[i % 16] += s * p;
                        }
                        let along: f32 = lanes.iter().sum();
                        ds.iter_mut().zip(p).for_each(|(s, p)| *s = p * (*s - along));
                    }
                    multiply([l, l, d], scale, View(&ds, l, 1), View(&k[at..], w, 1), &mut dq[h * d..], w);
                    multiply([l, l, d], scale, View(&ds, 1, l), View(&q[at..], w, 1), &mut dk[h * d..], w);
                }
            });
        let shape = [batch, l, w];
        [dq, dk, dv].map(|g| Some(tensor(g, shape)))
    }
}

/// See [`crate::attention`]; `dropout` is (rate, seed).
pub(crate) fn attention(
    q: &Tensor<3>,
    k: &Tensor<3>,
    v: &Tensor<3>,
    heads: usize,
    real: Option<&Tensor<2>>,
    dropout: Option<(f64, u64)>,
) -> Option<Tensor<3>> {
    let [batch, length, width] = q.dims();
    if k.dims() != q.dims() || v.dims() != q.dims() || length == 0 || heads == 0 || width % heads != 0 {
        return None;
    }
    let size = Size { batch, length, width, heads };
    let inputs = Inputs::of([input(q), input(k), input(v)])?;
    let real: Option<Vec<f32>> = real.map(|r| r.to_data().iter::<f32>().collect());
    let mask = dropout.map(|(rate, seed)| Mask::new(rate, seed));
    Some(record::<3, 3, Attention>(inputs, |[q, k, v]| {
        let (out, weights) = forward([q.storage(), k.storage(), v.storage()], real.as_deref(), mask, size);
        let weights = tensor(weights, [batch, heads, length, length]);
        (tensor(out, [batch, length, width]), Attention { q, k, v, weights, mask, size })
    }))
}
