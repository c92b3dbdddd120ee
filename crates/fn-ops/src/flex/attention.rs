//! Scaled dot-product attention, head by head; the attention weights are not stored.
//!
//! ```text
//! S = Q K^T / sqrt(d) + mask        P = softmax(S)        D = P * M (dropout)        O = D V
//! dV = D^T dO        dP = M * (dO V^T)        dS = P * (dP - rowsum(P * dP))        dQ = dS K / sqrt(d)        dK = dS^T Q / sqrt(d)
//! ```
//! Saved for the backward pass: Q, K, V and two numbers per query (its largest score and the inverse of its sum of exponentials),
//! from which P is computed again; M is computed again from its counter. Where the keys of a query take several blocks, its largest
//! score and its sum run from block to block (Milakov and Gimelshein 2018), and O is saved, too: `rowsum(P * dP)` is the product of dO
//! and O (Dao et al. 2022). So memory grows with L, not L x L; with a window, time does so, too.
//!
//! A head is a range of columns, read and written in place with a stride. A task is one head of one sequence and goes through its
//! blocks in order, so the number of threads does not change a sum.

mod head;
mod rows;

use std::sync::Arc;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::Derivative;
use super::mask::Dropout;
use super::memory::{CHUNK, tensor, unwritten, values, whole};
use super::product::{Target, View};
use crate::{MatmulPrecision, Reach, Rotary};
use head::Head;
use rows::rotate_row;

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
    /// Of q, k and v, or of all three together, of this shape.
    fn new(shape: &[usize], parts: usize, heads: usize, precision: MatmulPrecision) -> Self {
        let (batch, length, width) = (shape[0], shape[1], shape[2]);
        assert!(
            heads > 0 && width % (heads * parts) == 0,
            "attention: a width of {width} is not divisible by {heads} heads"
        );
        Self { batch, length, heads, size: width / parts / heads, precision }
    }

    /// Of the output.
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

/// What the backward pass needs, besides q, k and v.
#[derive(Debug, Clone)]
struct Saved {
    sizes: Sizes,
    reach: Reach,
    mask: Option<Arc<Mask>>,
    dropout: Option<Dropout>,
    /// The largest score and the inverse sum of exponentials of each `[batch, head, query]`.
    softmax: Arc<Vec<(f32, f32)>>,
    /// Where some query has its keys in several blocks.
    output: Option<FlexTensor>,
}

/// Saved for the backward pass of [`forward`].
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    saved: Saved,
}

/// Saved for the backward pass of [`rotary`]: q and k turned, and v, beside each other.
#[derive(Debug, Clone)]
pub(crate) struct RotaryKept {
    qkv: FlexTensor,
    angles: Angles,
    saved: Saved,
}

/// Columns of a tensor `[B, L, ..]` with its strides, `heads` times `size`; the last axis is contiguous.
#[derive(Clone, Copy)]
struct Heads<'a> {
    data: &'a [f32],
    start: usize,
    batch_stride: isize,
    row_stride: isize,
    size: usize,
}

impl<'a> Heads<'a> {
    /// From column `from` on.
    fn new(tensor: &'a FlexTensor, sizes: Sizes, from: usize) -> Self {
        let (layout, size) = (tensor.layout(), sizes.size);
        let (batch_stride, row_stride) = (layout.strides()[0], layout.strides()[1]);
        Self { data: tensor.storage(), start: layout.start_offset() + from, batch_stride, row_stride, size }
    }

    /// q, k and v of one tensor.
    fn beside(tensor: &'a FlexTensor, sizes: Sizes) -> [Self; 3] {
        [0, 1, 2].map(|part| Self::new(tensor, sizes, part * sizes.width()))
    }

    fn place(&self, batch: usize, head: usize, row: usize) -> usize {
        let offset = batch as isize * self.batch_stride + row as isize * self.row_stride;
        (self.start as isize + offset) as usize + head * self.size
    }

    /// One head from row `from` on: `[rows, size]`.
    fn head(&self, batch: usize, head: usize, from: usize) -> View<'a> {
        let start = self.place(batch, head, from);
        View { data: self.data, start, row_stride: self.row_stride, column_stride: 1 }
    }

    /// One row of one head.
    fn row(&self, batch: usize, head: usize, row: usize) -> &'a [f32] {
        &self.data[self.place(batch, head, row)..][..self.size]
    }
}

