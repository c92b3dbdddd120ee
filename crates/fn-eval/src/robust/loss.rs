//! How much the score of a model drops on a perturbed copy of a set, with a bootstrap interval that is paired over examples.

use serde::{Deserialize, Serialize};

use super::RobustError;
use crate::finetune::Task;
use crate::predictions::Record;
use crate::squad::{ById, Dataset, Version, best_v1, best_v2};
use crate::stats::{Comparison, paired_bootstrap};

/// Scores on the original and on the perturbed copy, as fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Number of examples or questions.
    pub examples: usize,
    /// Score on the original; None if it is undefined.
    pub original: Option<f64>,
    /// Score on the perturbed copy; None if it is undefined.
    pub score: Option<f64>,
    /// `original - score`: positive if the model is worse on the perturbed copy.
    pub drop: Option<f64>,
    /// Lower end of the 95 % interval of the drop.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of resamples in which a score is undefined.
    pub undefined: usize,
}

impl Loss {
    fn new(examples: usize, found: Comparison) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            examples,
            original: finite(found.b),
            score: finite(found.a),
            drop: finite(found.difference),
            low: found.low,
            high: found.high,
            undefined: found.undefined,
        }
    }

    /// Whether the interval contains 0, so that the drop is not significant at the 5 % level.
    pub fn holds_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

/// Compares two sets of predictions by a task's main metric. Both have `gold` labels and the same order of examples.
///
/// # Errors
/// Different numbers of predictions; no resample on which both scores are defined.
pub fn compare_records(
    task: &Task,
    original: &[Record],
    copy: &[Record],
    resamples: usize,
    seed: u64,
) -> Result<Loss, RobustError> {
    same_length(original.len(), copy.len())?;
    let found = task.compare(copy, original, resamples, seed)?;
    Ok(Loss::new(original.len(), found))
}

/// Compares the means of two lists of per-example scores.
///
/// # Errors
/// As [`compare_records`].
pub fn compare_values(
    original: &[f64],
    copy: &[f64],
    resamples: usize,
    seed: u64,
) -> Result<Loss, RobustError> {
    same_length(original.len(), copy.len())?;
    let mean = |values: &[f64], chosen: &[usize]| {
        chosen.iter().map(|&i| values[i]).sum::<f64>() / chosen.len() as f64
    };
    let found = paired_bootstrap(original.len(), resamples, seed, &|chosen| {
        (mean(copy, chosen), mean(original, chosen))
    })?;
    Ok(Loss::new(original.len(), found))
}

/// F1 of each question by the rules of the file's version, in the order of the file; a question without prediction scores 0.
pub fn question_f1(data: &Dataset, predictions: &ById<String>) -> Vec<f64> {
    let version = data.version();
    let of = |question: &crate::squad::Question| {
        let Some(answer) = predictions.get(&question.id) else { return 0.0 };
        match version {
            Version::V1 => best_v1(answer, question.references()).unwrap_or_default().f1,
            Version::V2 => best_v2(answer, question.references()).f1,
        }
    };
    data.questions().map(of).collect()
}

fn same_length(original: usize, copy: usize) -> Result<(), RobustError> {
    if original == copy { Ok(()) } else { Err(RobustError::Lengths { original, copy }) }
}

#[cfg(test)]
mod tests {
    use fn_data::task::GlueTask;

    use super::*;
    use crate::predictions::Answer;

    fn records(right: impl Fn(usize) -> bool) -> Vec<Record> {
        let names = ["entailment", "not_entailment"];
        let of = |index: usize| Record {
            index,
            id: None,
            gold: Some(Answer::Class(names[index % 2].to_owned())),
            prediction: Answer::Class(names[(index + usize::from(!right(index))) % 2].to_owned()),
            scores: vec![0.5, 0.5],
        };
        (0..200).map(of).collect()
    }

    #[test]
    fn a_loss_is_positive_and_equal_predictions_lose_nothing() {
        let task = Task::Glue(GlueTask::Rte);
        let (good, bad) = (records(|_| true), records(|i| i % 5 != 0));
        let loss = compare_records(&task, &good, &bad, 300, 1).unwrap();
        assert_eq!((loss.examples, loss.original, loss.score), (200, Some(1.0), Some(0.8)));
        assert!((loss.drop.unwrap() - 0.2).abs() < 1e-12 && !loss.holds_zero(), "{loss:?}");
        assert!(loss.low > 0.1 && loss.high < 0.3, "{loss:?}");
        let none = compare_records(&task, &bad, &bad, 50, 1).unwrap();
        assert!(none.holds_zero() && none.drop == Some(0.0) && none.low == 0.0 && none.high == 0.0);
        let gain = compare_records(&task, &bad, &good, 300, 1).unwrap();
        assert_eq!((gain.low, gain.high), (-loss.high, -loss.low));
        let error = compare_records(&task, &good, &bad[..3], 10, 1).unwrap_err();
        assert!(matches!(error, RobustError::Lengths { original: 200, copy: 3 }), "{error}");
    }

    #[test]
    fn means_of_questions_are_compared_question_by_question() {
        let (a, b) = ([1.0, 1.0, 0.5, 0.0], [1.0, 0.0, 0.5, 0.0]);
        let loss = compare_values(&a, &b, 200, 1).unwrap();
        assert_eq!((loss.original, loss.score, loss.drop), (Some(0.625), Some(0.375), Some(0.25)));
        assert!(loss.holds_zero(), "one question of four may be absent from a sample: {loss:?}");
        assert!(compare_values(&[], &[], 10, 1).is_err());
    }

    #[test]
    fn each_question_is_scored_by_the_rules_of_its_version() {
        let file = |version: &str| {
            format!(
                r#"{{"version":"{version}","data":[{{"title":"","paragraphs":[{{"context":"a cat","qas":[
                {{"id":"x","question":"?","answers":[{{"text":"big cat","answer_start":0}}]}},
                {{"id":"y","question":"?","answers":[{{"text":"cat","answer_start":0}}]}}]}}]}}]}}"#
            )
        };
        let predictions = ById::new([("x".to_owned(), "cat".to_owned())]).unwrap();
        for version in ["1.1", "v2.0"] {
            let data = Dataset::from_json(&file(version), std::path::Path::new("dev.json")).unwrap();
            let found = question_f1(&data, &predictions);
            assert!((found[0] - 2.0 / 3.0).abs() < 1e-12 && found[1] == 0.0, "{found:?}");
        }
    }
}
