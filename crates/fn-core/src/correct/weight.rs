//! Weights of masked positions: the better a wrong prediction fits, the lower the weight of its position.
//!
//! ```text
//! L = -(1/N) sum_k (1 - g_k) ln p(w_k)        g_k: grade of a wrong prediction, 0 where it is right
//! ```

use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, Normalise};
use crate::documented;

documented! {
    /// Settings of [`Weight`].
    #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct WeightConfig {
        /// What the sum is divided by: all positions, or the sum of the weights (`kept`). Default `all`.
        pub normalise: Normalise,
    }
}

/// Gives a position whose wrong prediction has grade `g` weight `1 - g`, independent of the threshold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weight {
    normalise: Normalise,
}

impl WeightConfig {
    /// The correction.
    pub fn init(&self) -> Weight {
        Weight { normalise: self.normalise }
    }
}

impl Correction for Weight {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let corrected = Corrected::unchanged(masked.predictions);
        let weight = corrected.weight.inner() * (-masked.verdict.grade.clone() + 1.0);
        Corrected { weight, normalise: self.normalise, ..corrected }
    }
}
