//! The judge of the baseline.

use burn::tensor::{Bool, Tensor};

use super::Judge;
use crate::ids::Rows;

/// Every wrong prediction is a true negative.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::{ids::Rows, judge::{Judge, NoJudge}};
/// let device = Device::flex();
/// let rows = Rows {
///     gold: Tensor::from_ints([1], &device),
///     predicted: Tensor::from_ints([2], &device),
///     weight: Tensor::from_floats([1.0], &device),
/// };
/// assert!(!NoJudge.judge(&rows).into_scalar::<bool>());
/// assert_eq!(NoJudge.name(), "none");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJudge;

impl Judge for NoJudge {
    fn judge(&self, rows: &Rows) -> Tensor<1, Bool> {
        rows.gold.clone().inner().not_equal(rows.gold.clone().inner())
    }

    fn name(&self) -> &'static str {
        "none"
    }
}
