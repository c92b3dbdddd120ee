//! Hard Correction: a position whose prediction is a false negative teaches nothing.
//!
//! ```text
//! L = -(1/N) sum_k [ r_k is no false negative ] ln p(w_k)
//! ```
//! `w` is the original word, `r` the prediction, `N` see [`Normalise`].

use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, Normalise};
use crate::documented;

documented! {
    /// Settings of [`Hard`].
    #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct HardConfig {
        /// What the sum is divided by. Default `all`.
        pub normalise: Normalise,
    }
}

/// Leaves false negatives out of the loss.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hard {
    normalise: Normalise,
}

impl HardConfig {
    /// The correction.
    pub fn init(&self) -> Hard {
        Hard { normalise: self.normalise }
    }
}

impl Correction for Hard {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let corrected = Corrected::unchanged(masked.predictions);
        Corrected {
            weight: corrected.weight.mask_fill(masked.verdict.false_negative.clone(), 0.0),
            normalise: self.normalise,
            ..corrected
        }
    }
}
