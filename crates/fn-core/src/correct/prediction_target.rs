//! A part of the target distribution is moved to the prediction, in proportion to its grade.
//!
//! ```text
//! q = (1 - share g) [v = w] + share g [v = r]        g: grade of the wrong prediction r, 0 where it is right
//! ```

use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, TargetShift};
use crate::documented;
use crate::error::{CoreError, check_range};

documented! {
    /// Settings of [`PredictionTarget`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct PredictionTargetConfig {
        /// Mass of the target that a prediction of grade 1 gets, above 0, at most 1. Default 1.
        pub share: f64,
    }
}

impl Default for PredictionTargetConfig {
    fn default() -> Self {
        Self { share: 1.0 }
    }
}

/// Moves mass `share g` of the target from the original word to the prediction, independent of the threshold.
#[derive(Debug, Clone, Copy)]
pub struct PredictionTarget {
    share: f64,
}

impl PredictionTargetConfig {
    /// The correction.
    ///
    /// # Errors
    /// A share out of range.
    pub fn init(&self) -> Result<PredictionTarget, CoreError> {
        check_range("share", self.share, 1e-6, 1.0)?;
        Ok(PredictionTarget { share: self.share })
    }
}

impl Correction for PredictionTarget {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let words = masked.predictions.ids.clone().unsqueeze_dim::<2>(1);
        let mass = masked.verdict.grade.clone().unsqueeze_dim::<2>(1) * self.share as f32;
        Corrected { targets: Some(TargetShift { words, mass }), ..Corrected::unchanged(masked.predictions) }
    }
}
