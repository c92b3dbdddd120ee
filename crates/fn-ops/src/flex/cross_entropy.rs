//! Cross-entropy over a large vocabulary: two passes over the logits forward, one backward.

use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::math::exp;
use super::{Inputs, Kernel, input, record, tensor};

#[derive(Debug, Clone)]
struct CrossEntropy {
    logits: FlexTensor,
    /// (largest logit, ln sum exp(x - largest)) of each row.
    rows: Vec<(f32, f32)>,
    gold: Vec<usize>,
    width: usize,
}

impl Kernel<1> for CrossEntropy {
    fn backward(self, gradient: &[f32], _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let logits: &[f32] = self.logits.storage();
        let mut out = vec![0.0f32; logits.len()];
        out.par_chunks_mut(self.width).enumerate().for_each(|(p, out)| {
            let ((largest, tail), g) = (self.rows[p], gradient[p]);
            if g == 0.0 {
                return; // shielded and padding rows
            }
            // Not x - (largest + tail): that sum would lose the tail's digits for large logits.
            let x = &logits[p * self.width..(p + 1) * self.width];
            out.iter_mut().zip(x).for_each(|(o, &x)| *o = g * exp((x - largest) - tail));
            out[self.gold[p]] -= g;
        });
        [Some(tensor(out, [self.rows.len(), self.width]))]
    }
}

pub(crate) fn cross_entropy_rows(logits: &Tensor<2>, gold: &Tensor<1, Int>) -> Option<Tensor<1>> {
    let [rows, width] = logits.dims();
    let inputs = Inputs::of([input(logits)])?;
    let gold: Vec<usize> = gold.to_data().iter::<i64>().map(|g| g as usize).collect();
    if gold.len() != rows || gold.iter().any(|&g| g >= width) {
        return None;
    }
    Some(record::<1, 1, CrossEntropy>(inputs, |[logits]| {
        let x: &[f32] = logits.storage();
        let found: Vec<(f32, f32)> = x.par_chunks(width).map(log_sum_exp).collect();
        let loss = found
            .iter()
            .zip(&gold)
            .enumerate()
            .map(|(p, (&(largest, tail), &gold))| tail - (x[p * width + gold] - largest))
            .collect();
        (tensor(loss, [rows]), CrossEntropy { logits, rows: found, gold, width })
    }))
}

/// (largest, ln sum exp(x - largest)). Sums in f64 per block: 30,000 terms would cost f32 three digits.
fn log_sum_exp(x: &[f32]) -> (f32, f32) {
    let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0f64;
    for block in x.chunks(256) {
        let mut lanes = [0.0f32; 16];
        for (i, &x) in block.iter().enumerate() {
            lanes[i % 16] += exp(x - largest);
        }
        total += f64::from(lanes.iter().sum::<f32>());
    }
    // A NaN among the logits must not vanish in `max`.
    if x.iter().any(|x| x.is_nan()) {
        return (f32::NAN, f32::NAN);
    }
    (largest, total.ln() as f32)
}
