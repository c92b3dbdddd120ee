//! Which masked positions a correction touches.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use super::Masked;

/// Which masked positions a correction touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// Those whose prediction the judge flags as a false negative.
    Judged,
    /// Those whose prediction is wrong: the control without a judge.
    Wrong,
    /// All.
    All,
}

impl Rows {
    /// The positions, `[P]`; None for all of them.
    pub(super) fn of(self, masked: &Masked<'_>) -> Option<Tensor<1, Bool>> {
        match self {
            Self::Judged => Some(masked.verdict.false_negative.clone()),
            Self::Wrong => Some(masked.predictions.wrong()),
            Self::All => None,
        }
    }

    /// `values` `[P]` at these positions, 0 elsewhere.
    pub(super) fn keep(self, masked: &Masked<'_>, values: Tensor<1>) -> Tensor<1> {
        match self.of(masked) {
            Some(rows) => values.mask_fill(rows.bool_not(), 0.0),
            None => values,
        }
    }
}
