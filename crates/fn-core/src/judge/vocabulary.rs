//! Judges that can grade every word in the place of the original, so that replacements can be drawn from those that do not fit.
//!
//! ```text
//! p(v) proportional to p_G(v)(1 - g(v))        v != w; the original keeps p_G(w)
//! ```

use burn::tensor::{IndexingUpdateOp, Tensor};

use super::teacher::surprise;
use super::{
    All, Any, Bands, Generator, Judge, LexiconJudge, Measure, Own, Shuffled, Teacher, Verifier, WeightedMean,
};
use crate::batch::Predictions;
use crate::permute::random_sources;

/// A judge that grades every word of the vocabulary, not the prediction alone.
pub trait VocabularyJudge {
    /// Plausibility of each word in the place of the original, `[P, V]` in 0..=1, without gradient. What it says of the original itself
    /// is not used; neither are the ids of `predictions`.
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2>;
}

/// Lower than any logit, yet finite, so that no difference is NaN.
const NEVER: f32 = -1e30;

/// The student's logits with `temperature` x ln(1 - g) added, `[P, V]`, without gradient: what is drawn from them at this temperature is drawn from
/// `p_G(v)^(1 / temperature) (1 - g(v))`. Words of grade 1 are never drawn; the original is drawn as before.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::judge::{DeviceLexicon, LexiconJudge, errors_only};
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// let device = Device::flex();
/// let lexicon = Lexicon::from_graded_rows(4, [(1, vec![(2, 0.75)])], LexiconInfo::default())?;
/// let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device));
/// let batch = Batch::new(Tensor::from_ints([[1]], &device), Tensor::from_ints([0], &device));
/// let predictions = Predictions::sampled(&batch, &Tensor::zeros([1, 4], &device), batch.gold.clone());
/// let logits = errors_only(&judge, &predictions, 1.0);
/// let p = burn::tensor::activation::softmax(logits, 1).into_data().iter::<f32>().collect::<Vec<_>>();
/// assert!((p[2] / p[0] - 0.25).abs() < 1e-6 && (p[1] - p[3]).abs() < 1e-6);
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
pub fn errors_only(
    judge: &dyn VocabularyJudge,
    predictions: &Predictions<'_>,
    temperature: f64,
) -> Tensor<2> {
    let logits = predictions.logits();
    let grades = judge.grade_all(predictions);
    let fits = grades.clone().greater_equal_scalar(1.0);
    let spared = logits.clone() + (-grades + 1.0).clamp_min(f32::MIN_POSITIVE).log() * temperature as f32;
    let spared = spared.mask_fill(fits, NEVER);
    let gold = predictions.batch.gold.clone().inner().unsqueeze_dim::<2>(1);
    let back = logits.gather(1, gold.clone()) - spared.clone().gather(1, gold.clone());
    spared.scatter(1, gold, back, IndexingUpdateOp::Add)
}

impl VocabularyJudge for LexiconJudge {
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let (members, grades) = self.row(&predictions.batch.gold);
        Tensor::zeros(predictions.logits().dims(), &grades.device()).scatter(
            1,
            members,
            grades,
            IndexingUpdateOp::Add,
        )
    }
}

impl VocabularyJudge for Generator {
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let config = self.config();
        match config.measure {
            Measure::Probability => {
                let p = burn::tensor::activation::softmax(predictions.logits(), 1);
                p.clone() / (p + config.half as f32)
            }
            Measure::Ratio => {
                Verifier::of(Own, Bands { low: config.low, high: config.high }).grade_all(predictions)
            }
        }
    }
}

impl<T: Teacher> VocabularyJudge for Verifier<T> {
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let Some(logits) = self.teacher().logits(predictions) else {
            return predictions.logits().zeros_like();
        };
        let gold = surprise(&logits, &predictions.batch.gold).unsqueeze_dim::<2>(1);
        self.bands().grade(burn::tensor::activation::log_softmax(logits, 1) + gold)
    }
}

impl<J: Judge> VocabularyJudge for Shuffled<J> {
    /// Each position takes the grades that another position's original word would have got.
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let real = predictions.batch.weight.clone().inner().greater_scalar(0.0);
        grades(&self.0, predictions).select(0, random_sources(&real))
    }
}

impl VocabularyJudge for All {
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let all = self.0.iter().map(|judge| grades(judge, predictions));
        all.reduce(Tensor::min_pair).unwrap_or_else(|| predictions.logits().zeros_like())
    }
}

impl VocabularyJudge for Any {
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let all = self.0.iter().map(|judge| grades(judge, predictions));
        all.reduce(Tensor::max_pair).unwrap_or_else(|| predictions.logits().zeros_like())
    }
}

impl VocabularyJudge for WeightedMean {
    fn grade_all(&self, predictions: &Predictions<'_>) -> Tensor<2> {
        let sum: f64 = self.0.iter().map(|(weight, _)| weight).sum();
        let all = self.0.iter().map(|(weight, judge)| grades(judge, predictions) * (weight / sum) as f32);
        let none = || predictions.logits().zeros_like();
        if sum > 0.0 { all.reduce(|a, b| a + b).unwrap_or_else(none) } else { none() }
    }
}

/// Of a combination each judge was asked before whether it can.
fn grades(judge: &dyn Judge, predictions: &Predictions<'_>) -> Tensor<2> {
    match judge.vocabulary() {
        Some(judge) => judge.grade_all(predictions),
        None => predictions.logits().zeros_like(),
    }
}
