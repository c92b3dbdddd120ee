//! Layer normalisation, with an optional residual and dropout before it, in one pass.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::math::Mask;
use super::{Inputs, Kernel, input, record, tensor};

/// Rows per task.
const ROWS: usize = 32;

/// Saved by `LN(residual + dropout(x))`.
#[derive(Debug, Clone)]
struct Norm<const D: usize> {
    /// The normalised values, before gamma and beta.
    normal: FlexTensor,
    /// 1 / standard deviation of each row.
    inverse: Vec<f32>,
    gamma: FlexTensor,
    mask: Option<Mask>,
    shape: [usize; D],
}

/// Sum in 16 lanes, for vector instructions and less rounding.
fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (i, v) in values.enumerate() {
        lanes[i % 16] += v;
    }
    lanes.iter().sum()
}

impl<const D: usize> Norm<D> {
    /// Gradient of the sum that was normalised, of gamma and of beta.
    fn spread(&self, gradient: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let gamma: &[f32] = self.gamma.storage();
        let normal: &[f32] = self.normal.storage();
        let width = gamma.len();
        let mut out = vec![0.0f32; gradient.len()];
        let piece = ROWS * width;
        let partial: Vec<(Vec<f32>, Vec<f32>)> = out
            .par_chunks_mut(piece)
            .enumerate()
            .map(|(i, out)| {
                let (mut d_gamma, mut d_beta) = (vec![0.0f32; width], vec![0.0f32; width]);
                let start = i * piece;
                let rows = out
                    .chunks_exact_mut(width)
                    .zip(gradient[start..].chunks_exact(width))
                    .zip(normal[start..].chunks_exact(width))
                    .zip(&self.inverse[i * ROWS..]);
                for (((out, g), n), &inverse) in rows {
                    let mean = sum(g.iter().zip(gamma).map(|(g, w)| g * w)) / width as f32;
                    let along = sum(g.iter().zip(gamma).zip(n).map(|((g, w), n)| g * w * n)) / width as f32;
                    for j in 0..width {
                        out[j] = inverse * (g[j] * gamma[j] - mean - n[j] * along);
                        d_gamma[j] += g[j] * n[j];
                        d_beta[j] += g[j];
                    }
                }
                (d_gamma, d_beta)
            })
            .collect();
        let (mut d_gamma, mut d_beta) = (vec![0.0f32; width], vec![0.0f32; width]);
        for (g, b) in partial {
            d_gamma.iter_mut().zip(g).for_each(|(s, x)| *s += x);
            d_beta.iter_mut().zip(b).for_each(|(s, x)| *s += x);
        }
        (out, d_gamma, d_beta)
    }
}

impl<const D: usize> Kernel<3> for Norm<D> {
    fn backward(self, gradient: &[f32], _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let (out, gamma, beta) = self.spread(gradient);
        let width = gamma.len();
        [Some(tensor(out, self.shape)), Some(tensor(gamma, [width])), Some(tensor(beta, [width]))]
    }
}

impl<const D: usize> Kernel<4> for Norm<D> {
    fn backward(self, gradient: &[f32], wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let (out, gamma, beta) = self.spread(gradient);
        let width = gamma.len();
        let x = wanted[0].then(|| {
            let mut x = out.clone();
            if let Some(mask) = self.mask {
                x.par_chunks_mut(ROWS * width).enumerate().for_each(|(i, piece)| {
                    let start = (i * ROWS * width) as u32;
                    piece.iter_mut().enumerate().for_each(|(j, x)| *x *= mask.factor(start + j as u32));
                });
            }
            tensor(x, self.shape)
        });
        [x, Some(tensor(out, self.shape)), Some(tensor(gamma, [width])), Some(tensor(beta, [width]))]
    }
}

/// Output, normalised values and 1 / deviation of each row.
fn forward(
    x: &[f32],
    residual: Option<&[f32]>,
    mask: Option<Mask>,
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = gamma.len();
    let mut out = vec![0.0f32; x.len()];
    let mut normal = vec![0.0f32; x.len()];
    let mut inverse = vec![0.0f32; x.len() / width];
    let piece = ROWS * width;
    out.par_chunks_mut(piece)
        .zip(normal.par_chunks_mut(piece))
        .zip(inverse.par_chunks_mut(ROWS))
        .enumerate()
        .for_each(|(i, ((out, normal), inverse))| {
            let rows =
                out.chunks_exact_mut(width).zip(normal.chunks_exact_mut(width)).zip(inverse).enumerate();
            for (row, ((out, n), inverse)) in rows {
                let start = i * piece + row * width;
                let x = &x[start..start + width];
                n.copy_from_slice(x);
                if let Some(mask) = mask {
                    n.iter_mut().enumerate().for_each(|(j, n)| *n *= mask.factor((start + j) as u32));
                }
                if let Some(residual) = residual {
                    n.iter_mut().zip(&residual[start..start + width]).for_each(|(n, r)| *n += r);
                }
                let mean = sum(n.iter().copied()) / width as f32;
                n.iter_mut().for_each(|n| *n -= mean);
                let variance = sum(n.iter().map(|n| n * n)) / width as f32;
                *inverse = 1.0 / (f64::from(variance) + epsilon).sqrt() as f32;
                for j in 0..width {
                    n[j] *= *inverse;
                    out[j] = n[j] * gamma[j] + beta[j];
                }
            }
        });
    (out, normal, inverse)
}

/// `LN(x)`, or `LN(residual + dropout(x))` with `(residual, rate, seed)`; a rate of 0 drops nothing.
pub(crate) fn layer_norm<const D: usize>(
    x: &Tensor<D>,
    residual: Option<(&Tensor<D>, f64, u64)>,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let shape = x.dims();
    match residual {
        None => {
            let inputs = Inputs::of([input(x), input(gamma), input(beta)])?;
            Some(record::<D, 3, Norm<D>>(inputs, |[x, gamma, beta]| {
                let (out, normal, inverse) =
                    forward(x.storage(), None, None, gamma.storage(), beta.storage(), epsilon);
                (
                    tensor(out, shape),
                    Norm { normal: tensor(normal, shape), inverse, gamma, mask: None, shape },
                )
            }))
        }
        Some((residual, rate, seed)) => {
            let mask = (rate > 0.0).then(|| Mask::new(rate, seed));
            let inputs = Inputs::of([input(x), input(residual), input(gamma), input(beta)])?;
            Some(record::<D, 4, Norm<D>>(inputs, |[x, residual, gamma, beta]| {
                let residual: &[f32] = residual.storage();
                let (out, normal, inverse) =
                    forward(x.storage(), Some(residual), mask, gamma.storage(), beta.storage(), epsilon);
                (tensor(out, shape), Norm { normal: tensor(normal, shape), inverse, gamma, mask, shape })
            }))
        }
    }
}
