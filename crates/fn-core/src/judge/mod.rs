//! How plausible a prediction is in the place of the original word: a grade per masked position, and the threshold from which a
//! wrong prediction counts as a false negative.

mod combine;
mod generator;
mod lexicon;
mod none;
mod shuffled;
pub(crate) mod teacher;
mod verifier;
mod vocabulary;

pub use combine::{All, Any, WeightedMean};
pub use generator::{Generator, GeneratorConfig, Measure};
pub use lexicon::{DeviceLexicon, LexiconJudge};
pub use none::NoJudge;
pub use shuffled::Shuffled;
pub use teacher::{MaskedModel, Own, Reading, Teacher, TeacherKind};
pub use verifier::{Bands, Verifier};
pub use vocabulary::{VocabularyJudge, errors_only};

use burn::tensor::{Bool, Tensor};

use crate::batch::{Predictions, guarded};
use crate::permute::ranks;

/// Grades predictions by how well they fit in the place of the original word.
///
/// A judge sees the whole batch (original ids, attention, masked positions), the predicted ids, and the student's logits. It must
/// not wait for the device: no value may be read back to the host. What it computes for a batch once it can keep in
/// [`Batch::memo`](crate::batch::Batch::memo).
///
/// A judge of your own:
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::judge::{Judge, Verdict};
///
/// /// A prediction is as good as the student believes.
/// struct Confident;
/// impl Judge for Confident {
///     fn grade(&self, predictions: &Predictions) -> Tensor<1> {
///         let p = burn::tensor::activation::softmax(predictions.logits(), 1);
///         p.gather(1, predictions.ids.clone().inner().unsqueeze_dim(1)).squeeze_dim(1)
///     }
/// }
///
/// let device = Device::flex();
/// let batch = Batch::new(Tensor::from_ints([[0, 0]], &device), Tensor::from_ints([0, 1], &device));
/// let logits = Tensor::<2>::from_floats([[0.0, 9.0, 0.0], [0.0, 0.1, 0.0]], &device);
/// let predictions = Predictions::sampled(&batch, &logits, Tensor::from_ints([1, 1], &device));
/// let verdict = Verdict::of(&Confident, &predictions, 0.5);
/// assert_eq!(verdict.false_negative.into_data().iter::<bool>().collect::<Vec<_>>(), [true, false]);
/// ```
pub trait Judge {
    /// Plausibility of each prediction in the place of the original word, `[P]` in 0..=1, without gradient: 0 an error, 1 as good as
    /// the original. What it says of predictions that are right, and of padding, is not used.
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1>;

    /// The judge as one that grades every word of the vocabulary, if it can: replacements can then be drawn from those that do not fit.
    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        None
    }
}

impl<J: Judge + ?Sized> Judge for Box<J> {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        (**self).grade(predictions)
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        (**self).vocabulary()
    }
}

/// From this grade on a wrong prediction is a false negative, unless configured otherwise.
pub const THRESHOLD: f64 = 0.5;

/// What a judge says of the predictions of a batch. Nothing downstream knows who judged.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Plausibility of each *wrong* prediction, `[P]` in 0..=1; 0 where the prediction is right, and for padding.
    pub grade: Tensor<1>,
    /// Which predictions are false negatives: wrong, with a grade of at least the threshold, `[P]`.
    pub false_negative: Tensor<1, Bool>,
}

impl Verdict {
    /// Nothing is a false negative.
    pub fn none(predictions: &Predictions<'_>) -> Self {
        Self::of(&NoJudge, predictions, THRESHOLD)
    }

    /// Limits the false negatives to the share `cap` (0..=1) of the `wrong` predictions, `[P]`: those with the highest grades
    /// are kept (of equal grades the first), and if the mean grade of all wrong predictions is higher than `cap`, grades are
    /// scaled down to it.
    #[must_use]
    pub fn capped(self, wrong: &Tensor<1, Bool>, cap: f64) -> Self {
        let most = wrong.clone().float().sum() * cap as f32;
        let rank = ranks(self.grade.clone().neg().mask_fill(self.false_negative.clone().bool_not(), 1.0));
        let allowed = rank.float().add_scalar(1.0).lower_equal(most.clone().expand(self.grade.dims()));
        let sum = self.grade.clone().sum();
        // Without a grade there is nothing to scale.
        let scale = (most / guarded(sum.clone())).clamp_max(1.0).mask_fill(sum.equal_scalar(0.0), 1.0);
        Self { grade: self.grade * scale, false_negative: self.false_negative.bool_and(allowed) }
    }

    /// Asks `judge`, and applies the threshold (above 0, at most 1): the one place where a grade becomes a yes or no.
    pub fn of(judge: &dyn Judge, predictions: &Predictions<'_>, threshold: f64) -> Self {
        let wrong = predictions.wrong();
        let grade = judge.grade(predictions).inner().mask_fill(wrong.bool_not(), 0.0);
        let false_negative = grade.clone().greater_equal_scalar(threshold as f32);
        Self { grade, false_negative }
    }
}
