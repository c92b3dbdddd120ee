//! The objectives of pre-training: from a batch to its loss.
//!
//! [`MaskedLanguageModel`] is BERT's objective, [`ReplacedTokenDetection`] ELECTRA's. Both read from top to bottom in the
//! order of the paper: forward at the masked positions, predict, judge, correct, loss.

mod average;
mod batch;
mod build;
mod encoder;
mod judging;
mod mlm;
mod rtd;
mod student;
mod verifier;

pub use average::MovingAverage;
pub use batch::DeviceBatch;
pub use build::build;
pub use encoder::{EncoderCalibration, EncoderError, EncoderJudge};
pub use judging::{Judged, Judging};
pub use mlm::MaskedLanguageModel;
pub use rtd::ReplacedTokenDetection;
pub use verifier::Reader;

use burn::module::Module;
use burn::tensor::Tensor;
use fn_core::loss::LossParts;
use fn_core::stats::FalseNegativeCounts;
use fn_data::loader::MaskedBatch;
use fn_models::params::NamedTensor;
use fn_models::{Cuts, Pretrained};

use crate::heldout::{DetectionMeter, Evaluation, MaskedMeter, Truth};

/// Share of a micro-batch in an optimiser step.
///
/// The loss of a step is a mean over all of its masked positions (and tokens). Micro-batches rarely have the same number of
/// them, so the mean of each one is weighted by its share; otherwise gradient accumulation would change the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Share of the step's masked positions, `0..=1`.
    pub rows: f64,
    /// Share of the step's real tokens, `0..=1`.
    pub tokens: f64,
}

impl Share {
    /// The share in a step with a single micro-batch.
    pub const WHOLE: Share = Share { rows: 1.0, tokens: 1.0 };

    /// The shares of the micro-batches of a step. In a step without masked positions, each has share 0 of them.
    pub fn of(micro: &[MaskedBatch]) -> Vec<Share> {
        Self::among(&micro.iter().map(BatchSize::of).collect::<Vec<_>>())
    }

    /// The shares of micro-batches of these sizes.
    pub fn among(micro: &[BatchSize]) -> Vec<Share> {
        let rows: f64 = micro.iter().map(|size| size.rows).sum();
        let tokens: f64 = micro.iter().map(|size| size.tokens).sum();
        let part = |x: f64, of: f64| if of > 0.0 { x / of } else { 0.0 };
        micro
            .iter()
            .map(|size| Share { rows: part(size.rows, rows), tokens: part(size.tokens, tokens) })
            .collect()
    }
}

/// How much there is to learn from in a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchSize {
    /// Masked rows that are not padding.
    pub rows: f64,
    /// Tokens that are not padding.
    pub tokens: f64,
}

impl BatchSize {
    /// The size of `batch`.
    pub fn of(batch: &MaskedBatch) -> Self {
        Self { rows: masked_rows(batch), tokens: real_tokens(batch) }
    }
}

/// Number of masked positions of a batch, without padding.
pub fn masked_rows(batch: &MaskedBatch) -> f64 {
    batch.weight.iter().map(|&w| f64::from(w)).sum()
}

/// Number of tokens of a batch, without padding.
pub fn real_tokens(batch: &MaskedBatch) -> f64 {
    batch.attention.iter().map(|&a| f64::from(a)).sum()
}

/// The loss of a micro-batch. All values stay on the device until they are read.
#[derive(Debug)]
pub struct StepLoss {
    /// The loss to differentiate, `[1]`: this micro-batch's share of the step's loss.
    pub total: Tensor<1>,
    /// Named terms, each `[1]`, already weighted; they add up to `total`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// Counts of wrong predictions and false negatives among the masked positions.
    pub counts: FalseNegativeCounts,
    /// The largest share of the wrong predictions that the judge called false negatives, `[1]`, of those that a correction excuses;
    /// None where no correction asks the judge.
    pub excused: Option<Tensor<1>>,
}

impl StepLoss {
    /// A loss whose terms are weighted by `weight`, its share of the step included.
    fn of(parts: LossParts, weight: f64, counts: FalseNegativeCounts) -> Self {
        let terms = parts.terms.into_iter().map(|(name, term)| (name, term * weight as f32)).collect();
        let parts = LossParts { terms };
        Self { total: parts.total(), terms: parts.terms, counts, excused: None }
    }
}

/// Accumulators of held-out metrics.
pub struct Meters<'a> {
    /// Metrics of the masked language model.
    pub masked: MaskedMeter<'a>,
    /// Metrics of the discriminator, if the objective has one.
    pub detected: Option<DetectionMeter<'a>>,
}

/// An objective of pre-training.
pub trait Objective {
    /// Whether the objective trains a discriminator.
    fn detects(&self) -> bool {
        false
    }

    /// The loss of a micro-batch. Dropout and sampling are functions of `seed`.
    fn loss(&self, model: &Pretrained, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss;

    /// [`loss`](Self::loss), of a forward pass that is cut before each layer, so that the backward pass can be made in parts. An objective
    /// that does not support it leaves no cuts.
    fn loss_cut(
        &self,
        model: &Pretrained,
        batch: &MaskedBatch,
        share: Share,
        seed: u64,
        _cuts: &Cuts,
    ) -> StepLoss {
        self.loss(model, batch, share, seed)
    }

    /// The judges of false negatives.
    fn judging(&self) -> &Judging;

    /// Adds the held-out batch with this index to the metrics, without dropout and without autodiff.
    fn measure(&self, model: &Pretrained, batch: &MaskedBatch, index: u64, meters: &mut Meters<'_>);

    /// Called with the model before the first step and after each step, to update the moving average.
    fn follow(&self, model: &Pretrained) {
        if let Some(average) = &self.judging().average {
            average.follow(Reader::of(model));
        }
    }

    /// Tensors that a checkpoint holds besides weights and moments.
    fn extra_tensors(&self) -> Vec<NamedTensor> {
        self.judging().average.as_ref().map(|average| average.tensors()).unwrap_or_default()
    }

    /// Restores its own [`extra_tensors`](Self::extra_tensors) from those of a checkpoint, and removes them from `tensors`.
    fn restore(&self, model: &Pretrained, tensors: &mut Vec<NamedTensor>) {
        if let Some(average) = &self.judging().average {
            average.restore(Reader::of(model), tensors);
        }
    }

    /// Held-out metrics over `batches`, without dropout; deterministic.
    fn evaluate(
        &self,
        model: &Pretrained,
        batches: &mut dyn Iterator<Item = MaskedBatch>,
        truth: Option<&dyn Truth>,
    ) -> Evaluation {
        let model = model.valid();
        let Judging { measured_by, threshold, .. } = self.judging();
        let (judge, threshold) = (measured_by.as_deref(), *threshold);
        let mut meters = Meters {
            masked: MaskedMeter::new(judge, threshold, truth),
            detected: self.detects().then(|| DetectionMeter::new(judge, threshold, truth)),
        };
        for (index, batch) in batches.enumerate() {
            self.measure(&model, &batch, index as u64, &mut meters);
        }
        let mut evaluation = meters.masked.finish();
        if let Some(detected) = meters.detected {
            evaluation.extend(detected.finish());
        }
        evaluation.add_embedding(model.word_embedding());
        evaluation
    }
}
