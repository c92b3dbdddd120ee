//! False negatives are called original.

use super::{CorrectedLabels, DetectionCorrection, Replaced};

/// Labels replacements that are false negatives as original tokens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Relabel;

impl DetectionCorrection for Relabel {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        let labels = unchanged.labels.mask_fill(replaced.false_negative.clone(), 0.0);
        CorrectedLabels { labels, ..unchanged }
    }
}
