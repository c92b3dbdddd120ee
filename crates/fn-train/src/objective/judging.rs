//! The judge of a run: the one that drives the corrections, and the one that held-out metrics are taken with.

use std::sync::Arc;

use fn_core::batch::Predictions;
use fn_core::judge::{DeviceLexicon, Judge, LexiconJudge, THRESHOLD, Verdict};

use super::verifier::MovingAverage;

/// The judge of a run.
pub struct Judging {
    /// Drives the corrections.
    pub judge: Box<dyn Judge>,
    /// From this grade on a wrong prediction is a false negative.
    pub threshold: f64,
    /// A moving average of the trained model that the judge reads with; it has to follow the model.
    pub average: Option<Arc<MovingAverage>>,
    /// Flags false negatives in held-out metrics, whatever drives the corrections: runs are compared by one measure.
    pub measured_by: Option<Box<dyn Judge>>,
}

impl Judging {
    /// By this judge, with the usual threshold; held-out metrics do not judge.
    pub fn by(judge: Box<dyn Judge>) -> Self {
        Self { judge, threshold: THRESHOLD, average: None, measured_by: None }
    }

    /// By look-up sets, in training and in held-out metrics.
    pub fn by_lexicon(lexicon: DeviceLexicon) -> Self {
        let judge = LexiconJudge::new(lexicon);
        Self { measured_by: Some(Box::new(judge.clone())), ..Self::by(Box::new(judge)) }
    }

    /// What the judge says of these predictions.
    pub fn verdict(&self, predictions: &Predictions<'_>) -> Verdict {
        Verdict::of(&*self.judge, predictions, self.threshold)
    }
}
