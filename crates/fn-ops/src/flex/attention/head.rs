//! One head of one sequence, in blocks of queries and keys.

use super::super::mask::{Dropout, Key};
use super::super::product::{Target, View, product};
use super::rows::{backward_row, dot, scale_row, softmax_row};
use super::{Heads, Mask, Shared, Sizes};
use crate::Reach;

/// Queries per block: its scores against [`KEYS`] keys fit the second-level cache.
const QUERIES: usize = 128;

/// Queries per block where they reach a window only: of a block's scores, those outside of some query's window are computed in vain.
const WINDOW_QUERIES: usize = 64;

/// Most keys per block.
const KEYS: usize = 512;

/// Consecutive queries of one document.
#[derive(Clone, Copy)]
struct Block {
    from: usize,
    queries: usize,
    document: (usize, usize),
    /// The keys that any of them reaches.
    keys: (usize, usize),
}

/// One head of one sequence.
pub(super) struct Head<'a> {
    sizes: Sizes,
    batch: usize,
    head: usize,
    reach: &'a Reach,
    /// Number of keys up to the last one that is not padding.
    keys: usize,
    offsets: Option<&'a [f32]>,
    dropout: Option<Dropout>,
}

impl<'a> Head<'a> {
    pub fn of(
        task: usize,
        sizes: Sizes,
        reach: &'a Reach,
        mask: Option<&'a Mask>,
        dropout: Option<Dropout>,
    ) -> Self {
        let (batch, head) = (task / sizes.heads, task % sizes.heads);
        let keys = mask.map_or(sizes.length, |mask| mask.keys[batch]);
        let offsets = mask.map(|mask| &mask.offsets[batch * sizes.length..][..sizes.length]);
        Self { sizes, batch, head, reach, keys, offsets, dropout }
    }

    /// The dropout seed of a query's attention weights.
    fn key(&self, query: usize) -> Option<Key> {
        let row = (self.batch * self.sizes.heads + self.head) * self.sizes.length + query;
        self.dropout.map(|dropout| dropout.row(row))
    }

    /// The keys of a query. Trailing padding is left out, unless there is nothing else.
    fn reached(&self, query: usize, document: (usize, usize)) -> (usize, usize) {
        let (from, to) = self.reach.keys(query, document);
        (from, if from < self.keys { to.min(self.keys) } else { to })
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let step = if self.reach.window.is_some() { WINDOW_QUERIES } else { QUERIES };
        self.reach.documents_of(self.batch, self.sizes.length).flat_map(move |document| {
            (document.0..document.1).step_by(step).map(move |from| {
                let queries = step.min(document.1 - from);
                let first = self.reached(from, document).0;
                let last = self.reached(from + queries - 1, document).1;
                Block { from, queries, document, keys: (first, last) }
            })
        })
    }

    /// Whether some query has its keys in several blocks.
    pub fn is_long(sizes: Sizes, reach: &Reach) -> bool {
        let most = |window: usize| window.saturating_mul(2).saturating_add(WINDOW_QUERIES);
        sizes.length.min(reach.window.map_or(usize::MAX, most)) > KEYS
    }

    /// Parts of a block's keys: the first one and their number.
    fn parts((from, to): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
        (from..to).step_by(KEYS).map(move |at| (at, KEYS.min(to - at)))
    }

    /// Which columns of the scores of keys `at..at + keys` a query reaches; empty ones are `(0, 0)`.
    fn columns(&self, query: usize, document: (usize, usize), (at, keys): (usize, usize)) -> (usize, usize) {
        let (from, to) = self.reached(query, document);
        let (from, to) = (from.max(at), to.min(at + keys));
        if from < to { (from - at, to - at) } else { (0, 0) }
    }

