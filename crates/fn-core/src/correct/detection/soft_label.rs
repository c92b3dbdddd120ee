//! A replacement is called replaced the less, the better it fits.
//!
//! ```text
//! y_t = 1 - g_t        for replaced tokens
//! ```

use super::{CorrectedLabels, DetectionCorrection, Replaced};

/// Replacements of grade `g` are to be called replaced with probability `1 - g`, whatever the threshold.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftLabel;

impl DetectionCorrection for SoftLabel {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        // The grade is 0 where nothing was replaced.
        CorrectedLabels { labels: unchanged.labels - replaced.grade.clone(), ..unchanged }
    }
}
