//! Scaled dot-product attention, head by head; the attention weights are not stored.
//!
//! ```text
//! S = Q K^T / sqrt(d) + mask        P = softmax(S)        D = P * M (dropout)        O = D V
//! dV = D^T dO        dP = M * (dO V^T)        dS = P * (dP - rowsum(P * dP))        dQ = dS K / sqrt(d)        dK = dS^T Q / sqrt(d)
//! ```
//! Saved for the backward pass: Q, K, V and two numbers per query (its largest score and the inverse of its sum of exponentials),
//! from which P is computed again; M is computed again from its counter. A head is a range of columns, read and written in place
//! with a stride. A task is one head of one sequence and goes through blocks of queries in order, so the number of threads does
//! not change a sum.

use std::sync::Arc;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::Derivative;
use super::mask::{Dropout, Key};
use super::memory::{tensor, unwritten, values, whole};
use super::product::{Target, View, product};
use super::simd::{LANES, exp, max_of, simd, sum_lanes};
use crate::MatmulPrecision;

/// Queries per block: its scores against 512 keys fit the second-level cache.
const QUERIES: usize = 128;

/// Subtracted from the scores of padding: more than any score, yet finite, so that a sequence of padding only gets equal weights, not
/// NaN.
const MASKED: f32 = 1e9;

/// Sizes, and the precision of products.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    length: usize,
    heads: usize,
    /// Columns of one head.
    size: usize,
    precision: MatmulPrecision,
}

impl Sizes {
    fn width(&self) -> usize {
        self.heads * self.size
    }

    fn scale(&self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }
}

/// For each key, what is added to its scores; for each sequence, the number of keys up to the last one that is not padding.
#[derive(Debug, Clone)]
struct Mask {
    offsets: Vec<f32>,
    keys: Vec<usize>,
}

impl Mask {
    fn new(mask: FlexTensor, sizes: Sizes) -> Self {
        let mask = whole(mask);
        let real = values(&mask);
        assert_eq!(real.len(), sizes.batch * sizes.length, "attention: the mask must be [batch, length]");
        let offsets = real.iter().map(|m| (m - 1.0) * MASKED).collect();
        // Weights of trailing padding are exactly 0 and need not be computed, unless there is nothing but padding.
        let last = |row: &[f32]| row.iter().rposition(|&m| m != 0.0).map_or(row.len(), |i| i + 1);
        Self { offsets, keys: real.chunks_exact(sizes.length).map(last).collect() }
    }
}

/// Saved for the backward pass.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    sizes: Sizes,
    mask: Option<Arc<Mask>>,
    dropout: Option<Dropout>,
    /// The largest score and the inverse sum of exponentials of each `[batch, head, query]`.
    softmax: Arc<Vec<(f32, f32)>>,
}

