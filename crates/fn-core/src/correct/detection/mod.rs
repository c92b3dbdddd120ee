//! What the discriminator's loss does about replacements that are false negatives: one file per correction.

mod banded;
mod drop;
mod kind;
mod rao_blackwell;
mod relabel;
mod soft;
mod soft_label;
mod weight;

pub use banded::{Banded, BandedConfig};
pub use drop::Drop;
pub use kind::DetectionKind;
pub(super) use kind::NAMES;
pub use rao_blackwell::{RaoBlackwell, RaoBlackwellConfig};
pub use relabel::Relabel;
pub use soft::{SoftDetection, SoftDetectionConfig};
pub use soft_label::SoftLabel;
pub use weight::Weight;

use burn::tensor::{Bool, Int, Tensor};

use crate::batch::{Batch, Predictions};
use crate::student::Student;

/// What a correction of the discriminator's loss sees of a batch. All without gradient but the logits and the student.
pub struct Replaced<'a> {
    /// Raw scores, positive = replaced, `[B, L]`, with gradient.
    pub logits: &'a Tensor<2>,
    /// The batch before corruption.
    pub batch: &'a Batch,
    /// The generator's replacements at the masked positions, `[P]`, and its logits there.
    pub replacements: &'a Predictions<'a>,
    /// Ids that the discriminator saw, `[B, L]`.
    pub corrupted: &'a Tensor<2, Int>,
    /// Which tokens were replaced by others, `[B, L]`.
    pub replaced: &'a Tensor<2, Bool>,
    /// Plausibility of each replacement, `[B, L]` in 0..=1; 0 where nothing was replaced.
    pub grade: &'a Tensor<2>,
    /// Which replacements are false negatives, `[B, L]`.
    pub false_negative: &'a Tensor<2, Bool>,
    /// The model that is trained.
    pub student: &'a dyn Student,
}

/// How a correction changes the discriminator's loss of a batch.
pub struct CorrectedLabels {
    /// Probability with which each token is to be called replaced, `[B, L]`.
    pub labels: Tensor<2>,
    /// Weight of each token, `[B, L]`; 0 leaves it out.
    pub weights: Tensor<2>,
    /// Further terms, each `[1]`, added as they are (not times the discriminator's weight).
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl CorrectedLabels {
    /// The loss as it is without a correction: replaced tokens are to be called replaced, every token counts as one.
    pub fn unchanged(replaced: &Replaced<'_>) -> Self {
        Self {
            labels: replaced.replaced.clone().float(),
            weights: replaced.batch.attention.clone().inner(),
            terms: Vec::new(),
        }
    }
}

/// What the discriminator's loss does about replacements that are false negatives.
///
/// ```
/// use fn_core::correct::detection::{CorrectedLabels, DetectionCorrection, Replaced};
///
/// /// A replacement is to be called replaced with probability 1 - g.
/// struct SoftLabels;
/// impl DetectionCorrection for SoftLabels {
///     fn correct(&self, replaced: &Replaced) -> CorrectedLabels {
///         let unchanged = CorrectedLabels::unchanged(replaced);
///         CorrectedLabels { labels: unchanged.labels - replaced.grade.clone(), ..unchanged }
///     }
/// }
/// ```
pub trait DetectionCorrection {
    /// How the loss of this batch changes. It must not wait for the device.
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels;
}

/// The baseline: nothing changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct UncorrectedDetection;

impl DetectionCorrection for UncorrectedDetection {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        CorrectedLabels::unchanged(replaced)
    }
}
