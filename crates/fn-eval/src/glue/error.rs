//! Errors of scoring GLUE.

use super::Task;
use crate::metrics::MetricError;

/// Why a task or the average could not be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlueError {
    /// The metric is not defined for these predictions and labels.
    #[error("{task}: {source}")]
    Metric {
        /// The task.
        task: Task,
        /// The error of the metric.
        source: MetricError,
    },
    /// Classes for a regression, or numbers for a classification.
    #[error(
        "{task}: found {found}, expected {expected}; were the predictions made with the head of another task?"
    )]
    Kind {
        /// The task.
        task: Task,
        /// `classes` or `numbers`.
        found: &'static str,
        /// `classes` or `numbers`.
        expected: &'static str,
    },
    /// A class index that the task does not have.
    #[error(
        "{task}: {side} {index} (counted from 0) is class {found}, expected a class below {classes}; leave out \
         examples whose label is not public"
    )]
    Class {
        /// The task.
        task: Task,
        /// `prediction` or `reference`.
        side: &'static str,
        /// Which example, counted from 0.
        index: usize,
        /// The class index.
        found: usize,
        /// Number of classes of the task.
        classes: usize,
    },
    /// The average needs tasks that have no score.
    #[error(
        "the average has no score for {missing} (found: {found}); score them, or average over the others by name"
    )]
    Missing {
        /// The tasks without a score.
        missing: String,
        /// The tasks with a score.
        found: String,
    },
    /// An average over an empty list of tasks.
    #[error("the average is over no tasks, expected at least 1; known: {known}")]
    NoTasks {
        /// All tasks.
        known: String,
    },
}

/// Names of tasks for a message.
pub(super) fn list(tasks: &[Task]) -> String {
    if tasks.is_empty() {
        return "none".to_owned();
    }
    tasks.iter().map(|task| task.name()).collect::<Vec<_>>().join(", ")
}