simd! {
    /// Replaces each score s by `exp(s - largest)` times its factor of dropout. Returns the largest score and the inverse of the sum of
    /// all exponentials (before dropout).
    fn softmax_row<S>(scores: &mut [f32], offsets: Option<&[f32]>, key: Option<Key>) -> (f32, f32) {
        if let Some(offsets) = offsets {
            for (s, &o) in scores.iter_mut().zip(offsets) { *s += o; }
        }
        let largest = max_of(scores);
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = scores.as_chunks_mut::<LANES>();
        match key {
            None => {
                for block in blocks {
                    for i in 0..LANES {
                        block[i] = exp::<S>(block[i] - largest);
                        lanes[i] += block[i];
                    }
                }
                for (lane, x) in lanes.iter_mut().zip(rest) {
                    *x = exp::<S>(*x - largest);
                    *lane += *x;
                }
            }
            Some(key) => {
                let mut column = 0;
                for block in blocks {
                    for i in 0..LANES {
                        let e = exp::<S>(block[i] - largest);
                        lanes[i] += e;
                        block[i] = e * key.factor(column + i as u32);
                    }
                    column += LANES as u32;
                }
                for (i, (lane, x)) in lanes.iter_mut().zip(rest).enumerate() {
                    let e = exp::<S>(*x - largest);
                    *lane += e;
                    *x = e * key.factor(column + i as u32);
                }
            }
        }
        (largest, 1.0 / sum_lanes(lanes))
    }

    fn scale_row<S>(row: &mut [f32], factor: f32) {
        for x in row { *x *= factor; }
    }

    /// Replaces S in `scores` by D, and dD = dO V^T in `slopes` by dS.
    fn backward_row<S>(
        scores: &mut [f32],
        slopes: &mut [f32],
        offsets: Option<&[f32]>,
        softmax: (f32, f32),
        key: Option<Key>,
    ) {
        let n = scores.len();
        let slopes = &mut slopes[..n];
        if let Some(offsets) = offsets {
            for (s, &o) in scores.iter_mut().zip(offsets) { *s += o; }
        }
        let (largest, inverse) = softmax;
        for s in scores.iter_mut() { *s = exp::<S>(*s - largest) * inverse; }
        // dP = M * dD.
        if let Some(key) = key {
            for (column, d) in slopes.iter_mut().enumerate() { *d *= key.factor(column as u32); }
        }
        let mut lanes = [0.0; LANES];
        let even = n / LANES * LANES;
        for (p, d) in scores[..even].chunks_exact(LANES).zip(slopes[..even].chunks_exact(LANES)) {
            for i in 0..LANES { lanes[i] = S::fma(p[i], d[i], lanes[i]); }
        }
        for i in even..n { lanes[i - even] = S::fma(scores[i], slopes[i], lanes[i - even]); }
        let mean = sum_lanes(lanes);
        for (d, &p) in slopes.iter_mut().zip(&*scores) { *d = p * (*d - mean); }
        if let Some(key) = key {
            for (column, p) in scores.iter_mut().enumerate() { *p *= key.factor(column as u32); }
        }
    }
}

/// A tensor `[B, L, N d]` with its strides; the last axis is contiguous.
#[derive(Clone, Copy)]
struct Heads<'a> {
    data: &'a [f32],
    start: usize,
    batch_stride: isize,
    row_stride: isize,
    size: usize,
}

impl<'a> Heads<'a> {
    fn new(tensor: &'a FlexTensor, sizes: Sizes) -> Self {
        let (layout, size) = (tensor.layout(), sizes.size);
        let (batch_stride, row_stride) = (layout.strides()[0], layout.strides()[1]);
        Self { data: tensor.storage(), start: layout.start_offset(), batch_stride, row_stride, size }
    }

    /// One head from row `from` on: `[rows, size]`.
    fn head(&self, batch: usize, head: usize, from: usize) -> View<'a> {
        let offset = batch as isize * self.batch_stride + from as isize * self.row_stride;
        let start = (self.start as isize + offset) as usize + head * self.size;
        View { data: self.data, start, row_stride: self.row_stride, column_stride: 1 }
    }
}

/// A new tensor `[B, L, N d]`, of which each task writes its head.
struct Output {
    data: Vec<f32>,
}

/// The buffer of an [`Output`], of which each task writes another part.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: `head` only computes an address; whoever writes there has promised that no other thread does (see `exact_product`).
#[allow(unsafe_code)]
unsafe impl Send for Shared {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Shared {
    fn head(self, sizes: Sizes, batch: usize, head: usize, from: usize, add: bool) -> Target {
        let at = (batch * sizes.length + from) * sizes.width() + head * sizes.size;
        Target { data: self.0.wrapping_add(at), stride: sizes.width(), add }
    }
}

impl Output {
    /// # Safety
    /// Every element must be written before it is read.
    #[allow(unsafe_code)]
    unsafe fn new(sizes: Sizes) -> Self {
        // SAFETY: the caller's promise.
        Self { data: unsafe { unwritten(sizes.batch * sizes.length * sizes.width()) } }
    }

    fn shared(&mut self) -> Shared {
        Shared(self.data.as_mut_ptr())
    }