    fn offsets(&self, from: usize, to: usize) -> Option<&'a [f32]> {
        self.offsets.map(|offsets| &offsets[from..to])
    }

    /// Writes the head's output; `softmax` gets the largest score and the inverse sum of exponentials of each query.
    #[allow(unsafe_code)]
    pub fn forward(
        &self,
        [q, k, v]: [Heads; 3],
        out: Shared,
        scores: &mut Vec<f32>,
        softmax: &mut [(f32, f32)],
    ) {
        let Sizes { size, precision, length, .. } = self.sizes;
        let (b, h) = (self.batch, self.head);
        scores.resize(QUERIES * KEYS.min(length), 0.0);
        for block in self.blocks() {
            let (from, queries) = (block.from, block.queries);
            let softmax = &mut softmax[from..from + queries];
            softmax.fill((f32::NEG_INFINITY, 0.0));
            let target = out.head(self.sizes, b, h, from, false);
            // SAFETY: row `from + i` of this head, which no other task has; it is read only after a product has written it.
            let row = |i: usize| unsafe {
                std::slice::from_raw_parts_mut(target.data.wrapping_add(i * target.stride), size)
            };
            for part in Self::parts(block.keys) {
                let (at, keys) = part;
                let scores = &mut scores[..queries * keys];
                let sizes = [queries, size, keys];
                let place = Target { data: scores.as_mut_ptr(), stride: keys, add: false };
                // SAFETY: `scores` belongs to this task and has queries x keys elements.
                unsafe {
                    product(
                        precision,
                        sizes,
                        place,
                        q.head(b, h, from),
                        k.head(b, h, at).turned(),
                        self.sizes.scale(),
                    );
                }
                let first = at == block.keys.0;
                for (i, (scores, state)) in scores.chunks_exact_mut(keys).zip(&mut *softmax).enumerate() {
                    let (low, high) = self.columns(from + i, block.document, part);
                    scores[..low].fill(0.0);
                    scores[high..].fill(0.0);
                    if low == high {
                        continue;
                    }
                    let (offsets, key) = (self.offsets(at + low, at + high), self.key(from + i));
                    let (before, sum) = *state;
                    let column = (at + low) as u32;
                    *state = softmax_row(&mut scores[low..high], offsets, key, column, before);
                    if !first {
                        // What was computed with a smaller maximum.
                        let factor = (before - state.0).exp();
                        state.1 += sum * factor;
                        if factor != 1.0 {
                            scale_row(row(i), factor);
                        }
                    }
                }
                let target = Target { add: !first, ..target };
                let weights = View::rows(scores, keys);
                // SAFETY: these rows lie in the output, and no other task has this (batch, head).
                unsafe {
                    product(precision, [queries, keys, size], target, weights, v.head(b, h, at), 1.0);
                }
            }
            for (i, state) in softmax.iter_mut().enumerate() {
                state.1 = 1.0 / state.1;
                scale_row(row(i), state.1);
            }
        }
    }

    /// Writes the gradients of one head into those of `[dq, dk, dv]` that are wanted. `output`: that of the forward pass, where
    /// some query has its keys in several blocks.
    #[allow(unsafe_code)]
    pub fn backward(
        &self,
        [q, k, v, g]: [Heads; 4],
        output: Option<Heads>,
        [dq, dk, dv]: [Option<Shared>; 3],
        (scores, slopes): &mut (Vec<f32>, Vec<f32>),
        softmax: &[(f32, f32)],
    ) {
        let (Sizes { size, precision, length, .. }, scale) = (self.sizes, self.sizes.scale());
        let (b, h) = (self.batch, self.head);
        let mut means = Vec::new();
        let mut written = 0;
        scores.resize(QUERIES * KEYS.min(length), 0.0);
        slopes.resize(QUERIES * KEYS.min(length), 0.0);
        for block in self.blocks() {
            let (from, queries) = (block.from, block.queries);
            means.clear();
            if let (Some(output), true) = (output, block.keys.1 - block.keys.0 > KEYS) {
                // rowsum(P * dP) = dO O.
                means.extend((from..from + queries).map(|i| dot(output.row(b, h, i), g.row(b, h, i))));
            }
            for part in Self::parts(block.keys) {
                let (at, keys) = part;
                let (scores, slopes) = (&mut scores[..queries * keys], &mut slopes[..queries * keys]);
                let target = |data: &mut [f32]| Target { data: data.as_mut_ptr(), stride: keys, add: false };
                // SAFETY: both buffers belong to this task and have queries x keys elements each.
                unsafe {
                    let shape = [queries, size, keys];
                    let (k, v) = (k.head(b, h, at).turned(), v.head(b, h, at).turned());
                    product(precision, shape, target(scores), q.head(b, h, from), k, scale);
                    product(precision, shape, target(slopes), g.head(b, h, from), v, 1.0);
                }
                let rows = scores.chunks_exact_mut(keys).zip(slopes.chunks_exact_mut(keys));
                for (i, (scores, slopes)) in rows.enumerate() {
                    let (low, high) = self.columns(from + i, block.document, part);
                    for row in [&mut *scores, &mut *slopes] {
                        row[..low].fill(0.0);
                        row[high..].fill(0.0);
                    }
                    let (scores, slopes) = (&mut scores[low..high], &mut slopes[low..high]);
                    let (offsets, key) = (self.offsets(at + low, at + high), self.key(from + i));
                    let mean = means.get(i).copied();
                    backward_row(scores, slopes, offsets, softmax[from + i], key, (at + low) as u32, mean);
                }
                let add = self.clear([dk, dv], &mut written, at, at + keys);
                let (weights, slopes) = (View::rows(scores, keys), View::rows(slopes, keys));
                // SAFETY: these rows lie in the outputs, and no other task has this (batch, head). `add` is set where every element has been
                // written (or cleared).
                unsafe {
                    let shape = [keys, queries, size];
                    if let Some(dv) = dv {
                        let target = dv.head(self.sizes, b, h, at, add);
                        product(precision, shape, target, weights.turned(), g.head(b, h, from), 1.0);
                    }
                    if let Some(dq) = dq {
                        let target = dq.head(self.sizes, b, h, from, at > block.keys.0);
                        product(precision, [queries, keys, size], target, slopes, k.head(b, h, at), scale);
                    }
                    if let Some(dk) = dk {
                        let target = dk.head(self.sizes, b, h, at, add);
                        product(precision, shape, target, slopes.turned(), q.head(b, h, from), scale);
                    }
                }
            }
        }
        // Trailing padding, whose scores were not computed.
        self.fill([dk, dv], written, length);
    }

    /// Makes the gradients of keys `from..to` ready for what is to be added: true, or false where all of them are still to be written.
    /// Keys below `written` have been.
    fn clear(&self, targets: [Option<Shared>; 2], written: &mut usize, from: usize, to: usize) -> bool {
        let before = *written;
        *written = before.max(to);
        if from >= before {
            self.fill(targets, before, from);
            return false;
        }
        self.fill(targets, before, to);
        true
    }

    /// Sets the gradients of keys `from..to` to 0.
    #[allow(unsafe_code)]
    fn fill(&self, targets: [Option<Shared>; 2], from: usize, to: usize) {
        for target in targets.into_iter().flatten() {
            for key in from..to {
                let row = target.head(self.sizes, self.batch, self.head, key, false);
                // SAFETY: a row of this task's head.
                unsafe { std::slice::from_raw_parts_mut(row.data, self.sizes.size) }.fill(0.0);
            }
        }
    }
}
