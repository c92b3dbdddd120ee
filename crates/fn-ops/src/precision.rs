//! The precision of matrix products.
//!
//! Mixed precision here means: weights, activations, optimiser state and all sums are f32; only the two operands of a matrix
//! product are rounded to bf16, just before it. Softmax, LayerNorm and losses are computed in f32.

use std::cell::Cell;

use burn::tensor::{DType, FloatDType, Tensor};

/// The type that the operands of matrix products are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// No rounding.
    #[default]
    F32,
    /// 8 bits of mantissa, the range of f32. Faster where the device multiplies bf16 in hardware: GPUs, and processors with a
    /// [`Bf16Unit`] on Flex. Other processors emulate it, slower than f32.
    Bf16,
}

/// The instructions that a processor has for products of bf16 matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16Unit {
    /// AMX, under Linux.
    Tiles,
    /// AVX-512 BF16.
    Vectors,
    /// None: numbers are rounded to bf16, then multiplied as f32.
    None,
}

thread_local! {
    static CURRENT: Cell<MatmulPrecision> = const { Cell::new(MatmulPrecision::F32) };
}

/// Sets the precision of this thread's matrix products from now on, in the forward pass and in its backward pass.
pub fn set_matmul_precision(precision: MatmulPrecision) {
    CURRENT.set(precision);
}

/// The precision of this thread's matrix products.
pub fn matmul_precision() -> MatmulPrecision {
    CURRENT.get()
}

/// Whether operands stay f32.
pub(crate) fn exact() -> bool {
    matmul_precision() == MatmulPrecision::F32
}

/// `a b` in this thread's precision; f32 in, f32 out.
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

    /// Relative errors of bf16 against f32: values and gradients of `linear` and `attention`.
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
    fn bf16_products_differ_from_f32_by_rounding_only() {
        for error in errors() {
            // Each operand is off by up to 2^-9 = 0.002; there are two products in a row, with softmax between them.
            assert!(error > 1e-5 && error < 0.03, "{error}");
        }
    }
}
