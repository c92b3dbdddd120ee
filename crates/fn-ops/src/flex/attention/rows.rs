//! What is done to each row of a block of scores.

use super::super::mask::Key;
use super::super::simd::{LANES, exp, max_of, simd, sum_lanes};

simd! {
    /// Replaces each score s by `exp(s - largest)` times its factor of dropout; `first` is the place of the row's first key. Returns
    /// the largest of the scores and `before`, and the sum of all exponentials (before dropout).
    pub(super) fn softmax_row<S>(
        scores: &mut [f32],
        offsets: Option<&[f32]>,
        key: Option<Key>,
        first: u32,
        before: f32,
    ) -> (f32, f32) {
        if let Some(offsets) = offsets {
            for (s, &o) in scores.iter_mut().zip(offsets) { *s += o; }
        }
        let largest = max_of(scores);
        let largest = if before > largest { before } else { largest };
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
                let mut column = first;
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
        (largest, sum_lanes(lanes))
    }

    pub(super) fn scale_row<S>(row: &mut [f32], factor: f32) {
        for x in row { *x *= factor; }
    }

    pub(super) fn dot<S>(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0; LANES];
        let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES { lanes[i] = S::fma(a[i], b[i], lanes[i]); }
        }
        for (lane, (&a, &b)) in lanes.iter_mut().zip(rest_a.iter().zip(rest_b)) { *lane = S::fma(a, b, *lane); }
        sum_lanes(lanes)
    }

    /// Replaces S in `scores` by D, and dD = dO V^T in `slopes` by dS. `mean` is `rowsum(P * dP)` over all keys of the query, where
    /// these are not all of them.
    pub(super) fn backward_row<S>(
        scores: &mut [f32],
        slopes: &mut [f32],
        offsets: Option<&[f32]>,
        softmax: (f32, f32),
        key: Option<Key>,
        first: u32,
        mean: Option<f32>,
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
            for (column, d) in slopes.iter_mut().enumerate() { *d *= key.factor(first + column as u32); }
        }
        let mean = match mean {
            Some(mean) => mean,
            None => {
                let mut lanes = [0.0; LANES];
                let even = n / LANES * LANES;
                for (p, d) in scores[..even].chunks_exact(LANES).zip(slopes[..even].chunks_exact(LANES)) {
                    for i in 0..LANES { lanes[i] = S::fma(p[i], d[i], lanes[i]); }
                }
                for i in even..n { lanes[i - even] = S::fma(scores[i], slopes[i], lanes[i - even]); }
                sum_lanes(lanes)
            }
        };
        for (d, &p) in slopes.iter_mut().zip(&*scores) { *d = p * (*d - mean); }
        if let Some(key) = key {
            for (column, p) in scores.iter_mut().enumerate() { *p *= key.factor(first + column as u32); }
        }
    }

    /// Turns the queries and keys of one token, `[2 heads d]`, by its angles, or back for `sign` -1.
    pub(super) fn rotate_row<S>(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        let sin = &sin[..half];
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            let b = &mut b[..half];
            for i in 0..half {
                let (x, y, s) = (a[i], b[i], sin[i] * sign);
                a[i] = S::fma(x, cos[i], -(y * s));
                b[i] = S::fma(y, cos[i], x * s);
            }
        }
    }
}
