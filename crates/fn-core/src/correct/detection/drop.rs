//! False negatives are left out of the discriminator's loss.

use super::{CorrectedLabels, DetectionCorrection, Replaced};

/// Gives replacements that are false negatives weight 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drop;

impl DetectionCorrection for Drop {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        let weights = unchanged.weights.mask_fill(replaced.false_negative.clone(), 0.0);
        CorrectedLabels { weights, ..unchanged }
    }
}
