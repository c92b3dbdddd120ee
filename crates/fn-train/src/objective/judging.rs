//! The judge of a run: which one drives the corrections, and by which look-up sets held-out metrics judge.

use std::sync::Arc;

use fn_core::batch::Predictions;
use fn_core::judge::{DeviceLexicon, Judge, LexiconJudge, NoJudge, THRESHOLD, Verdict};

use super::verifier::MovingAverage;

/// The judge of a run.
pub struct Judging {
    /// Drives the corrections.
    pub judge: Box<dyn Judge>,
    /// From this grade on a wrong prediction is a false negative.
    pub threshold: f64,
    /// A moving average of the trained model that the judge reads with; it has to follow the model.
    pub average: Option<Arc<MovingAverage>>,
    /// The look-up sets by which held-out metrics judge, whatever drives the corrections: runs are compared by one measure.
    pub measured_by: Option<DeviceLexicon>,
}

impl Judging {
    /// By this judge, with the usual threshold; held-out metrics do not judge.
    pub fn by(judge: Box<dyn Judge>) -> Self {
        Self { judge, threshold: THRESHOLD, average: None, measured_by: None }
    }

    /// By look-up sets, in training and in held-out metrics; without them nothing is a false negative.
    pub fn by_lexicon(lexicon: Option<DeviceLexicon>) -> Self {
        let judge: Box<dyn Judge> = match &lexicon {
            Some(lexicon) => Box::new(LexiconJudge::new(lexicon.clone())),
            None => Box::new(NoJudge),
        };
        Self { measured_by: lexicon, ..Self::by(judge) }
    }

    /// What the judge says of these predictions.
    pub fn verdict(&self, predictions: &Predictions<'_>) -> Verdict {
        Verdict::of(&*self.judge, predictions, self.threshold)
    }
}
