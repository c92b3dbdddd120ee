//! Label smoothing, as in PyTorch's `cross_entropy(label_smoothing=epsilon)`: the target is `1 - epsilon` at the original word
//! plus `epsilon / V` everywhere.
//!
//! ```text
//! sum_v q_v (-ln p_v) = CE(z, w) + epsilon * (z_w - mean_v z_v)
//! ```

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, Term};
use crate::documented;
use crate::error::{CoreError, check_epsilon};

documented! {
    /// Settings of [`LabelSmoothing`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct LabelSmoothingConfig {
        /// Mass that is spread, 0 to 0.999. Default 0.1.
        pub epsilon: f64,
    }
}

impl Default for LabelSmoothingConfig {
    fn default() -> Self {
        Self { epsilon: 0.1 }
    }
}

/// The target keeps `1 - epsilon` and spreads epsilon over the whole vocabulary.
#[derive(Debug, Clone, Copy)]
pub struct LabelSmoothing {
    epsilon: f64,
}

impl LabelSmoothingConfig {
    /// The correction.
    ///
    /// # Errors
    /// An epsilon out of range.
    pub fn init(&self) -> Result<LabelSmoothing, CoreError> {
        check_epsilon(self.epsilon)?;
        Ok(LabelSmoothing { epsilon: self.epsilon })
    }
}

impl Correction for LabelSmoothing {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let excess = self.excess(masked);
        Corrected::unchanged(masked.predictions).with(Term::per_position("label_smoothing", excess))
    }
}

impl LabelSmoothing {
    /// What smoothing adds to the cross entropy of each position, `[P]`.
    fn excess(&self, masked: &Masked<'_>) -> Tensor<1> {
        // Relative to the largest logit, so that the mean of large logits keeps its decimals; the shift cancels out.
        let max = masked.logits.clone().detach().max_dim(1);
        let logits = masked.logits.clone() - max;
        let gold_logit = logits.clone().gather(1, masked.predictions.batch.gold.clone().unsqueeze_dim(1));
        (gold_logit - logits.mean_dim(1)).squeeze_dim::<1>(1) * self.epsilon as f32
    }
}
