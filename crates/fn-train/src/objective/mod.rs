//! One step of pre-training: a batch in, a loss out.
//!
//! [`MaskedLanguageModel`] is BERT's objective, [`ReplacedTokenDetection`] ELECTRA's. Both read from top to bottom in the
//! order of the paper: forward at the masked positions, predict, judge, correct, loss.

mod batch;
mod build;
mod judging;
mod mlm;
mod rtd;
mod student;
mod verifier;

pub use batch::DeviceBatch;
pub use build::build;
pub use judging::{Judged, Judging};
pub use mlm::MaskedLanguageModel;
pub use rtd::ReplacedTokenDetection;
pub use verifier::{MovingAverage, Reader};

use burn::module::Module;
use burn::tensor::Tensor;
use fn_core::loss::LossParts;
use fn_core::stats::FalseNegativeCounts;
use fn_data::loader::MaskedBatch;
use fn_models::Pretrained;
use fn_models::params::NamedTensor;

use crate::heldout::{DetectionMeter, Evaluation, MaskedMeter, Truth};

/// What part of an optimiser step's work one micro-batch is.
///
/// A step's loss is a mean over all of its masked rows (and tokens). Micro-batches rarely hold equally many, so each one's
/// mean is weighted by its share; otherwise accumulation would change the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Share of the step's masked rows, `0..=1`.
    pub rows: f64,
    /// Share of the step's real tokens, `0..=1`.
    pub tokens: f64,
}

impl Share {
    /// A step of one micro-batch.
    pub const WHOLE: Share = Share { rows: 1.0, tokens: 1.0 };

    /// The shares of the micro-batches of one step. A step without a single masked row gives every batch share 0 of the rows.
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

/// Number of masked rows of a batch that are not padding.
pub fn masked_rows(batch: &MaskedBatch) -> f64 {
    batch.weight.iter().map(|&w| f64::from(w)).sum()
}

/// Number of tokens of a batch that are not padding.
pub fn real_tokens(batch: &MaskedBatch) -> f64 {
    batch.attention.iter().map(|&a| f64::from(a)).sum()
}

/// The loss of one micro-batch. Everything stays on the device until it is read.
#[derive(Debug)]
pub struct StepLoss {
    /// What to differentiate, `[1]`: this micro-batch's share of the step's loss.
    pub total: Tensor<1>,
    /// Named terms, each `[1]`, already weighted; they add up to `total`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// Counts of wrong predictions and false negatives among the masked rows.
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

/// What held-out metrics are added up in.
pub struct Meters<'a> {
    /// Of the masked language model.
    pub masked: MaskedMeter<'a>,
    /// Of the discriminator, if the objective has one.
    pub detected: Option<DetectionMeter<'a>>,
}

/// An objective of pre-training.
pub trait Objective {
    /// Whether it trains a discriminator.
    fn detects(&self) -> bool {
        false
    }

    /// The loss of one micro-batch. `seed` decides dropout and sampling, and nothing else does.
    fn loss(&self, model: &Pretrained, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss;

    /// Who flags false negatives.
    fn judging(&self) -> &Judging;

    /// Measures one held-out batch, the `index`-th, without dropout; `model` and what it computes live on the plain device.
    fn measure(&self, model: &Pretrained, batch: &MaskedBatch, index: u64, meters: &mut Meters<'_>);

    /// Called with the model before the first step and after each one, for the moving average that follows it.
    fn follow(&self, model: &Pretrained) {
        if let Some(average) = &self.judging().average {
            average.follow(Reader::of(model));
        }
    }

    /// Tensors that a checkpoint must hold beside weights and moments.
    fn extra_tensors(&self) -> Vec<NamedTensor> {
        self.judging().average.as_ref().map(|average| average.tensors()).unwrap_or_default()
    }

    /// Takes its own [`extra_tensors`](Self::extra_tensors) out of those of a checkpoint and goes on from them.
    fn restore(&self, model: &Pretrained, tensors: &mut Vec<NamedTensor>) {
        if let Some(average) = &self.judging().average {
            average.restore(Reader::of(model), tensors);
        }
    }

    /// Held-out metrics over `batches`, without dropout. The same batches give the same numbers.
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
