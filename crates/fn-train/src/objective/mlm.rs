//! BERT's objective: predict the original ids at the masked positions, with false negatives corrected.

use burn::tensor::Device;
use fn_core::batch::Predictions;
use fn_core::loss::MaskedLm;
use fn_core::noise::{Use, mix};
use fn_core::sample::Prediction;
use fn_data::loader::MaskedBatch;
use fn_models::{Cuts, Pretrained};
use fn_ops::Noise;

use super::student::StepStudent;
use super::{DeviceBatch, Judging, Meters, Objective, Share, StepLoss};

/// Masked language modelling with false-negative correction.
pub struct MaskedLanguageModel {
    /// Device of the model, with autodiff.
    pub device: Device,
    /// The loss with its correction.
    pub masked_lm: MaskedLm,
    /// Which prediction `r_k` is judged: the most probable id or a sampled one.
    pub prediction: Prediction,
    /// Weight of the loss (BERT: 1).
    pub weight: f64,
    /// Whether the correction uses the verdict of the judge.
    pub asks_judge: bool,
    /// Flags false negatives.
    pub judging: Judging,
}

impl MaskedLanguageModel {
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
        let DeviceBatch { mut inputs, batch } = DeviceBatch::new(batch, &self.device);
        inputs.cuts = cuts.cloned();
        let logits = model.masked_logits(&inputs, batch.positions.clone(), &noise);
        let predictions = Predictions::new(&batch, &logits, self.prediction);
        let judged = self.judging.judge(&predictions, micro_batch);
        let student = StepStudent { model, seed };
        let out = self.masked_lm.forward(&logits, &predictions, &judged.verdict, &student);
        let excused = self.asks_judge.then_some(judged.share);
        StepLoss { excused, ..StepLoss::of(out.parts, share.rows * self.weight, out.counts) }
    }
}

impl Objective for MaskedLanguageModel {
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

    fn judging(&self) -> &Judging {
        &self.judging
    }

    fn measure(&self, model: &Pretrained, host: &MaskedBatch, _index: u64, meters: &mut Meters<'_>) {
        let DeviceBatch { inputs, batch } = DeviceBatch::new(host, &self.device.clone().inner());
        let logits = model.masked_logits(&inputs, batch.positions.clone(), &Noise::none());
        meters.masked.add(host, &Predictions::new(&batch, &logits, Prediction::Argmax));
    }
}
