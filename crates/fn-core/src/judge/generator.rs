//! Judges a prediction by its probability in the masked LM that made it, without a further forward pass.
//!
//! ```text
//! g = p(r | context) / (p(r | context) + half)        probability
//! ratio = p(r | context) / p(w | context)             ratio: graded as a verifier's
//! ```
//! `p` is the model's distribution at the position, without the temperature of sampling. Among words that are *sampled* from a
//! masked LM, probable ones fit more often than improbable ones, so this judge is useful for replaced tokens. The most probable
//! word has a high grade almost by definition.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::teacher::surprise;
use super::{Bands, Judge, Own, Verifier, VocabularyJudge};
use crate::batch::Predictions;
use crate::documented;
use crate::error::{CoreError, check_range};

/// The quantity that is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The probability of the prediction.
    #[default]
    Probability,
    /// The ratio of the probabilities of the prediction and of the original word.
    Ratio,
}

documented! {
    /// Settings of [`Generator`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct GeneratorConfig {
        /// `probability` (default): the grade is p(r) / (p(r) + half). `ratio`: it rises with p(r) / p(w), as that of a verifier does.
        pub measure: Measure,
        /// With `probability`: the probability that gets grade 0.5. Above 0, at most 1. Default 0.05.
        pub half: f64,
        /// With `ratio`: from this ratio on the grade is at least 0.5. Default 0.5.
        pub low: f64,
        /// With `ratio`: from this ratio on the grade is 1. Default 1.
        pub high: f64,
    }
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        let Bands { low, high } = Bands::default();
        Self { measure: Measure::default(), half: 0.05, low, high }
    }
}

impl GeneratorConfig {
    /// The judge.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn init(&self) -> Result<Generator, CoreError> {
        check_range("half", self.half, 1e-6, 1.0)?;
        Bands { low: self.low, high: self.high }.validate()?;
        Ok(Generator { config: *self })
    }
}

/// Judges a prediction by the probabilities of the model that made it.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::judge::{GeneratorConfig, Judge};
/// let device = Device::flex();
/// let batch = Batch::new(Tensor::from_ints([[0, 0]], &device), Tensor::from_ints([0, 1], &device));
/// // Probabilities 1/20 and 3/4 for word 1.
/// let p = Tensor::<2>::from_floats([[0.95, 0.05], [0.25, 0.75]], &device);
/// let predictions = Predictions::sampled(&batch, &p.log(), Tensor::from_ints([1, 1], &device));
/// let grades = GeneratorConfig::default().init()?.grade(&predictions).into_data().iter::<f32>().collect::<Vec<_>>();
/// assert!((grades[0] - 0.5).abs() < 1e-6 && (grades[1] - 0.9375).abs() < 1e-6);
/// # Ok::<(), fn_core::CoreError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    config: GeneratorConfig,
}

impl Judge for Generator {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        match self.config.measure {
            Measure::Probability => {
                let p = surprise(&predictions.logits(), &predictions.ids).neg().exp();
                p.clone() / (p + self.config.half as f32)
            }
            Measure::Ratio => {
                Verifier::of(Own, Bands { low: self.config.low, high: self.config.high }).grade(predictions)
            }
        }
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        Some(self)
    }
}

impl Generator {
    pub(super) fn config(&self) -> &GeneratorConfig {
        &self.config
    }
}