    fn tensor(self, sizes: Sizes) -> FlexTensor {
        tensor(self.data, [sizes.batch, sizes.length, sizes.width()])
    }
}

/// With a contiguous last axis; copies only if it is not so already.
fn readable(tensor: FlexTensor) -> FlexTensor {
    let (shape, strides) = (tensor.layout().shape(), tensor.layout().strides());
    if strides[2] == 1 || shape[2] <= 1 { tensor } else { tensor.to_contiguous() }
}

/// `[q, k, v]` `[B, L, N d]`, mask `[B, L]`; saves what the backward pass needs if `keep`.
pub(crate) fn forward(
    qkv: [FlexTensor; 3],
    heads: usize,
    mask: Option<FlexTensor>,
    dropout: Option<Dropout>,
    precision: MatmulPrecision,
    keep: bool,
) -> (FlexTensor, Option<Kept>) {
    let [q, k, v] = qkv.map(readable);
    let shape = q.layout().shape().clone();
    for other in [&k, &v] {
        assert_eq!(other.layout().shape(), &shape, "attention: q, k and v must have one shape");
    }
    let (batch, length, width) = (shape[0], shape[1], shape[2]);
    assert!(
        heads > 0 && width % heads == 0,
        "attention: a width of {width} is not divisible by {heads} heads"
    );
    let sizes = Sizes { batch, length, heads, size: width / heads, precision };
    let mask = mask.map(|mask| Arc::new(Mask::new(mask, sizes)));
    let mut softmax = vec![(0.0, 0.0); batch * heads * length];
    // SAFETY: the tasks write all rows of all heads, which are the whole tensor.
    #[allow(unsafe_code)]
    let mut output = unsafe { Output::new(sizes) };
    if !output.data.is_empty() {
        let out = output.shared();
        let (q, k, v) = (Heads::new(&q, sizes), Heads::new(&k, sizes), Heads::new(&v, sizes));
        softmax.par_chunks_mut(length).enumerate().for_each_init(Vec::new, |scores, (task, softmax)| {
            let head = Head::of(task, sizes, mask.as_deref(), dropout);
            head.forward(q, k, v, out, scores, softmax);
        });
    }
    let kept = keep.then(|| Kept { q, k, v, sizes, mask, dropout, softmax: Arc::new(softmax) });
    (output.tensor(sizes), kept)
}

/// One head of one sequence.
struct Head<'a> {
    sizes: Sizes,
    batch: usize,
    head: usize,
    /// Number of keys up to the last one that is not padding.
    keys: usize,
    offsets: Option<&'a [f32]>,
    dropout: Option<Dropout>,
}

impl<'a> Head<'a> {
    fn of(task: usize, sizes: Sizes, mask: Option<&'a Mask>, dropout: Option<Dropout>) -> Self {
        let (batch, head) = (task / sizes.heads, task % sizes.heads);
        let keys = mask.map_or(sizes.length, |mask| mask.keys[batch]);
        let offsets = mask.map(|mask| &mask.offsets[batch * sizes.length..][..keys]);
        Self { sizes, batch, head, keys, offsets, dropout }
    }

    /// The dropout seed of a query's attention weights.
    fn key(&self, query: usize) -> Option<Key> {
        let row = (self.batch * self.sizes.heads + self.head) * self.sizes.length + query;
        self.dropout.map(|dropout| dropout.row(row))
    }

