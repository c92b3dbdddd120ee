//! The metrics of the tasks of GLUE, the average over tasks, and the file to submit.

mod average;
mod collect;
mod error;
pub mod submission;

use std::fmt;

pub use average::{EIGHT, NINE, average, average_over, table};
pub use error::GlueError;
pub use fn_data::task::GlueTask as Task;

use crate::metrics as numbers;

/// A metric of a task of GLUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Share of correct classes.
    Accuracy,
    /// F1 of class 1.
    F1,
    /// Matthews' correlation.
    Matthews,
    /// Pearson's correlation.
    Pearson,
    /// Spearman's correlation.
    Spearman,
    /// The mean of a task's two metrics.
    Mean,
}

impl Metric {
    /// Name of the metric in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::Mean => "mean",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Number of classes; None for STS-B, whose labels are numbers.
pub fn classes(task: Task) -> Option<usize> {
    (!task.is_regression()).then(|| task.labels().len())
}

/// Whether the official files of the task hold class indices (0 and 1) instead of class names.
pub(crate) fn numbers_in_files(task: Task) -> bool {
    matches!(task, Task::Cola | Task::Sst2 | Task::Mrpc | Task::Qqp | Task::Wnli)
}

/// The metrics of a task; the mean of two metrics comes last.
pub fn metrics(task: Task) -> &'static [Metric] {
    match task {
        Task::Cola | Task::Ax => &[Metric::Matthews],
        Task::Mrpc | Task::Qqp => &[Metric::Accuracy, Metric::F1, Metric::Mean],
        Task::Stsb => &[Metric::Pearson, Metric::Spearman, Metric::Mean],
        _ => &[Metric::Accuracy],
    }
}

/// The metric that enters the leaderboard's average: of a task with two metrics, their mean.
pub fn main_metric(task: Task) -> Metric {
    metrics(task).last().copied().unwrap_or(Metric::Accuracy)
}

/// Predictions and labels of one task, in the same order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcomes<'a> {
    /// Class indices, counted from 0; for MRPC and QQP, 1 means "paraphrase".
    Classes {
        /// The predictions.
        predicted: &'a [usize],
        /// The labels.
        expected: &'a [usize],
    },
    /// Numbers, for STS-B.
    Values {
        /// The predictions.
        predicted: &'a [f64],
        /// The labels.
        expected: &'a [f64],
    },
}

impl Outcomes<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Classes { .. } => "classes",
            Self::Values { .. } => "numbers",
        }
    }
}

/// The scores of one task, as fractions: 0.905 is 90.5 %.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    task: Task,
    values: Vec<(Metric, f64)>,
    main: f64,
}

impl Scores {
    /// The task.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Value of [`main_metric`]; NaN where it is undefined (a correlation of constant predictions).
    pub fn main(&self) -> f64 {
        self.main
    }

    /// The score by one metric; None if the task does not have this metric.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.iter().find(|&(m, _)| m == metric).map(|(_, value)| value)
    }

    /// All scores in the order of [`metrics`].
    pub fn iter(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        self.values.iter().copied()
    }
}

