//! ELECTRA's objective: a generator fills the masked positions, a discriminator detects the tokens that were replaced.
//!
//! `L = L_G + weight * BCE`; false negatives can be corrected on either side.

use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::{Batch, Predictions};
use fn_core::judge::errors_only;
use fn_core::loss::{LossParts, MaskedLm, ReplacedToken};
use fn_core::noise::{Use, mix};
use fn_core::sample::{Prediction, SampleConfig, gumbel_sample};
use fn_data::loader::MaskedBatch;
use fn_models::{Cuts, Inputs, Pretrained};
use fn_ops::Noise;

use super::batch::inputs;
use super::student::StepStudent;
use super::{DeviceBatch, Judging, Meters, Objective, Share, StepLoss};

/// Seed of the replacements in every evaluation, so that metrics at different steps differ only because of the model.
const EVALUATION_SEED: u64 = 0x5eed_e4a1;

/// Replaced-token detection with false-negative correction on both sides.
pub struct ReplacedTokenDetection {
    /// Device of the model, with autodiff.
    pub device: Device,
    /// The generator's loss with its correction.
    pub masked_lm: MaskedLm,
    /// Which prediction `r_k` is judged for the generator's loss.
    pub prediction: Prediction,
    /// Weight of the generator's loss (ELECTRA: 1).
    pub generator_weight: f64,
    /// The discriminator's loss with its correction.
    pub replaced_token: ReplacedToken,
    /// How replacements are sampled from the generator.
    pub sample: SampleConfig,
    /// Whether replacements are sampled from the words that do not fit, for which the judge must grade the whole vocabulary.
    pub errors_only: bool,
    /// Whether the corrections of the generator and of the discriminator use the verdict of the judge.
    pub asks_judge: [bool; 2],
    /// Flags false negatives, for both corrections.
    pub judging: Judging,
}

impl ReplacedTokenDetection {
    /// One sampled id per masked position, `[P]`.
    fn sample(&self, batch: &Batch, logits: &Tensor<2>) -> Tensor<1, Int> {
        gumbel_sample(logits.clone().detach(), &batch.gold, &self.sample)
    }

    /// As `sample`, from the generator's probabilities times 1 - g.
    fn sample_errors(&self, batch: &Batch, logits: &Tensor<2>) -> Tensor<1, Int> {
        let Some(judge) = self.judging.judge.vocabulary() else { return self.sample(batch, logits) };
        let predictions = Predictions::sampled(batch, logits, batch.gold.clone());
        self.sample(batch, &errors_only(judge, &predictions, self.sample.temperature))
    }

    /// [`Objective::loss`], of passes that are cut if there are `cuts`.
    fn step(
        &self,
        model: &Pretrained,
        batch: &MaskedBatch,
        share: Share,
        seed: u64,
        cuts: Option<&Cuts>,
    ) -> StepLoss {
        let micro_batch = batch.micro_batch;
        self.device.seed(mix(&[seed, Use::Gumbel as u64]));
        let noise = Noise::new(mix(&[seed, Use::Dropout as u64]));
        let DeviceBatch { inputs: mut masked, batch } = DeviceBatch::new(batch, &self.device);
        masked.cuts = cuts.cloned();
        let student = StepStudent { model, seed };

        // Generator.
        let logits = model.masked_logits(&masked, batch.positions.clone(), &noise);
        let sampled = match self.errors_only && self.judging.is_warm(micro_batch) {
            true => self.sample_errors(&batch, &logits),
            false => self.sample(&batch, &logits),
        };
        let replacements = Predictions::sampled(&batch, &logits, sampled.clone());
        let predictions = match self.prediction {
            Prediction::Sample => replacements.clone(),
            other => Predictions::new(&batch, &logits, other),
        };
        let of_predictions = self.judging.judge(&predictions, micro_batch);
        let generator = self.masked_lm.forward(&logits, &predictions, &of_predictions.verdict, &student);

        // Discriminator: which replacements are false negatives is judged on the sampled ids.
        let of_replacements = self.judging.judge(&replacements, micro_batch);
        let corrupted = batch.filled(sampled);
        let corrupted_inputs = Inputs { cuts: cuts.cloned(), ..inputs(corrupted.clone(), &batch) };
        let found = detect(model, &corrupted_inputs, &noise);
        let discriminator = self.replaced_token.forward(
            &found,
            &replacements,
            &corrupted,
            &of_replacements.verdict,
            &student,
        );

        let weight = (share.rows * self.generator_weight) as f32;
        let generated = generator.parts.terms.into_iter().map(|(name, t)| (name, t * weight));
        let detected = discriminator.parts.terms.into_iter();
        let detected = detected.map(|(name, t)| (name, t * share.tokens as f32));
        let parts = LossParts { terms: generated.chain(detected).collect() };
        let asked = [(self.asks_judge[0], of_predictions.share), (self.asks_judge[1], of_replacements.share)];
        let shares = asked.into_iter().filter_map(|(asks, share)| asks.then_some(share));
        let excused = shares.reduce(Tensor::max_pair);
        StepLoss { total: parts.total(), terms: parts.terms, counts: generator.counts, excused }
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
        self.step(model, batch, share, seed, None)
    }

    fn loss_cut(
        &self,
        model: &Pretrained,
        batch: &MaskedBatch,
        share: Share,
        seed: u64,
        cuts: &Cuts,
    ) -> StepLoss {
        self.step(model, batch, share, seed, Some(cuts))
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
