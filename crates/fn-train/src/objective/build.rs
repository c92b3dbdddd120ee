//! Builds the objective of a configuration.

use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::loss::{MaskedLmConfig, ReplacedTokenConfig};
use fn_core::sample::SampleConfig;

use super::{Judging, MaskedLanguageModel, Objective, ReplacedTokenDetection};
use crate::config::{Replacements, RunConfig};
use crate::error::TrainError;

/// The objective of `config`: replaced-token detection for an architecture with a discriminator, otherwise masked language
/// modelling. `device` is that of the model, with autodiff.
///
/// # Errors
/// A correction whose settings are out of range, or that needs a resource (a lexicon, for instance) that `resources` lack.
pub fn build(
    config: &RunConfig,
    resources: &Resources,
    judging: Judging,
    device: Device,
) -> Result<Box<dyn Objective>, TrainError> {
    let (train, correction) = (&config.train, &config.correction);
    let masked_lm = MaskedLmConfig {
        correction: correction.masked_lm.clone(),
        hard_negatives: correction.hard_negatives,
    };
    let masked_lm = masked_lm.init(resources)?;
    if config.model.arch.discriminator_head().is_none() {
        let (prediction, weight) = (correction.prediction, train.masked_lm_weight);
        let asks_judge = correction.masked_lm_asks_judge();
        return Ok(Box::new(MaskedLanguageModel {
            device,
            masked_lm,
            prediction,
            weight,
            asks_judge,
            judging,
        }));
    }
    let replaced_token = ReplacedTokenConfig {
        correction: correction.discriminator.clone(),
        weight: train.discriminator_weight,
        hard_negatives: correction.hard_negatives,
    };
    let errors_only = correction.replacements == Replacements::Errors;
    if errors_only && judging.judge.vocabulary().is_none() {
        return Err(TrainError::NoVocabularyJudge { kind: correction.judge_or_default().name().to_owned() });
    }
    Ok(Box::new(ReplacedTokenDetection {
        device,
        masked_lm,
        prediction: correction.prediction,
        generator_weight: train.masked_lm_weight,
        replaced_token: replaced_token.init(resources)?,
        sample: SampleConfig { temperature: train.temperature, disallow_correct: train.disallow_correct },
        errors_only,
        asks_judge: [correction.masked_lm_asks_judge(), correction.discriminator_asks_judge()],
        judging,
    }))
}
