//! False negatives that are as good as the original are called original, the others are left out.

use super::{CorrectedLabels, DetectionCorrection, Replaced};

/// Labels replacements of grade 1 as original tokens, and gives the other false negatives weight 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Banded;

impl DetectionCorrection for Banded {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        let as_good = replaced.grade.clone().greater_equal_scalar(1.0);
        let as_good = as_good.bool_and(replaced.false_negative.clone());
        let doubtful = replaced.false_negative.clone().bool_and(as_good.clone().bool_not());
        CorrectedLabels {
            labels: unchanged.labels.mask_fill(as_good, 0.0),
            weights: unchanged.weights.mask_fill(doubtful, 0.0),
            ..unchanged
        }
    }
}
