//! How precisely matrices are multiplied.
//!
//! Mixed precision here means: weights, activations, optimiser state and every sum are f32, and only the two operands of a
//! matrix product are rounded, to bf16, just before it. Softmax, LayerNorm and losses never see bf16.

use std::cell::Cell;

use burn::tensor::{DType, FloatDType, Tensor};

/// What the operands of matrix products are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// 8 bits of mantissa, the range of f32. Worth it where the device multiplies bf16 in hardware: GPUs, and on Flex
    /// processors with a [`Bf16Unit`]. Other processors give the same, no faster than f32.
    Bf16,
}

/// What a processor multiplies bf16 with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16Unit {
    /// Tiles: AMX, under Linux.
    Tiles,
    /// Vectors: AVX-512 BF16.
    Vectors,
    /// Nothing: numbers are rounded, then multiplied as f32.
    None,
}

thread_local! {
    static CURRENT: Cell<MatmulPrecision> = const { Cell::new(MatmulPrecision::F32) };
}

/// Sets the precision of all later products of this thread, forward and (through the tape) backward.
pub fn set_matmul_precision(precision: MatmulPrecision) {
    CURRENT.set(precision);
}

/// The precision of this thread's products.
pub fn matmul_precision() -> MatmulPrecision {
    CURRENT.get()
}

/// Whether products keep f32.
pub(crate) fn exact() -> bool {
    matmul_precision() == MatmulPrecision::F32
}

/// `a b` in the precision of this thread; f32 in, f32 out.
pub(crate) fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    if exact() || a.dtype() != DType::F32 {
        return a.matmul(b);
    }
    a.cast(FloatDType::BF16).matmul(b.cast(FloatDType::BF16)).cast(FloatDType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Every pair of gradients and values of `linear` and `attention`, f32 against bf16, as relative errors.
    fn errors() -> Vec<f64> {
        let device = Device::flex().autodiff();
        device.seed(3);
        let random = |shape: [usize; 3]| {
            Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
        };
        let (x, k, v) = (random([2, 6, 8]), random([2, 6, 8]), random([2, 6, 8]));
        let weight = Tensor::<2>::random([8, 8], Distribution::Normal(0.0, 1.0), &device).require_grad();
        let run = || {
            let q = crate::linear(x.clone(), weight.clone(), None);
            let out = crate::attention(q, k.clone(), v.clone(), 2, None, 0.0, &crate::Noise::none());
            let gradients = out.clone().powi_scalar(2).sum().backward();
            let grad = |t: &Tensor<3>| t.grad(&gradients).unwrap().reshape([-1]);
            vec![
                out.inner().reshape([-1]),
                grad(&x),
                grad(&k),
                weight.grad(&gradients).unwrap().reshape([-1]),
            ]
        };
        let exact: Vec<Tensor<1>> = run();
        set_matmul_precision(MatmulPrecision::Bf16);
        let rounded = run();
        set_matmul_precision(MatmulPrecision::F32);
        let norm = |t: Tensor<1>| f64::from(t.square().sum().into_scalar::<f32>()).sqrt();
        exact.into_iter().zip(rounded).map(|(a, b)| norm(a.clone() - b) / norm(a)).collect()
    }

    #[test]
    fn bf16_rounds_operands_and_nothing_else() {
        for error in errors() {
            // Half a unit of 8 bits is 2^-9 = 0.002 an operand; two products in a row, and softmax between them.
            assert!(error > 1e-5 && error < 0.03, "{error}");
        }
    }
}
