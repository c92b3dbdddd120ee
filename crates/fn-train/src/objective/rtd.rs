//! ELECTRA's objective: a generator fills the masked positions, a discriminator tells which tokens were replaced.
//!
//! `L = L_G + weight * BCE`; false negatives can be corrected on either side.

use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::{Batch, Predictions};
use fn_core::loss::{LossParts, MaskedLm, ReplacedToken};
use fn_core::noise::{Use, mix};
use fn_core::sample::{Prediction, SampleConfig, gumbel_sample};
use fn_data::loader::MaskedBatch;
use fn_models::{Inputs, Pretrained};
use fn_ops::Noise;

use super::batch::inputs;
use super::student::StepStudent;
use super::{DeviceBatch, Judging, Meters, Objective, Share, StepLoss};

/// Seed of the replacements of every evaluation: metrics at two steps differ by the model alone.
const EVALUATION_SEED: u64 = 0x5eed_e4a1;

/// Replaced-token detection with false-negative correction on both sides.
pub struct ReplacedTokenDetection {
    /// Where the model lives (with autodiff).
    pub device: Device,
    /// The generator's loss with its correction.
    pub masked_lm: MaskedLm,
    /// Which `r_k` the generator's loss judges.
    pub prediction: Prediction,
    /// Weight of the generator's loss (ELECTRA: 1).
    pub generator_weight: f64,
    /// The discriminator's loss with its correction.
    pub replaced_token: ReplacedToken,
    /// How the generator's replacements are drawn.
    pub sample: SampleConfig,
    /// Flags false negatives, for both corrections.
    pub judging: Judging,
}

impl ReplacedTokenDetection {
    /// One sampled id per masked position, `[P]`.
    fn sample(&self, batch: &Batch, logits: &Tensor<2>) -> Tensor<1, Int> {
        gumbel_sample(logits.clone().detach(), &batch.gold, &self.sample)
    }
}

/// Scores of every token, `[B, L]`, positive = replaced.
///
/// # Panics
/// For a model without a discriminator.
fn detect(model: &Pretrained, inputs: &Inputs, noise: &Noise) -> Tensor<2> {
    #[allow(clippy::expect_used)] // a session trains only what has a discriminator with this objective
    model
        .replaced_logits(inputs, noise)
        .expect("replaced-token detection trains a model with a discriminator")
}

impl Objective for ReplacedTokenDetection {
    fn loss(&self, model: &Pretrained, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss {
        self.device.seed(mix(&[seed, Use::Gumbel as u64]));
        let noise = Noise::new(mix(&[seed, Use::Dropout as u64]));
        let DeviceBatch { inputs: masked, batch } = DeviceBatch::new(batch, &self.device);
        let student = StepStudent { model, seed };

        // Generator.
        let logits = model.masked_logits(&masked, batch.positions.clone(), &noise);
        let sampled = self.sample(&batch, &logits);
        let replacements = Predictions::sampled(&batch, &logits, sampled.clone());
        let predictions = match self.prediction {
            Prediction::Sample => replacements.clone(),
            other => Predictions::new(&batch, &logits, other),
        };
        let verdict = self.judging.verdict(&predictions);
        let generator = self.masked_lm.forward(&logits, &predictions, &verdict, &student);

        // Discriminator: which replacements are false negatives is judged on the sampled ids.
        let verdict = self.judging.verdict(&replacements);
        let corrupted = batch.filled(sampled);
        let found = detect(model, &inputs(corrupted.clone(), &batch), &noise);
        let discriminator =
            self.replaced_token.forward(&found, &replacements, &corrupted, &verdict, &student);

        let weight = (share.rows * self.generator_weight) as f32;
        let generated = generator.parts.terms.into_iter().map(|(name, t)| (name, t * weight));
        let detected = discriminator.parts.terms.into_iter();
        let detected = detected.map(|(name, t)| (name, t * share.tokens as f32));
        let parts = LossParts { terms: generated.chain(detected).collect() };
        StepLoss { total: parts.total(), terms: parts.terms, counts: generator.counts }
    }

    fn detects(&self) -> bool {
        true
    }

    fn judging(&self) -> &Judging {
        &self.judging
    }

    fn measure(&self, model: &Pretrained, host: &MaskedBatch, index: u64, meters: &mut Meters<'_>) {
        let device = self.device.clone().inner();
        let DeviceBatch { inputs: masked, batch } = DeviceBatch::new(host, &device);
        let logits = model.masked_logits(&masked, batch.positions.clone(), &Noise::none());
        device.seed(mix(&[EVALUATION_SEED, index]));
        let sampled = self.sample(&batch, &logits);
        let corrupted = batch.filled(sampled.clone());
        let found = detect(model, &inputs(corrupted, &batch), &Noise::none());
        meters.masked.add(host, &Predictions::new(&batch, &logits, Prediction::Argmax));
        if let Some(detected) = &mut meters.detected {
            detected.add(host, &Predictions::sampled(&batch, &logits, sampled), found);
        }
    }
}