/// A new tensor `[B, L, parts N d]`, of which each task writes its head.
struct Output {
    data: Vec<f32>,
    parts: usize,
}

/// The buffer of an [`Output`], of which each task writes another part.
#[derive(Clone, Copy)]
struct Shared {
    data: *mut f32,
    stride: usize,
}

// SAFETY: `head` only computes an address; whoever writes there has promised that no other thread does (see `exact_product`).
#[allow(unsafe_code)]
unsafe impl Send for Shared {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Shared {
    fn head(self, sizes: Sizes, batch: usize, head: usize, from: usize, add: bool) -> Target {
        let at = (batch * sizes.length + from) * self.stride + head * sizes.size;
        Target { data: self.data.wrapping_add(at), stride: self.stride, add }
    }
}

impl Output {
    /// # Safety
    /// Every element must be written before it is read.
    #[allow(unsafe_code)]
    unsafe fn new(sizes: Sizes, parts: usize) -> Self {
        // SAFETY: the caller's promise.
        Self { data: unsafe { unwritten(sizes.batch * sizes.length * parts * sizes.width()) }, parts }
    }

    /// The columns of one of the parts.
    fn part(&mut self, sizes: Sizes, part: usize) -> Shared {
        let width = sizes.width();
        Shared { data: self.data.as_mut_ptr().wrapping_add(part * width), stride: self.parts * width }
    }

    fn tensor(self, sizes: Sizes) -> FlexTensor {
        tensor(self.data, [sizes.batch, sizes.length, self.parts * sizes.width()])
    }
}

/// With a contiguous last axis; copies only if it is not so already.
fn readable(tensor: FlexTensor) -> FlexTensor {
    let (shape, strides) = (tensor.layout().shape(), tensor.layout().strides());
    if strides[2] == 1 || shape[2] <= 1 { tensor } else { tensor.to_contiguous() }
}

/// What attention does besides its products.
pub(crate) struct Settings {
    pub heads: usize,
    pub mask: Option<FlexTensor>,
    pub reach: Reach,
    pub dropout: Option<Dropout>,
    pub precision: MatmulPrecision,
}

/// `[q, k, v]` `[B, L, N d]`, mask `[B, L]`; saves what the backward pass needs if `keep`.
pub(crate) fn forward(qkv: [FlexTensor; 3], settings: Settings, keep: bool) -> (FlexTensor, Option<Kept>) {
    let [q, k, v] = qkv.map(readable);
    let shape = q.layout().shape().clone();
    for other in [&k, &v] {
        assert_eq!(other.layout().shape(), &shape, "attention: q, k and v must have one shape");
    }
    let sizes = Sizes::new(&shape, 1, settings.heads, settings.precision);
    let (output, saved) = outputs([&q, &k, &v].map(|tensor| Heads::new(tensor, sizes, 0)), sizes, settings);
    (output, keep.then_some(Kept { q, k, v, saved }))
}

/// [`forward`] of q, k and v beside each other, `[B, L, 3 N d]`, with rotary positions.
pub(crate) fn rotary(
    qkv: FlexTensor,
    rotary: Rotary,
    settings: Settings,
    keep: bool,
) -> (FlexTensor, Option<RotaryKept>) {
    let mut qkv = whole(qkv);
    let sizes = Sizes::new(qkv.layout().shape(), 3, settings.heads, settings.precision);
    let angles = Angles::new(rotary, &settings.reach, sizes);
    angles.turn(&mut qkv, sizes, 1.0);
    let (output, saved) = outputs(Heads::beside(&qkv, sizes), sizes, settings);
    (output, keep.then_some(RotaryKept { qkv, angles, saved }))
}

fn outputs(qkv: [Heads; 3], sizes: Sizes, settings: Settings) -> (FlexTensor, Saved) {
    let Settings { mask, reach, dropout, .. } = settings;
    reach.check(sizes.batch, sizes.length);
    let mask = mask.map(|mask| Arc::new(Mask::new(mask, sizes)));
    let mut softmax = vec![(0.0, 0.0); sizes.batch * sizes.heads * sizes.length];
    // SAFETY: the tasks write all rows of all heads, which are the whole tensor.
    #[allow(unsafe_code)]
    let mut output = unsafe { Output::new(sizes, 1) };
    if !output.data.is_empty() {
        let out = output.part(sizes, 0);
        let tasks = softmax.par_chunks_mut(sizes.length).enumerate();
        tasks.for_each_init(Vec::new, |scores, (task, softmax)| {
            Head::of(task, sizes, &reach, mask.as_deref(), dropout).forward(qkv, out, scores, softmax);
        });
    }
    let output = output.tensor(sizes);
    let long = Head::is_long(sizes, &reach).then(|| output.clone());
    (output, Saved { sizes, reach, mask, dropout, softmax: Arc::new(softmax), output: long })
}

impl Saved {
    /// Writes the gradients.
    fn gradients(&self, qkv: [Heads; 3], gradient: &FlexTensor, targets: [Option<Shared>; 3]) {
        let sizes = self.sizes;
        if self.softmax.is_empty() || sizes.size == 0 {
            return;
        }
        let ([q, k, v], g) = (qkv, Heads::new(gradient, sizes, 0));
        let output = self.output.as_ref().map(|output| Heads::new(output, sizes, 0));
        let tasks = self.softmax.par_chunks(sizes.length).enumerate();
        tasks.for_each_init(Default::default, |scratch, (task, softmax)| {
            let head = Head::of(task, sizes, &self.reach, self.mask.as_deref(), self.dropout);
            head.backward([q, k, v, g], output, targets, scratch, softmax);
        });
    }
}

impl Derivative<3> for Kept {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let sizes = self.saved.sizes;
        let gradient = readable(gradient);
        // SAFETY: as in `outputs`; where the tasks are left out, there is no element.
        #[allow(unsafe_code)]
        let mut outputs = wanted.map(|wanted| wanted.then(|| unsafe { Output::new(sizes, 1) }));
        let targets = outputs.each_mut().map(|output| output.as_mut().map(|output| output.part(sizes, 0)));
        let qkv = [&self.q, &self.k, &self.v].map(|tensor| Heads::new(tensor, sizes, 0));
        self.saved.gradients(qkv, &gradient, targets);
        outputs.map(|output| output.map(|output| output.tensor(sizes)))
    }
}

