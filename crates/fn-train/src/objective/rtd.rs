//! ELECTRA's objective: a generator fills the masked rows, a discriminator tells which tokens were replaced.
//!
//! `L = L_G + weight * BCE`; false negatives can be corrected on either side.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::correct::{Correction, DiscriminatorCorrection};
use fn_core::ids::Rows;
use fn_core::loss::{MaskedLm, ReplacedToken, ReplacedTokenInput, scatter_bool, scatter_rows};
use fn_core::noise::{Use, mix};
use fn_core::sample::{Prediction, SampleConfig, argmax_ids, gumbel_sample};
use fn_data::loader::MaskedBatch;
use fn_models::params::NamedTensor;
use fn_models::{Electra, Inputs};
use fn_ops::Noise;

use super::judges::{Judges, Model};
use super::mlm::sum;
use super::sentence::{sentence_distance, sentence_noise};
use super::{DeviceBatch, Objective, Share, StepLoss};
use crate::heldout::{DetectionMeter, Evaluation, MaskedMeter, Truth};

/// Seed of the replacements of every evaluation: metrics at two steps differ by the model alone.
const EVALUATION_SEED: u64 = 0x5eed_e4a1;

/// How replaced tokens are detected and corrected.
#[derive(Debug, Clone)]
pub struct Detection {
    /// What to do with replacements that are false negatives.
    pub correction: DiscriminatorCorrection,
    /// Weight of the discriminator's loss (ELECTRA: 50).
    pub weight: f64,
    /// How the generator's replacements are drawn.
    pub sample: SampleConfig,
}

/// Replaced-token detection with false-negative correction on both sides.
pub struct ReplacedTokenDetection {
    /// Where the model lives (with autodiff).
    pub device: Device,
    /// What the generator's loss does with false negatives.
    pub correction: Correction,
    /// Which `r_k` the generator's loss judges.
    pub prediction: Prediction,
    /// Weight of the generator's loss (ELECTRA: 1).
    pub generator_weight: f64,
    /// The discriminator's side.
    pub detection: Detection,
    /// Says which wrong predictions are false negatives; drives both corrections.
    pub judges: Judges,
}

/// The discriminator's view of a batch.
struct Replaced {
    /// `[P]` sampled ids.
    sampled: Tensor<1, Int>,
    /// `[B, L]` original ids with the sampled ones put in.
    ids: Tensor<2, Int>,
}

impl ReplacedTokenDetection {
    fn replace(&self, batch: &DeviceBatch, logits: &Tensor<2>) -> Replaced {
        let sampled = gumbel_sample(logits.clone().detach(), &batch.gold, &self.detection.sample);
        let ids = scatter_rows(batch.original.clone(), batch.rows.clone(), &batch.weight, sampled.clone());
        Replaced { sampled, ids }
    }
}

impl Objective for ReplacedTokenDetection {
    type Model = Electra;

    fn loss(&self, model: &Electra, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss {
        self.device.seed(mix(&[seed, Use::Gumbel as u64]));
        let noise = Noise::new(mix(&[seed, Use::Dropout as u64]));
        let batch = DeviceBatch::new(batch, &self.device);

        // Generator.
        let logits = model.generator_logits(&batch.inputs, batch.rows.clone(), &noise);
        let replaced = self.replace(&batch, &logits);
        let predicted = match self.prediction {
            Prediction::Sample => replaced.sampled.clone(),
            Prediction::Argmax | Prediction::Expected => argmax_ids(logits.clone()),
        };
        let rows = Rows { gold: batch.gold.clone(), predicted, weight: batch.weight.clone() };
        let sentence = sentence_distance(
            &self.correction,
            &batch,
            &rows,
            &logits,
            model.word_embedding(),
            |ids| model.embeddings.word.forward(ids),
            |words, inputs| model.generator_hidden_of_words(words, inputs, &sentence_noise(seed)),
        );
        let judges = self.judges.of(&batch);
        let masked = MaskedLm {
            correction: &self.correction,
            judge: judges.get(),
            lexicon: self.judges.lexicon.as_ref(),
            hard_negatives: self.judges.hard_negatives,
        };
        let generator = masked.loss(logits, rows, model.word_embedding(), sentence);

        // Discriminator: which replacements are false negatives is judged on the sampled ids.
        let sampled =
            Rows { gold: batch.gold.clone(), predicted: replaced.sampled, weight: batch.weight.clone() };
        let (verdict, right) = (judges.get().judge(&sampled), judges.get().right(&sampled));
        let inputs = Inputs {
            ids: replaced.ids.clone(),
            token_type: batch.inputs.token_type.clone(),
            mask: batch.inputs.mask.clone(),
        };
        let found = model.discriminator_logits(&inputs, &noise);
        let detector = ReplacedToken {
            correction: &self.detection.correction,
            weight: self.detection.weight,
            hard_negatives: self.judges.hard_negatives,
        };
        let places = |rows| scatter_bool(batch.shape, batch.rows.clone(), rows);
        let discriminator = detector.loss(
            ReplacedTokenInput {
                logits: found,
                original: batch.original,
                corrupted: replaced.ids,
                attention: batch.attention,
                false_negative: places(verdict),
                right: right.map(places),
            },
            model.word_embedding(),
        );

        let weight = (share.rows * self.generator_weight) as f32;
        let rows = generator.parts.terms.into_iter().map(|(name, t)| (name, t * weight));
        let tokens = discriminator.parts.terms.into_iter().map(|(name, t)| (name, t * share.tokens as f32));
        let terms: Vec<_> = rows.chain(tokens).collect();
        StepLoss { total: sum(&terms), terms, counts: generator.counts }
    }

    fn follow(&self, model: &Self::Model) {
        self.judges.follow(|| Model::Electra(Box::new(model.valid())));
    }

    fn carried(&self) -> Vec<NamedTensor> {
        self.judges.carried()
    }

    fn restore(&self, model: &Self::Model, tensors: &mut Vec<NamedTensor>) {
        self.judges.restore(|| Model::Electra(Box::new(model.valid())), tensors);
    }

    fn evaluate(
        &self,
        model: &Electra,
        batches: &mut dyn Iterator<Item = MaskedBatch>,
        truth: Option<&dyn Truth>,
    ) -> Evaluation {
        let model = model.valid();
        let device = self.device.clone().inner();
        let mut masked = MaskedMeter::new(self.judges.measured_by.clone(), truth);
        let mut detected = DetectionMeter::new(self.judges.measured_by.clone(), truth);
        for (index, host) in batches.enumerate() {
            let batch = DeviceBatch::new(&host, &device);
            let logits = model.generator_logits(&batch.inputs, batch.rows.clone(), &Noise::none());
            device.seed(mix(&[EVALUATION_SEED, index as u64]));
            let replaced = self.replace(&batch, &logits);
            let inputs = Inputs {
                ids: replaced.ids,
                token_type: batch.inputs.token_type.clone(),
                mask: batch.inputs.mask.clone(),
            };
            let found = model.discriminator_logits(&inputs, &Noise::none());
            masked.add(&host, logits);
            detected.add(&host, replaced.sampled, found);
        }
        let mut evaluation = masked.finish();
        evaluation.extend(detected.finish());
        evaluation.add_embedding(model.word_embedding());
        evaluation
    }
}