/// Scores the predictions of a task.
///
/// # Errors
/// Classes for STS-B or numbers for another task; a class that the task does not have; different lengths; no examples.
pub fn score(task: Task, outcomes: Outcomes<'_>) -> Result<Scores, GlueError> {
    let metric = |source| GlueError::Metric { task, source };
    let (first, second) = match (classes(task), outcomes) {
        (Some(classes), Outcomes::Classes { predicted, expected }) => {
            check_classes(task, classes, "prediction", predicted)?;
            check_classes(task, classes, "reference", expected)?;
            match task {
                Task::Cola | Task::Ax => {
                    ((Metric::Matthews, numbers::matthews(predicted, expected).map_err(metric)?), None)
                }
                Task::Mrpc | Task::Qqp => (
                    (Metric::Accuracy, numbers::accuracy(predicted, expected).map_err(metric)?),
                    Some((Metric::F1, numbers::f1(predicted, expected).map_err(metric)?)),
                ),
                _ => ((Metric::Accuracy, numbers::accuracy(predicted, expected).map_err(metric)?), None),
            }
        }
        (None, Outcomes::Values { predicted, expected }) => (
            (Metric::Pearson, numbers::pearson(predicted, expected).map_err(metric)?),
            Some((Metric::Spearman, numbers::spearman(predicted, expected).map_err(metric)?)),
        ),
        (classes, outcomes) => {
            let expected = if classes.is_some() { "classes" } else { "numbers" };
            return Err(GlueError::Kind { task, found: outcomes.kind(), expected });
        }
    };
    Ok(match second {
        None => Scores { task, values: vec![first], main: first.1 },
        Some(second) => {
            let mean = f64::midpoint(first.1, second.1);
            Scores { task, values: vec![first, second, (Metric::Mean, mean)], main: mean }
        }
    })
}

fn check_classes(task: Task, classes: usize, side: &'static str, given: &[usize]) -> Result<(), GlueError> {
    match given.iter().position(|&class| class >= classes) {
        Some(index) => Err(GlueError::Class { task, side, index, found: given[index], classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MetricError;

    #[test]
    fn every_task_has_the_scores_that_it_announces_and_its_main_one_is_among_them() {
        for task in Task::ALL {
            let scores = match classes(task) {
                Some(_) => score(task, Outcomes::Classes { predicted: &[0, 1, 1], expected: &[0, 1, 0] }),
                None => {
                    score(task, Outcomes::Values { predicted: &[0.0, 1.0, 1.5], expected: &[0.0, 1.0, 0.5] })
                }
            }
            .unwrap();
            let named: Vec<Metric> = scores.iter().map(|(metric, _)| metric).collect();
            assert_eq!(named, metrics(task), "{task}");
            assert_eq!(scores.get(main_metric(task)), Some(scores.main()), "{task}");
            assert_eq!(scores.task(), task);
        }
    }

    #[test]
    fn numbers_for_a_task_of_classes_are_refused() {
        let numbers = Outcomes::Values { predicted: &[1.0], expected: &[1.0] };
        let text = score(Task::Rte, numbers).unwrap_err().to_string();
        assert!(text.contains("RTE") && text.contains("found numbers, expected classes"), "{text}");
        let classes = Outcomes::Classes { predicted: &[1], expected: &[1] };
        assert!(matches!(score(Task::Stsb, classes), Err(GlueError::Kind { expected: "numbers", .. })));
    }

    #[test]
    fn a_class_that_the_task_does_not_have_is_refused() {
        let three = Outcomes::Classes { predicted: &[0, 2], expected: &[0, 1] };
        assert!(score(Task::MnliMatched, three).is_ok());
        let text = score(Task::Qnli, three).unwrap_err().to_string();
        assert!(text.contains("QNLI: prediction 1") && text.contains("class 2"), "{text}");
        let hidden = Outcomes::Classes { predicted: &[0], expected: &[usize::MAX] };
        assert!(matches!(score(Task::Ax, hidden), Err(GlueError::Class { side: "reference", .. })));
    }

    #[test]
    fn errors_of_the_metric_name_the_task() {
        let error = score(Task::Cola, Outcomes::Classes { predicted: &[], expected: &[] }).unwrap_err();
        assert!(matches!(error, GlueError::Metric { source: MetricError::Empty { .. }, .. }));
        assert!(error.to_string().starts_with("CoLA: "), "{error}");
    }

    #[test]
    fn a_collapsed_regression_has_no_score() {
        let scores =
            score(Task::Stsb, Outcomes::Values { predicted: &[2.0; 3], expected: &[1.0, 2.0, 3.0] }).unwrap();
        assert!(scores.main().is_nan());
    }
}