impl Derivative<1> for RotaryKept {
    fn backward(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let sizes = self.saved.sizes;
        let gradient = readable(gradient);
        // SAFETY: as in `outputs`, for each of the three parts.
        #[allow(unsafe_code)]
        let mut output = unsafe { Output::new(sizes, 3) };
        let targets = [0, 1, 2].map(|part| Some(output.part(sizes, part)));
        self.saved.gradients(Heads::beside(&self.qkv, sizes), &gradient, targets);
        let mut output = output.tensor(sizes);
        self.angles.turn(&mut output, sizes, -1.0);
        [Some(output)]
    }
}

/// The angles of each token of a batch.
#[derive(Debug, Clone)]
struct Angles {
    rotary: Rotary,
    /// Of each token `[B * L]`, where rows hold several documents.
    positions: Option<Arc<Vec<usize>>>,
}

impl Angles {
    fn new(rotary: Rotary, reach: &Reach, sizes: Sizes) -> Self {
        assert_eq!(rotary.size(), sizes.size, "attention: rotary positions for heads of another size");
        assert!(
            sizes.length <= rotary.positions(),
            "attention: rotary positions for rows of {}, not {}",
            rotary.positions(),
            sizes.length
        );
        reach.check(sizes.batch, sizes.length);
        let positions = reach.documents.as_ref().map(|documents| Arc::new(documents.positions()));
        Self { rotary, positions }
    }

    /// Turns q and k, or their gradients, in place; `sign` -1: back.
    fn turn(&self, qkv: &mut FlexTensor, sizes: Sizes, sign: f32) {
        let width = sizes.width();
        if width == 0 {
            return;
        }
        let rows = (CHUNK / (3 * width)).max(1);
        let all: &mut [f32] = qkv.storage_mut();
        all.par_chunks_mut(rows * 3 * width).enumerate().for_each(|(chunk, part)| {
            for (i, row) in part.chunks_exact_mut(3 * width).enumerate() {
                let token = chunk * rows + i;
                let position = match &self.positions {
                    Some(positions) => positions[token],
                    None => token % sizes.length,
                };
                let (cos, sin) = self.rotary.at(position);
                rotate_row(&mut row[..2 * width], cos, sin, sign);
            }
        });
    }
}
