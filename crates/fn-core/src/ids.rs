//! The masked rows of a batch: what everything from judge to loss hands on.

use burn::tensor::{Bool, Int, Tensor};

/// The masked positions of a whole batch, one row each.
///
/// The number of rows P is fixed (batch times the most predictions of a row), so that every step has the same shapes;
/// rows that are left over are padding with weight 0.
#[derive(Debug, Clone)]
pub struct Rows {
    /// `w`: the original id, `[P]`.
    pub gold: Tensor<1, Int>,
    /// `r`: the predicted id, `[P]`.
    pub predicted: Tensor<1, Int>,
    /// 1 for a real row, 0 for padding, `[P]`.
    pub weight: Tensor<1>,
}

impl Rows {
    /// Which real rows are predicted wrong: `r != w`, `[P]`.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use fn_core::ids::Rows;
    /// let device = Device::flex();
    /// let rows = Rows {
    ///     gold: Tensor::from_ints([7, 7, 0], &device),
    ///     predicted: Tensor::from_ints([7, 9, 5], &device),
    ///     weight: Tensor::from_floats([1.0, 1.0, 0.0], &device), // the last row is padding
    /// };
    /// assert_eq!(rows.wrong().into_data().iter::<bool>().collect::<Vec<_>>(), [false, true, false]);
    /// ```
    pub fn wrong(&self) -> Tensor<1, Bool> {
        let real = self.weight.clone().inner().greater_scalar(0.0);
        self.predicted.clone().inner().not_equal(self.gold.clone().inner()).bool_and(real)
    }
}

/// A denominator that is never 0: where the sum of weights is 0, the numerator is 0 as well, and 0 / 1 = 0.
pub(crate) fn guarded(sum: Tensor<1>) -> Tensor<1> {
    let empty = sum.clone().equal_scalar(0.0);
    sum.mask_fill(empty, 1.0)
}
