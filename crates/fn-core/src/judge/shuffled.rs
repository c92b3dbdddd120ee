//! The control of a judge: its grades, shuffled among the positions.

use burn::tensor::Tensor;

use super::{Judge, VocabularyJudge};
use crate::batch::Predictions;
use crate::permute::random_sources;

/// A control: the grades of the inner judge, randomly permuted among the wrong predictions of the batch. The distribution of
/// grades is the same, but they carry no information about individual predictions. A gain of the inner judge over this control
/// is due to its grades, not to the number of corrected predictions.
///
/// The order comes from the device's generator, like the choice of [`RandomShield`](crate::correct::RandomShield).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::judge::{Judge, Shuffled, Verdict};
///
/// struct Rising;
/// impl Judge for Rising {
///     fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
///         Tensor::from_floats([0.25, 0.5, 1.0], &predictions.ids.device())
///     }
/// }
/// let device = Device::flex();
/// device.seed(1);
/// let batch = Batch::new(Tensor::from_ints([[7, 7, 7]], &device), Tensor::from_ints([0, 1, 2], &device));
/// // The second prediction is right: the grades of the other two change places or stay.
/// let predictions = Predictions::sampled(&batch, &Tensor::zeros([3, 9], &device), Tensor::from_ints([1, 7, 2], &device));
/// let grade = Verdict::of(&Shuffled(Rising), &predictions, 0.5).grade.into_data().iter::<f32>().collect::<Vec<_>>();
/// assert!(grade == [0.25, 0.0, 1.0] || grade == [1.0, 0.0, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Shuffled<J>(pub J);

impl<J: Judge> Judge for Shuffled<J> {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        self.0.grade(predictions).inner().select(0, random_sources(&predictions.wrong()))
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        self.0.vocabulary().is_some().then_some(self as &dyn VocabularyJudge)
    }
}
