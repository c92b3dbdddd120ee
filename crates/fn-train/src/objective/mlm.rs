//! BERT's objective: predict the original ids at the masked rows, with false negatives corrected.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::correct::Correction;
use fn_core::ids::Rows;
use fn_core::loss::MaskedLm;
use fn_core::noise::{Use, mix};
use fn_core::sample::{Prediction, SampleConfig, argmax_ids, gumbel_sample};
use fn_data::loader::MaskedBatch;
use fn_models::BertForPreTraining;
use fn_models::params::NamedTensor;
use fn_ops::Noise;

use super::judges::{Judges, Model};
use super::sentence::{sentence_distance, sentence_noise};
use super::{DeviceBatch, Objective, Share, StepLoss};
use crate::heldout::{Evaluation, MaskedMeter, Truth};

/// Masked language modelling with false-negative correction.
pub struct MaskedLanguageModel {
    /// Where the model lives (with autodiff).
    pub device: Device,
    /// What to do with false negatives.
    pub correction: Correction,
    /// Which `r_k` is judged: the most probable id or a sampled one.
    pub prediction: Prediction,
    /// Weight of the loss (BERT: 1).
    pub weight: f64,
    /// Says which wrong predictions are false negatives; drives the correction.
    pub judges: Judges,
}

impl MaskedLanguageModel {
    /// `r_k` of every masked row, `[P]`, without gradient.
    fn predict(&self, logits: &Tensor<2>, gold: &Tensor<1, Int>) -> Tensor<1, Int> {
        match self.prediction {
            Prediction::Sample => gumbel_sample(logits.clone(), gold, &SampleConfig::default()),
            Prediction::Argmax | Prediction::Expected => argmax_ids(logits.clone()),
        }
    }
}

impl Objective for MaskedLanguageModel {
    type Model = BertForPreTraining;

    fn loss(&self, model: &BertForPreTraining, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss {
        self.device.seed(mix(&[seed, Use::Gumbel as u64]));
        let noise = Noise::new(mix(&[seed, Use::Dropout as u64]));
        let batch = DeviceBatch::new(batch, &self.device);
        let logits = model.masked_logits(&batch.inputs, batch.rows.clone(), &noise);
        let rows = Rows {
            predicted: self.predict(&logits, &batch.gold),
            gold: batch.gold.clone(),
            weight: batch.weight.clone(),
        };
        let sentence = sentence_distance(
            &self.correction,
            &batch,
            &rows,
            &logits,
            model.word_embedding(),
            |ids| model.embeddings.word.forward(ids),
            |words, inputs| model.hidden_of_words(words, inputs, &sentence_noise(seed)),
        );
        let judges = self.judges.of(&batch);
        let masked = MaskedLm {
            correction: &self.correction,
            judge: judges.get(),
            lexicon: self.judges.lexicon.as_ref(),
            hard_negatives: self.judges.hard_negatives,
        };
        let out = masked.loss(logits, rows, model.word_embedding(), sentence);
        let weight = (share.rows * self.weight) as f32;
        let terms: Vec<_> = out.parts.terms.into_iter().map(|(name, t)| (name, t * weight)).collect();
        StepLoss { total: sum(&terms), terms, counts: out.counts }
    }

    fn follow(&self, model: &Self::Model) {
        self.judges.follow(|| Model::Bert(Box::new(model.valid())));
    }

    fn carried(&self) -> Vec<NamedTensor> {
        self.judges.carried()
    }

    fn restore(&self, model: &Self::Model, tensors: &mut Vec<NamedTensor>) {
        self.judges.restore(|| Model::Bert(Box::new(model.valid())), tensors);
    }

    fn evaluate(
        &self,
        model: &BertForPreTraining,
        batches: &mut dyn Iterator<Item = MaskedBatch>,
        truth: Option<&dyn Truth>,
    ) -> Evaluation {
        let model = model.valid();
        let device = self.device.clone().inner();
        let mut meter = MaskedMeter::new(self.judges.measured_by.clone(), truth);
        for host in batches {
            let batch = DeviceBatch::new(&host, &device);
            let logits = model.masked_logits(&batch.inputs, batch.rows.clone(), &Noise::none());
            meter.add(&host, logits);
        }
        let mut evaluation = meter.finish();
        evaluation.add_embedding(model.word_embedding());
        evaluation
    }
}

/// Sum of named terms, `[1]`. There is always at least one.
pub(super) fn sum(terms: &[(&'static str, Tensor<1>)]) -> Tensor<1> {
    #[allow(clippy::expect_used)] // every loss has its main term
    terms.iter().map(|(_, t)| t.clone()).reduce(|a, b| a + b).expect("a loss has at least one term")
}
