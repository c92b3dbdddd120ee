//! Banded correction of the discriminator: false negatives with a high grade are labelled as original, the others are left out
//! of the loss.
//!
//! ```text
//! g >= relabel: y_t = 0        correction.threshold <= g < relabel: a_t = 0        else: as it is
//! ```

use serde::{Deserialize, Serialize};

use super::{CorrectedLabels, DetectionCorrection, Replaced};
use crate::documented;
use crate::error::{CoreError, check_range};

documented! {
    /// Settings of [`Banded`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct BandedConfig {
        /// False negatives of this grade or higher are labelled as original, those below it (from `correction.threshold` on) are left out.
        /// Above 0, at most 1. Default 1.
        pub relabel: f64,
    }
}

impl Default for BandedConfig {
    fn default() -> Self {
        Self { relabel: 1.0 }
    }
}

impl BandedConfig {
    /// The correction.
    ///
    /// # Errors
    /// A threshold out of range.
    pub fn init(&self) -> Result<Banded, CoreError> {
        check_range("relabel", self.relabel, 1e-6, 1.0)?;
        Ok(Banded { relabel: self.relabel })
    }
}

/// Labels false negatives of a high grade as original tokens, and gives the other false negatives weight 0.
#[derive(Debug, Clone, Copy)]
pub struct Banded {
    relabel: f64,
}

impl DetectionCorrection for Banded {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        let as_good = replaced.grade.clone().greater_equal_scalar(self.relabel as f32);
        let as_good = as_good.bool_and(replaced.false_negative.clone());
        let doubtful = replaced.false_negative.clone().bool_and(as_good.clone().bool_not());
        CorrectedLabels {
            labels: unchanged.labels.mask_fill(as_good, 0.0),
            weights: unchanged.weights.mask_fill(doubtful, 0.0),
            ..unchanged
        }
    }
}
