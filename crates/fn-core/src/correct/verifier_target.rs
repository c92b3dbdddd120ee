//! Targets from a teacher at positions where the judge flags a false negative.
//!
//! ```text
//! q = (1 - a) [v = w] + a t(v)
//! t = p_T(v | context) over its top_k most probable words, their sum 1
//! a = mass                                entropy_scaled = false
//! a = mass (1 - H(p_T) / ln V)            entropy_scaled = true: a uniform teacher moves nothing
//! ```
//! After the confidence-weighted targets of self-distillation; the restriction to judged positions is new here.

use std::rc::Rc;

use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, Resources, Rows, TargetShift};
use crate::documented;
use crate::error::{CoreError, check_range, config_error};
use crate::judge::{Teacher, TeacherKind};

/// Lower than any logit, yet finite, so that no difference is NaN.
const NEVER: f32 = -1e30;

documented! {
    /// Settings of [`VerifierTarget`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct VerifierTargetConfig {
        /// Mass of the target that goes to the teacher's words, above 0, at most 1. Default 0.5.
        pub mass: f64,
        /// How many of the teacher's most probable words share it, 1 to 64. Default 8.
        pub top_k: usize,
        /// Less mass where the teacher is unsure: times 1 - H / ln V, H the entropy of its distribution over V words. Default true.
        pub entropy_scaled: bool,
        /// Which positions: `judged` (default), those of false negatives; `wrong` or `all`, the controls without a judge.
        pub rows: Rows,
        /// The teacher: `verifier` (default), the masked LM of `correction.verifier`, or `generator`, the masked LM that is trained itself.
        pub teacher: TeacherKind,
    }
}

impl Default for VerifierTargetConfig {
    fn default() -> Self {
        Self { mass: 0.5, top_k: 8, entropy_scaled: true, rows: Rows::Judged, teacher: TeacherKind::Verifier }
    }
}

impl VerifierTargetConfig {
    /// The correction.
    ///
    /// # Errors
    /// A setting out of range; a verifier that is missing.
    pub fn init(&self, resources: &Resources) -> Result<VerifierTarget, CoreError> {
        self.validate()?;
        Ok(VerifierTarget::new(*self, resources.teacher("verifier-target", self.teacher)?))
    }

    pub(super) fn validate(&self) -> Result<(), CoreError> {
        check_range("mass", self.mass, 1e-6, 1.0)?;
        match (1..=64).contains(&self.top_k) {
            true => Ok(()),
            false => Err(config_error("top_k", self.top_k, "1 to 64")),
        }
    }
}

/// Moves mass of the target to the most probable words of a teacher.
#[derive(Clone)]
pub struct VerifierTarget {
    config: VerifierTargetConfig,
    teacher: Rc<dyn Teacher>,
}

impl VerifierTarget {
    /// Uses `teacher` instead of the one in the settings.
    pub fn new(config: VerifierTargetConfig, teacher: Rc<dyn Teacher>) -> Self {
        Self { config, teacher }
    }

    /// The mass that leaves the original word, `[P]`.
    fn mass(&self, log_p: &Tensor<2>, masked: &Masked<'_>) -> Tensor<1> {
        let [p, v] = log_p.dims();
        let mass = match self.config.entropy_scaled {
            false => Tensor::full([p], self.config.mass as f32, &log_p.device()),
            true => {
                let entropy = (log_p.clone().exp() * log_p.clone()).sum_dim(1).neg().squeeze_dim::<1>(1);
                // Of a vocabulary of one word the teacher is sure.
                let most = (v.max(2) as f32).ln();
                ((entropy / most).neg() + 1.0).clamp(0.0, 1.0) * self.config.mass as f32
            }
        };
        self.config.rows.keep(masked, mass)
    }
}

impl Correction for VerifierTarget {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let unchanged = Corrected::unchanged(masked.predictions);
        let Some(logits) = self.teacher.logits(masked.predictions) else { return unchanged };
        let log_p = burn::tensor::activation::log_softmax(logits, 1);
        let (words, best) = top_k(&log_p, self.config.top_k);
        let shares = burn::tensor::activation::softmax(best, 1);
        let mass = shares * self.mass(&log_p, masked).unsqueeze_dim::<2>(1);
        Corrected { targets: Some(TargetShift { words, mass }), ..unchanged }
    }
}

/// The `k` largest of each row (all if there are fewer), with their places: `[P, V]` -> `[P, k]`, `[P, k]`. One at a time: sorting would wait for
/// the device.
fn top_k(values: &Tensor<2>, k: usize) -> (Tensor<2, Int>, Tensor<2>) {
    let [p, v] = values.dims();
    let never = Tensor::<2>::full([p, 1], NEVER, &values.device());
    let (mut left, mut places, mut found) = (values.clone(), Vec::new(), Vec::new());
    for _ in 0..k.min(v) {
        let place = left.clone().argmax(1);
        found.push(values.clone().gather(1, place.clone()));
        left = left.scatter(1, place.clone(), never.clone(), IndexingUpdateOp::Add);
        places.push(place);
    }
    (Tensor::cat(places, 1), Tensor::cat(found, 1))
}
