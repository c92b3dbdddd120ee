//! The judges of a run: one for the corrections of the loss, and one for held-out metrics.

use std::sync::Arc;

use burn::tensor::Tensor;
use fn_core::batch::Predictions;
use fn_core::judge::{DeviceLexicon, Judge, LexiconJudge, THRESHOLD, Verdict};

use super::average::MovingAverage;

/// The judges of a run.
pub struct Judging {
    /// The judge of the corrections.
    pub judge: Box<dyn Judge>,
    /// A wrong prediction with at least this grade is a false negative.
    pub threshold: f64,
    /// Maximum share of the wrong predictions of a batch that are corrected as false negatives.
    pub cap: f64,
    /// Number of micro-batches at the start of the run in which nothing is corrected.
    pub warmup: u64,
    /// The moving average of the trained model that the judge uses, if it does; it is updated after each step.
    pub average: Option<Arc<MovingAverage>>,
    /// The judge of held-out metrics, which does not depend on that of the corrections, so that runs are comparable.
    pub measured_by: Option<Box<dyn Judge>>,
}

/// The judge's verdict on the predictions of a batch.
#[derive(Debug)]
pub struct Judged {
    /// The verdict that the corrections use.
    pub verdict: Verdict,
    /// Share of the wrong predictions that the judge flags as false negatives before the cap, `[1]`; 0 if no prediction is
    /// wrong.
    pub share: Tensor<1>,
}

impl Judging {
    /// With this judge, the default threshold and no cap, and without a judge for held-out metrics.
    pub fn by(judge: Box<dyn Judge>) -> Self {
        Self { judge, threshold: THRESHOLD, cap: 1.0, warmup: 0, average: None, measured_by: None }
    }

    /// With a lexicon, for corrections and held-out metrics.
    pub fn by_lexicon(lexicon: DeviceLexicon) -> Self {
        let judge = LexiconJudge::new(lexicon);
        Self { measured_by: Some(Box::new(judge.clone())), ..Self::by(Box::new(judge)) }
    }

    /// Whether the warm-up is over in micro-batch `micro_batch` of the run, so that false negatives are corrected.
    pub fn is_warm(&self, micro_batch: u64) -> bool {
        micro_batch >= self.warmup
    }

    /// The judge's verdict on these predictions of micro-batch `micro_batch` of the run.
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
