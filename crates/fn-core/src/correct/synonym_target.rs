//! Synonym-soft targets: a share of the target belongs to the words that would have fitted as well.
//!
//! ```text
//! q = (1 - epsilon) [v = w] + epsilon / |V(w)| [v in V(w)]          (V(w) empty: q = [v = w])
//! sum_v q_v (-ln p_v) = CE(z, w) + epsilon * (z_w - mean over V(w) of z_v)
//! ```

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, Resources, Term};
use crate::documented;
use crate::error::{CoreError, check_epsilon};
use crate::judge::DeviceLexicon;

documented! {
    /// Settings of [`SynonymTarget`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct SynonymTargetConfig {
        /// Mass that is spread, 0 to 0.999. Default 0.1.
        pub epsilon: f64,
    }
}

impl Default for SynonymTargetConfig {
    fn default() -> Self {
        Self { epsilon: 0.1 }
    }
}

/// The target keeps `1 - epsilon` and spreads epsilon evenly over the original word's look-up set; a word without one keeps its
/// whole target.
#[derive(Debug, Clone)]
pub struct SynonymTarget {
    epsilon: f64,
    lexicon: DeviceLexicon,
}

impl SynonymTargetConfig {
    /// The correction, with the lexicon of `resources`.
    ///
    /// # Errors
    /// An epsilon out of range; no lexicon.
    pub fn init(&self, resources: &Resources) -> Result<SynonymTarget, CoreError> {
        check_epsilon(self.epsilon)?;
        Ok(SynonymTarget { epsilon: self.epsilon, lexicon: resources.lexicon("synonym-target")?.clone() })
    }
}

impl Correction for SynonymTarget {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let excess = self.excess(masked);
        Corrected::unchanged(masked.predictions).with(Term::per_position("synonym_target", excess))
    }
}

impl SynonymTarget {
    /// What spreading adds to the cross entropy of each position, `[P]`.
    fn excess(&self, masked: &Masked<'_>) -> Tensor<1> {
        let gold = &masked.predictions.batch.gold;
        let members = self.lexicon.members(gold);
        let empty = members.clone().lower_scalar(0);
        let present = empty.clone().bool_not().float();
        let count = present.clone().sum_dim(1);
        // Empty slots look anything up and then count 0. Differences first: they are exact for large logits.
        let member_logits = masked.logits.clone().gather(1, members.mask_fill(empty, 0));
        let gold_logit = masked.logits.clone().gather(1, gold.clone().unsqueeze_dim(1));
        let excess = (gold_logit - member_logits) * present;
        // Without a member the sum is 0, and so is the excess.
        let mean = excess.sum_dim(1) / count.clamp_min(1.0);
        mean.squeeze_dim::<1>(1) * self.epsilon as f32
    }
}
