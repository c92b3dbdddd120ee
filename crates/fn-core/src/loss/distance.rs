//! Distances in meaning.

use burn::tensor::Tensor;

/// Squared norms below this count as this: a vector of zeros has cosine 0 with everything, and a finite gradient.
const SMALLEST_SQUARE: f32 = 1e-12;

/// `1 - cos(a, b)` per row: `[N, H]`, `[N, H]` -> `[N]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::loss::cosine_distance;
/// let device = Device::flex();
/// let a = Tensor::<2>::from_floats([[1.0, 0.0], [2.0, 0.0]], &device);
/// let b = Tensor::<2>::from_floats([[0.0, 3.0], [5.0, 0.0]], &device);
/// assert_eq!(cosine_distance(a, b).into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 0.0]);
/// ```
pub fn cosine_distance(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let norm = |x: &Tensor<2>| x.clone().square().sum_dim(1).clamp_min(SMALLEST_SQUARE).sqrt();
    let norms = norm(&a) * norm(&b);
    let cosine = (a * b).sum_dim(1) / norms;
    (-cosine + 1.0).squeeze_dim(1)
}
