//! Operations on the rows of a matrix: gathering by id, log-sum-exp, cross-entropy.

use std::sync::Arc;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::Derivative;
use super::memory::{CHUNK, rows_and_width, rows_per_task, tensor, unwritten, values, whole};
use super::simd::{LANES, exp, max_of, simd, sum_lanes};

/// Saved for the backward pass of [`gather`]: the ids, and the shape of the weight.
#[derive(Debug, Clone)]
pub(crate) struct GatherKept {
    ids: Arc<Vec<u32>>,
    rows: usize,
    width: usize,
}

/// The rows `ids` of `weight` `[V, H]`, as a tensor of `shape`, which ends in H.
pub(crate) fn gather(
    weight: FlexTensor,
    ids: Vec<u32>,
    shape: &[usize],
    keep: bool,
) -> (FlexTensor, Option<GatherKept>) {
    let (rows, width) = rows_and_width(&weight);
    let weight = whole(weight);
    let table = values(&weight);
    // SAFETY: one row is copied per id.
    #[allow(unsafe_code)]
    let mut out = unsafe { unwritten(ids.len() * width) };
    if !out.is_empty() {
        let task = rows_per_task(width);
        out.par_chunks_mut(task * width).zip(ids.par_chunks(task)).for_each(|(out, ids)| {
            for (out, &id) in out.chunks_exact_mut(width).zip(ids) {
                out.copy_from_slice(&table[id as usize * width..][..width]);
            }
        });
    }
    let kept = keep.then(|| GatherKept { ids: Arc::new(ids), rows, width });
    (tensor(out, shape.to_vec()), kept)
}

impl Derivative<1> for GatherKept {
    fn backward(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = whole(gradient);
        let mut out = vec![0.0f32; self.rows * self.width];
        if self.width > 0 {
            // On one thread, in the order of the ids, so that the sums do not depend on the number of threads; there are few rows.
            for (&id, g) in self.ids.iter().zip(values(&gradient).chunks_exact(self.width)) {
                for (o, &g) in out[id as usize * self.width..][..self.width].iter_mut().zip(g) {
                    *o += g;
                }
            }
        }
        [Some(tensor(out, [self.rows, self.width]))]
    }
}

simd! {
    /// The largest element and the sum of `exp(x - largest)`.
    fn largest_and_sum<S>(row: &[f32]) -> (f32, f32) {
        let largest = max_of(row);
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = row.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES { lanes[i] += exp::<S>(block[i] - largest); }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) { *lane += exp::<S>(x - largest); }
        (largest, sum_lanes(lanes))
    }

    /// Replaces each x by `factor exp(x - largest)`.
    fn softmax_in_place<S>(row: &mut [f32], largest: f32, factor: f32) {
        for x in row { *x = exp::<S>(*x - largest) * factor; }
    }
}

/// Saved for the backward pass of [`log_sum_exp`]: logits `[P, V]`, the largest logit and the sum of exponentials of each row, and
/// the gold ids, if any.
#[derive(Debug, Clone)]
pub(crate) struct SoftmaxKept {
    logits: FlexTensor,
    rows: Arc<Vec<(f32, f32)>>,
    gold: Option<Arc<Vec<u32>>>,
}

/// Log-sum-exp of each row of `[P, V]`, minus the logit of `gold` `[P]` if given: the cross-entropy.
pub(crate) fn log_sum_exp(
    logits: FlexTensor,
    gold: Option<Vec<u32>>,
    keep: bool,
) -> (FlexTensor, Option<SoftmaxKept>) {
    let (rows, width) = rows_and_width(&logits);
    let logits = whole(logits);
    let all = values(&logits);
    assert!(gold.as_ref().is_none_or(|g| g.len() == rows), "cross-entropy: one gold id per row");
    let task = rows_per_task(width);
    let found: Vec<(f32, f32)> = if width == 0 {
        vec![(f32::NEG_INFINITY, 0.0); rows]
    } else {
        all.par_chunks(width).with_min_len(task).map(largest_and_sum).collect()
    };
    // The largest logit is subtracted from both terms first: the difference of two numbers around 1e4 would lose digits.
    let out = match &gold {
        None => found.iter().map(|&(largest, sum)| sum.ln() + largest).collect(),
        Some(gold) => {
            let each = found.iter().zip(gold).zip(all.chunks_exact(width.max(1)));
            each.map(|((&(largest, sum), &id), row)| sum.ln() - (row[id as usize] - largest)).collect()
        }
    };
    let kept = keep.then(|| SoftmaxKept { logits, rows: Arc::new(found), gold: gold.map(Arc::new) });
    (tensor(out, [rows]), kept)
}

impl Derivative<1> for SoftmaxKept {
    /// `g (softmax - onehot)`, in place of the logits if no other handle shares them.
    fn backward(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (_, width) = rows_and_width(&self.logits);
        let gradient = whole(gradient);
        let g = values(&gradient);
        let row = |index: usize, row: &mut [f32]| {
            let ((largest, sum), g) = (self.rows[index], g[index]);
            if g == 0.0 {
                // Not `0 * softmax`, which is NaN for infinite logits.
                row.fill(0.0);
                return;
            }
            softmax_in_place(row, largest, g / sum);
            if let Some(gold) = &self.gold {
                row[gold[index] as usize] -= g;
            }
        };
        let mut logits = self.logits;
        if width > 0 {
            let task = rows_per_task(width);
            if logits.is_unique() {
                let all: &mut [f32] = logits.storage_mut();
                all.par_chunks_mut(width).with_min_len(task).enumerate().for_each(|(i, x)| row(i, x));
            } else {
                let source = values(&logits);
                // SAFETY: each row is copied from `source` before anything else is done with it.
                #[allow(unsafe_code)]
                let mut out = unsafe { unwritten(source.len()) };
                out.par_chunks_mut(width)
                    .zip(source.par_chunks(width))
                    .with_min_len(task)
                    .enumerate()
                    .for_each(|(i, (out, source))| {
                        out.copy_from_slice(source);
                        row(i, out);
                    });
                logits = tensor(out, logits.layout().shape().clone());
            }
        }
        [Some(logits)]
    }
}

/// Column sums of `[rows, width]`: each task adds some of the columns, in the order of the rows.
pub(crate) fn column_sums(matrix: &[f32], width: usize) -> Vec<f32> {
    // Whole cache lines, and still two tasks for 256 columns.
    const COLUMNS: usize = 128;
    let mut sums = vec![0.0f32; width];
    if matrix.len() <= CHUNK {
        for row in matrix.chunks_exact(width.max(1)) {
            add_to(&mut sums, row);
        }
        return sums;
    }
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, sums)| {
        for row in matrix.chunks_exact(width) {
            let n = sums.len();
            add_to(sums, &row[chunk * COLUMNS..][..n]);
        }
    });
    sums
}

simd! {
    fn add_to<S>(sums: &mut [f32], row: &[f32]) {
        for (s, &x) in sums.iter_mut().zip(row) { *s += x; }
    }
}
