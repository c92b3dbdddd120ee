//! Weights of replacements in the discriminator's loss: the better a replacement fits, the lower its weight.
//!
//! ```text
//! a_t = 1 - g_t        for replaced tokens; T = sum of a_t as it was before
//! ```

use super::{CorrectedLabels, DetectionCorrection, Replaced};

/// Gives replacements of grade `g` weight `1 - g`, independent of the threshold. With the judge
/// [`Generator`](crate::judge::Generator) the weight is `half / (half + p(v))`, where `p(v)` is the generator's probability of
/// the replacement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weight;

impl DetectionCorrection for Weight {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        let weights = unchanged.weights * (-replaced.grade.clone() + 1.0);
        CorrectedLabels { weights, ..unchanged }
    }
}
