//! Soft labels for the discriminator: the better a replacement fits, the lower its label "replaced".
//!
//! ```text
//! y_t = 1 - g_t        for replaced tokens
//! ```

use super::{CorrectedLabels, DetectionCorrection, Replaced};

/// Gives replacements of grade `g` the label `1 - g`, independent of the threshold.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftLabel;

impl DetectionCorrection for SoftLabel {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        // The grade is 0 where nothing was replaced.
        CorrectedLabels { labels: unchanged.labels - replaced.grade.clone(), ..unchanged }
    }
}
