//! Soft Regularisation on the discriminator's side: replacement and original shall be close in meaning.
//!
//! ```text
//! L = L_rtd + lambda * mean over replaced t of (1 - cos(E[corrupted_t], E[original_t]))
//! ```

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{CorrectedLabels, DetectionCorrection, Replaced};
use crate::batch::guarded;
use crate::documented;
use crate::error::{CoreError, check_lambda};
use crate::loss::cosine_distance;

documented! {
    /// Settings of [`SoftDetection`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct SoftDetectionConfig {
        /// Weight of the distance, beside (not within) the discriminator's weight, 0 to 1000. Default 1.
        pub lambda: f64,
    }
}

impl Default for SoftDetectionConfig {
    fn default() -> Self {
        Self { lambda: 1.0 }
    }
}

/// Adds `lambda * mean(1 - cos)` between the embeddings of replacements and originals. The mean is over the replaced tokens, whose number
/// is known after the forward pass only, so it needs steps of a single micro-batch.
#[derive(Debug, Clone, Copy)]
pub struct SoftDetection {
    lambda: f64,
}

impl SoftDetectionConfig {
    /// The correction.
    ///
    /// # Errors
    /// A lambda out of range.
    pub fn init(&self) -> Result<SoftDetection, CoreError> {
        check_lambda(self.lambda)?;
        Ok(SoftDetection { lambda: self.lambda })
    }
}

impl DetectionCorrection for SoftDetection {
    fn correct(&self, seen: &Replaced<'_>) -> CorrectedLabels {
        let [b, l] = seen.batch.shape();
        let embedding = seen.student.embedding();
        let vectors = |ids: &Tensor<2, Int>| embedding.clone().select(0, ids.clone().reshape([b * l]));
        let distance = cosine_distance(vectors(seen.corrupted), vectors(&seen.batch.original));
        let replaced = seen.replaced.clone().float().reshape([b * l]);
        let mean = (distance * replaced.clone()).sum() / guarded(replaced.sum());
        let mut corrected = CorrectedLabels::unchanged(seen);
        corrected.terms.push(("replacement_distance", mean * self.lambda as f32));
        corrected
    }
}
