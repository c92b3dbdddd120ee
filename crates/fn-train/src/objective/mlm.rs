//! BERT's objective: predict the original ids at the masked positions, with false negatives corrected.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::{Batch, Predictions};
use fn_core::loss::MaskedLm;
use fn_core::noise::{Use, mix};
use fn_core::sample::Prediction;
use fn_core::student::Student;
use fn_data::loader::MaskedBatch;
use fn_models::{BertForPreTraining, Pooling};
use fn_ops::Noise;

use super::verifier::Reader;
use super::{DeviceBatch, Judging, Meters, Objective, Share, StepLoss, sentence_noise};

/// Masked language modelling with false-negative correction.
pub struct MaskedLanguageModel {
    /// Where the model lives (with autodiff).
    pub device: Device,
    /// The loss with its correction.
    pub masked_lm: MaskedLm,
    /// Which `r_k` is judged: the most probable id or a sampled one.
    pub prediction: Prediction,
    /// Weight of the loss (BERT: 1).
    pub weight: f64,
    /// Flags false negatives.
    pub judging: Judging,
}

/// A BERT as corrections see it.
struct BertStudent<'a> {
    model: &'a BertForPreTraining,
    seed: u64,
}

impl Student for BertStudent<'_> {
    fn embedding(&self) -> Tensor<2> {
        self.model.word_embedding()
    }

    fn look_up(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embeddings.word.forward(ids)
    }

    fn sentence_vectors(&self, embeddings: Tensor<3>, batch: &Batch) -> Tensor<2> {
        let inputs = super::batch::inputs(batch.original.clone(), batch);
        let hidden = self.model.hidden_of_words(embeddings, &inputs, &sentence_noise(self.seed));
        Pooling::Mean.pool(hidden, inputs.mask.as_ref())
    }
}

impl Objective for MaskedLanguageModel {
    type Model = BertForPreTraining;

    fn loss(&self, model: &BertForPreTraining, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss {
        self.device.seed(mix(&[seed, Use::Gumbel as u64]));
        let noise = Noise::new(mix(&[seed, Use::Dropout as u64]));
        let DeviceBatch { inputs, batch } = DeviceBatch::new(batch, &self.device);
        let logits = model.masked_logits(&inputs, batch.positions.clone(), &noise);
        let predictions = Predictions::new(&batch, &logits, self.prediction);
        let verdict = self.judging.verdict(&predictions);
        let student = BertStudent { model, seed };
        let out = self.masked_lm.forward(&logits, &predictions, &verdict, &student);
        StepLoss::of(out.parts, share.rows * self.weight, out.counts)
    }

    fn judging(&self) -> &Judging {
        &self.judging
    }

    fn reader(model: &BertForPreTraining) -> Reader {
        Reader::Bert(Box::new(model.valid()))
    }

    fn embedding(model: &BertForPreTraining) -> Tensor<2> {
        model.word_embedding()
    }

    fn measure(&self, model: &BertForPreTraining, host: &MaskedBatch, _index: u64, meters: &mut Meters<'_>) {
        let DeviceBatch { inputs, batch } = DeviceBatch::new(host, &self.device.clone().inner());
        let logits = model.masked_logits(&inputs, batch.positions, &Noise::none());
        meters.masked.add(host, logits);
    }
}
