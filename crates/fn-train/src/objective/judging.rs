//! The judge of a run: the one that drives the corrections, and the one that held-out metrics are taken with.

use std::sync::Arc;

use burn::tensor::Tensor;
use fn_core::batch::Predictions;
use fn_core::judge::{DeviceLexicon, Judge, LexiconJudge, THRESHOLD, Verdict};

use super::verifier::MovingAverage;

/// The judge of a run.
pub struct Judging {
    /// Drives the corrections.
    pub judge: Box<dyn Judge>,
    /// From this grade on a wrong prediction is a false negative.
    pub threshold: f64,
    /// The share of the wrong predictions of a batch that it excuses at most.
    pub cap: f64,
    /// It excuses nothing in so many micro-batches at the start.
    pub warmup: u64,
    /// A moving average of the trained model that the judge reads with; it has to follow the model.
    pub average: Option<Arc<MovingAverage>>,
    /// Flags false negatives in held-out metrics, whatever drives the corrections: runs are compared by one measure.
    pub measured_by: Option<Box<dyn Judge>>,
}

/// What the judge says of the predictions of a batch.
#[derive(Debug)]
pub struct Judged {
    /// What the corrections go by.
    pub verdict: Verdict,
    /// The share of the wrong predictions that the judge calls false negatives before the cap, `[1]`; 0 where none is wrong.
    pub share: Tensor<1>,
}

impl Judging {
    /// By this judge, with the usual threshold and without a cap; held-out metrics do not judge.
    pub fn by(judge: Box<dyn Judge>) -> Self {
        Self { judge, threshold: THRESHOLD, cap: 1.0, warmup: 0, average: None, measured_by: None }
    }

    /// By look-up sets, in training and in held-out metrics.
    pub fn by_lexicon(lexicon: DeviceLexicon) -> Self {
        let judge = LexiconJudge::new(lexicon);
        Self { measured_by: Some(Box::new(judge.clone())), ..Self::by(Box::new(judge)) }
    }

    /// Whether it excuses anything yet in micro-batch `micro_batch` of the run.
    pub fn is_warm(&self, micro_batch: u64) -> bool {
        micro_batch >= self.warmup
    }

    /// What the judge says of these predictions of micro-batch `micro_batch` of the run.
    pub fn judge(&self, predictions: &Predictions<'_>, micro_batch: u64) -> Judged {
        if !self.is_warm(micro_batch) {
            let share = predictions.batch.weight.clone().inner().sum() * 0.0;
            return Judged { verdict: Verdict::none(predictions), share };
        }
        let verdict = Verdict::of(&*self.judge, predictions, self.threshold);
        let wrong = predictions.wrong();
        let share = verdict.false_negative.clone().float().sum() / wrong.clone().float().sum().clamp_min(1.0);
        let verdict = if self.cap < 1.0 { verdict.capped(&wrong, self.cap) } else { verdict };
        Judged { verdict, share }
    }
}
