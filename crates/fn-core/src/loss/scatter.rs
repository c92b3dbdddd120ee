//! From the masked positions of a batch back to its sequences.

use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor};

/// Puts `values` `[P]` at the flat indices `positions` `[P]` (`b * L + l`) of `base` `[B, L]`. Padding (weight 0)
/// changes nothing, wherever it points; real positions must differ.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::loss::scatter_ids;
/// let device = Device::flex();
/// let original = Tensor::from_ints([[5, 6], [7, 8]], &device);
/// let (index, values) = (Tensor::from_ints([3, 0, 0], &device), Tensor::from_ints([9, 4, 1], &device));
/// let weight = Tensor::from_floats([1.0, 1.0, 0.0], &device);
/// let filled = scatter_ids(original, index, &weight, values);
/// assert_eq!(filled.into_data().iter::<i32>().collect::<Vec<_>>(), [4, 6, 7, 9]);
/// ```
pub fn scatter_ids(
    base: Tensor<2, Int>,
    positions: Tensor<1, Int>,
    weight: &Tensor<1>,
    values: Tensor<1, Int>,
) -> Tensor<2, Int> {
    let shape = base.dims();
    let flat = base.reshape([shape[0] * shape[1]]);
    // Adding differences makes padding harmless: it adds 0 to an index that a real position may change too.
    let change = values - flat.clone().select(0, positions.clone());
    let padding = weight.clone().inner().lower_equal_scalar(0.0);
    let change = change.mask_fill(padding, 0);
    flat.scatter(0, positions, change, IndexingUpdateOp::Add).reshape(shape)
}

/// Puts the vectors `values` `[P, H]` at the flat indices `positions` `[P]` of `base` `[B, L, H]`; padding (weight 0)
/// changes nothing. Gradients reach `values` and what is left of `base`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::loss::scatter_vectors;
/// let device = Device::flex();
/// let base = Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0]]], &device);
/// let values = Tensor::<2>::from_floats([[9.0, 8.0], [7.0, 7.0]], &device);
/// let weight = Tensor::from_floats([1.0, 0.0], &device);
/// let filled = scatter_vectors(base, Tensor::from_ints([1, 0], &device), &weight, values);
/// assert_eq!(filled.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 2.0, 9.0, 8.0]);
/// ```
pub fn scatter_vectors(
    base: Tensor<3>,
    positions: Tensor<1, Int>,
    weight: &Tensor<1>,
    values: Tensor<2>,
) -> Tensor<3> {
    let [batch, length, width] = base.dims();
    let flat = base.reshape([batch * length, width]);
    // Differences again; a weight above 0 counts as 1.
    let real = weight.clone().greater_scalar(0.0).float().unsqueeze_dim::<2>(1);
    let change = (values - flat.clone().select(0, positions.clone())) * real;
    flat.select_assign(0, positions, change, IndexingUpdateOp::Add).reshape([batch, length, width])
}

/// True at the flat indices `positions` `[P]` of `[B, L]` whose value is true, false elsewhere.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::loss::scatter_bool;
/// let device = Device::flex();
/// let verdict = Tensor::from_bool([false, true, false], &device);
/// let found = scatter_bool([1, 3], Tensor::from_ints([2, 1, 0], &device), verdict);
/// assert_eq!(found.into_data().iter::<bool>().collect::<Vec<_>>(), [false, true, false]);
/// ```
pub fn scatter_bool(
    shape: [usize; 2],
    positions: Tensor<1, Int>,
    values: Tensor<1, Bool>,
) -> Tensor<2, Bool> {
    let zeros = Tensor::<1, Int>::zeros([shape[0] * shape[1]], &positions.device());
    zeros.scatter(0, positions, values.int(), IndexingUpdateOp::Add).greater_scalar(0).reshape(shape)
}

/// `values` `[P]` at the flat indices `positions` `[P]` of `[B, L]`, 0 elsewhere. Padding must have value 0.
pub fn scatter_floats(shape: [usize; 2], positions: Tensor<1, Int>, values: Tensor<1>) -> Tensor<2> {
    let zeros = Tensor::<1>::zeros([shape[0] * shape[1]], &positions.device());
    zeros.scatter(0, positions, values, IndexingUpdateOp::Add).reshape(shape)
}
