//! ELECTRA's objective: a generator fills the masked positions, a discriminator tells which tokens were replaced.
//!
//! `L = L_G + weight * BCE`; false negatives can be corrected on either side.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::{Batch, Predictions};
use fn_core::loss::{LossParts, MaskedLm, ReplacedToken};
use fn_core::noise::{Use, mix};
use fn_core::sample::{Prediction, SampleConfig, gumbel_sample};
use fn_core::student::Student;
use fn_data::loader::MaskedBatch;
use fn_models::{Electra, Pooling};
use fn_ops::Noise;

use super::batch::inputs;
use super::verifier::Reader;
use super::{DeviceBatch, Judging, Meters, Objective, Share, StepLoss, sentence_noise};

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

/// An ELECTRA as corrections see it: the shared embeddings, and sentences read by the generator.
struct ElectraStudent<'a> {
    model: &'a Electra,
    seed: u64,
}

impl Student for ElectraStudent<'_> {
    fn embedding(&self) -> Tensor<2> {
        self.model.word_embedding()
    }

    fn look_up(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embeddings.word.forward(ids)
    }

    fn sentence_vectors(&self, embeddings: Tensor<3>, batch: &Batch) -> Tensor<2> {
        let inputs = inputs(batch.original.clone(), batch);
        let noise = sentence_noise(self.seed);
        let hidden = self.model.generator_hidden_of_words(embeddings, &inputs, &noise);
        Pooling::Mean.pool(hidden, inputs.mask.as_ref())
    }
}

impl ReplacedTokenDetection {
    /// One sampled id per masked position, `[P]`.
    fn sample(&self, batch: &Batch, logits: &Tensor<2>) -> Tensor<1, Int> {
        gumbel_sample(logits.clone().detach(), &batch.gold, &self.sample)
    }
}

impl Objective for ReplacedTokenDetection {
    type Model = Electra;

    const DETECTS: bool = true;

    fn loss(&self, model: &Electra, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss {
        self.device.seed(mix(&[seed, Use::Gumbel as u64]));
        let noise = Noise::new(mix(&[seed, Use::Dropout as u64]));
        let DeviceBatch { inputs: masked, batch } = DeviceBatch::new(batch, &self.device);
        let student = ElectraStudent { model, seed };

        // Generator.
        let logits = model.generator_logits(&masked, batch.positions.clone(), &noise);
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
        let found = model.discriminator_logits(&inputs(corrupted.clone(), &batch), &noise);
        let discriminator = self.replaced_token.forward(&found, &batch, &corrupted, &verdict, &student);

        let weight = (share.rows * self.generator_weight) as f32;
        let generated = generator.parts.terms.into_iter().map(|(name, t)| (name, t * weight));
        let detected = discriminator.parts.terms.into_iter();
        let detected = detected.map(|(name, t)| (name, t * share.tokens as f32));
        let parts = LossParts { terms: generated.chain(detected).collect() };
        StepLoss { total: parts.total(), terms: parts.terms, counts: generator.counts }
    }

    fn judging(&self) -> &Judging {
        &self.judging
    }

    fn reader(model: &Electra) -> Reader {
        Reader::Electra(Box::new(model.valid()))
    }

    fn embedding(model: &Electra) -> Tensor<2> {
        model.word_embedding()
    }

    fn measure(&self, model: &Electra, host: &MaskedBatch, index: u64, meters: &mut Meters<'_>) {
        let device = self.device.clone().inner();
        let DeviceBatch { inputs: masked, batch } = DeviceBatch::new(host, &device);
        let logits = model.generator_logits(&masked, batch.positions.clone(), &Noise::none());
        device.seed(mix(&[EVALUATION_SEED, index]));
        let sampled = self.sample(&batch, &logits);
        let corrupted = batch.filled(sampled.clone());
        let found = model.discriminator_logits(&inputs(corrupted, &batch), &Noise::none());
        meters.masked.add(host, logits);
        if let Some(detected) = &mut meters.detected {
            detected.add(host, sampled, found);
        }
    }
}
