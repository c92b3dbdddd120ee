//! Several judges as one.

use burn::tensor::Tensor;

use super::{Judge, VocabularyJudge};
use crate::batch::Predictions;

/// Both must agree: the lowest grade. Without a judge nothing is plausible.
#[derive(Default)]
pub struct All(pub Vec<Box<dyn Judge>>);

/// One suffices: the highest grade. Without a judge nothing is plausible.
#[derive(Default)]
pub struct Any(pub Vec<Box<dyn Judge>>);

/// The mean of the grades, weighted. Weights are at least 0 and count relative to their sum; a sum of 0 gives grade 0.
#[derive(Default)]
pub struct WeightedMean(pub Vec<(f64, Box<dyn Judge>)>);

impl Judge for All {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let grades = self.0.iter().map(|judge| judge.grade(predictions));
        grades.reduce(|a, b| a.min_pair(b)).unwrap_or_else(|| zeros(predictions))
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        let can = self.0.iter().all(|judge| judge.vocabulary().is_some());
        (can && !self.0.is_empty()).then_some(self as &dyn VocabularyJudge)
    }
}

impl Judge for Any {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let grades = self.0.iter().map(|judge| judge.grade(predictions));
        grades.reduce(|a, b| a.max_pair(b)).unwrap_or_else(|| zeros(predictions))
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        let can = self.0.iter().all(|judge| judge.vocabulary().is_some());
        (can && !self.0.is_empty()).then_some(self as &dyn VocabularyJudge)
    }
}

impl Judge for WeightedMean {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let sum: f64 = self.0.iter().map(|(weight, _)| weight).sum();
        let grades = self.0.iter().map(|(weight, judge)| judge.grade(predictions) * (weight / sum) as f32);
        match sum > 0.0 {
            true => grades.reduce(|a, b| a + b).unwrap_or_else(|| zeros(predictions)),
            false => zeros(predictions),
        }
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        let can = self.0.iter().all(|(_, judge)| judge.vocabulary().is_some());
        (can && !self.0.is_empty()).then_some(self as &dyn VocabularyJudge)
    }
}

fn zeros(predictions: &Predictions<'_>) -> Tensor<1> {
    super::NoJudge.grade(predictions)
}