    /// Blocks of queries: the first one and their number.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let length = self.sizes.length;
        (0..length).step_by(QUERIES).map(move |from| (from, QUERIES.min(length - from)))
    }

    #[allow(unsafe_code)]
    fn forward(
        &self,
        q: Heads,
        k: Heads,
        v: Heads,
        out: Shared,
        scores: &mut Vec<f32>,
        softmax: &mut [(f32, f32)],
    ) {
        let (Sizes { size, precision, .. }, keys) = (self.sizes, self.keys);
        scores.resize(QUERIES * keys, 0.0);
        for (from, queries) in self.blocks() {
            let scores = &mut scores[..queries * keys];
            let target = Target { data: scores.as_mut_ptr(), stride: keys, add: false };
            let (a, b) = (q.head(self.batch, self.head, from), k.head(self.batch, self.head, 0).turned());
            // SAFETY: `scores` belongs to this task and has queries x keys elements.
            unsafe { product(precision, [queries, size, keys], target, a, b, self.sizes.scale()) };
            let softmax = &mut softmax[from..from + queries];
            for (i, (row, softmax)) in scores.chunks_exact_mut(keys).zip(&mut *softmax).enumerate() {
                *softmax = softmax_row(row, self.offsets, self.key(from + i));
            }
            let target = out.head(self.sizes, self.batch, self.head, from, false);
            let weights = View::rows(scores, keys);
            let v = v.head(self.batch, self.head, 0);
            // SAFETY: these rows lie in the output, and no other task has this (batch, head).
            unsafe { product(precision, [queries, keys, size], target, weights, v, 1.0) };
            for (i, &(_, inverse)) in softmax.iter().enumerate() {
                // SAFETY: row `from + i` of this head, just written by the product.
                let row = unsafe { std::slice::from_raw_parts_mut(target.data.add(i * target.stride), size) };
                scale_row(row, inverse);
            }
        }
    }

    /// Writes the gradients of one head into those of `[dq, dk, dv]` that are wanted.
    #[allow(unsafe_code)]
    fn backward(
        &self,
        [q, k, v, g]: [Heads; 4],
        [dq, dk, dv]: [Option<Shared>; 3],
        (scores, slopes): &mut (Vec<f32>, Vec<f32>),
        softmax: &[(f32, f32)],
    ) {
        let (Sizes { size, precision, .. }, keys, scale) = (self.sizes, self.keys, self.sizes.scale());
        let (b, h) = (self.batch, self.head);
        scores.resize(QUERIES * keys, 0.0);
        slopes.resize(QUERIES * keys, 0.0);
        for (from, queries) in self.blocks() {
            let (scores, slopes) = (&mut scores[..queries * keys], &mut slopes[..queries * keys]);
            let target = |data: &mut [f32]| Target { data: data.as_mut_ptr(), stride: keys, add: false };
            // SAFETY: both buffers belong to this task and have queries x keys elements each.
            unsafe {
                let shape = [queries, size, keys];
                product(
                    precision,
                    shape,
                    target(scores),
                    q.head(b, h, from),
                    k.head(b, h, 0).turned(),
                    scale,
                );
                product(precision, shape, target(slopes), g.head(b, h, from), v.head(b, h, 0).turned(), 1.0);
            }
            let rows = scores.chunks_exact_mut(keys).zip(slopes.chunks_exact_mut(keys));
            for (i, (scores, slopes)) in rows.enumerate() {
                backward_row(scores, slopes, self.offsets, softmax[from + i], self.key(from + i));
            }
            let (weights, slopes) = (View::rows(scores, keys), View::rows(slopes, keys));
            let add = from > 0;
            // SAFETY: these rows lie in the outputs, and no other task has this (batch, head). `add` is set from the second block on,
            // when the first one has written every element.
            unsafe {
                if let Some(dv) = dv {
                    let target = dv.head(self.sizes, b, h, 0, add);
                    product(
                        precision,
                        [keys, queries, size],
                        target,
                        weights.turned(),
                        g.head(b, h, from),
                        1.0,
                    );
                }
                if let Some(dq) = dq {
                    let target = dq.head(self.sizes, b, h, from, false);
                    product(precision, [queries, keys, size], target, slopes, k.head(b, h, 0), scale);
                }
                if let Some(dk) = dk {
                    let target = dk.head(self.sizes, b, h, 0, add);
                    product(
                        precision,
                        [keys, queries, size],
                        target,
                        slopes.turned(),
                        q.head(b, h, from),
                        scale,
                    );
                }
            }
        }
        // Trailing padding, whose scores were not computed.
        for target in [dk, dv].into_iter().flatten() {
            for key in keys..self.sizes.length {
                let row = target.head(self.sizes, b, h, key, false);
                // SAFETY: a row of this task's head.
                unsafe { std::slice::from_raw_parts_mut(row.data, size) }.fill(0.0);
            }
        }
    }
}

impl Derivative<3> for Kept {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let sizes = self.sizes;
        let gradient = readable(gradient);
        // SAFETY: as in `forward`; where the tasks are left out below, there is no element.
        #[allow(unsafe_code)]
        let mut outputs = wanted.map(|wanted| wanted.then(|| unsafe { Output::new(sizes) }));
        if !self.softmax.is_empty() && sizes.size > 0 {
            let shared = outputs.each_mut().map(|output| output.as_mut().map(Output::shared));
            let inputs = [&self.q, &self.k, &self.v, &gradient].map(|tensor| Heads::new(tensor, sizes));
            let tasks = self.softmax.par_chunks(sizes.length).enumerate();
            tasks.for_each_init(Default::default, |scratch, (task, softmax)| {
                let head = Head::of(task, sizes, self.mask.as_deref(), self.dropout);
                head.backward(inputs, shared, scratch, softmax);
            });
        }
        outputs.map(|output| output.map(|output| output.tensor(sizes)))
    }
}
