//! GELU and dropout.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::math::{Mask, normal};
use super::{Kernel, input, record, tensor};

/// Elements per task.
const CHUNK: usize = 1 << 14;

/// Fills a vector of `n` elements: `with(start, slice)` for each piece.
fn fill(n: usize, with: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0f32; n];
    if n <= CHUNK {
        with(0, &mut out);
    } else {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, piece)| with(i * CHUNK, piece));
    }
    out
}

#[derive(Debug, Clone)]
struct Gelu<const D: usize> {
    x: FlexTensor,
    shape: [usize; D],
}

impl<const D: usize> Kernel<1> for Gelu<D> {
    fn backward(self, gradient: &[f32], _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let x: &[f32] = self.x.storage();
        let out = fill(x.len(), |start, piece| {
            let end = start + piece.len();
            for ((o, &x), &g) in piece.iter_mut().zip(&x[start..end]).zip(&gradient[start..end]) {
                let (cumulative, density) = normal(x);
                *o = g * (cumulative + x * density);
            }
        });
        [Some(tensor(out, self.shape))]
    }
}

pub(crate) fn gelu<const D: usize>(x: &Tensor<D>) -> Option<Tensor<D>> {
    let shape = x.dims();
    let inputs = super::Inputs::of([input(x)])?;
    Some(record(inputs, |[x]| {
        let values: &[f32] = x.storage();
        let out = fill(values.len(), |start, piece| {
            let end = start + piece.len();
            for (o, &x) in piece.iter_mut().zip(&values[start..end]) {
                *o = x * normal(x).0;
            }
        });
        (tensor(out, shape), Gelu { x, shape })
    }))
}

#[derive(Debug, Clone)]
struct Dropout<const D: usize> {
    mask: Mask,
    shape: [usize; D],
}

fn masked(x: &[f32], mask: Mask) -> Vec<f32> {
    fill(x.len(), |start, piece| {
        let end = start + piece.len();
        for (i, (o, &x)) in piece.iter_mut().zip(&x[start..end]).enumerate() {
            *o = x * mask.factor((start + i) as u32);
        }
    })
}

impl<const D: usize> Kernel<1> for Dropout<D> {
    fn backward(self, gradient: &[f32], _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(tensor(masked(gradient, self.mask), self.shape))]
    }
}

pub(crate) fn dropout<const D: usize>(x: &Tensor<D>, rate: f64, seed: u64) -> Option<Tensor<D>> {
    let shape = x.dims();
    let mask = Mask::new(rate, seed);
    let inputs = super::Inputs::of([input(x)])?;
    Some(record(inputs, |[x]| (tensor(masked(x.storage(), mask), shape), Dropout { mask, shape })))
}
