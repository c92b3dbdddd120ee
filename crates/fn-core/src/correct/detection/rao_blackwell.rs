//! Rao-Blackwellised labels: the probability that a token was replaced, given the corrupted sequence.
//!
//! ```text
//! y_t = (1 - alpha) [ v_t != w_t ] + alpha (1 - p_T(v_t | context))        at the masked positions; 0 elsewhere
//! ```
//! The generator samples `v` without seeing the original `w`. If `p_T` is the true distribution of `w` in the context, `w = v`
//! with probability `p_T(v | context)`, and with `alpha = 1` the label is the expectation of the hard label given the corrupted
//! sequence (Rao and Blackwell): the same optimum with less variance. The label also changes where the sampled token equals the
//! original.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::super::registry::Resources;
use super::{CorrectedLabels, DetectionCorrection, Replaced};
use crate::documented;
use crate::error::{CoreError, check_range};
use crate::judge::teacher::surprise;
use crate::judge::{Teacher, TeacherKind};
use crate::loss::scatter_floats;
use crate::permute::random_sources;

documented! {
    /// Settings of [`RaoBlackwell`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct RaoBlackwellConfig {
        /// Share of the expected label; the rest is the hard one. 0 to 1. Default 1.
        pub alpha: f64,
        /// Whose probability of the token it is: `generator` (default) or `verifier`, the masked LM of `correction.verifier`. Where corruption
        /// leaves tokens as they are (`corruption.shares.keep`), the generator has seen the original; a verifier sees none.
        pub teacher: TeacherKind,
        /// The control: probabilities are shuffled among the masked positions of the batch. Default false.
        pub shuffled: bool,
    }
}

impl Default for RaoBlackwellConfig {
    fn default() -> Self {
        Self { alpha: 1.0, teacher: TeacherKind::Generator, shuffled: false }
    }
}

impl RaoBlackwellConfig {
    /// The correction.
    ///
    /// # Errors
    /// A share out of range; a verifier that is missing.
    pub fn init(&self, resources: &Resources) -> Result<RaoBlackwell, CoreError> {
        self.validate()?;
        Ok(RaoBlackwell::new(*self, resources.teacher("rao-blackwell", self.teacher)?))
    }

    pub(super) fn validate(&self) -> Result<(), CoreError> {
        check_range("alpha", self.alpha, 0.0, 1.0)
    }
}

/// Labels by the probability that the token is the original.
#[derive(Clone)]
pub struct RaoBlackwell {
    config: RaoBlackwellConfig,
    teacher: Rc<dyn Teacher>,
}

impl RaoBlackwell {
    /// Takes the probabilities from `teacher` instead of the one in the settings.
    pub fn new(config: RaoBlackwellConfig, teacher: Rc<dyn Teacher>) -> Self {
        Self { config, teacher }
    }
}

impl DetectionCorrection for RaoBlackwell {
    fn correct(&self, replaced: &Replaced<'_>) -> CorrectedLabels {
        let unchanged = CorrectedLabels::unchanged(replaced);
        let (batch, replacements) = (replaced.batch, replaced.replacements);
        let Some(logits) = self.teacher.logits(replacements) else { return unchanged };
        let real = batch.weight.clone().inner().greater_scalar(0.0);
        let mut original = surprise(&logits, &replacements.ids).neg().exp();
        if self.config.shuffled {
            original = original.select(0, random_sources(&real));
        }
        let hard = replacements.wrong().float();
        let change = (-original + 1.0 - hard) * self.config.alpha as f32;
        let change = change.mask_fill(real.bool_not(), 0.0);
        let positions = batch.positions.clone().inner();
        CorrectedLabels {
            labels: unchanged.labels + scatter_floats(batch.shape(), positions, change),
            ..unchanged
        }
    }
}
