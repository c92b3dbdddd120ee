//! What goes wrong when GLUE is scored.

use super::Task;
use crate::metrics::MetricError;

/// A task that cannot be scored, an average that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlueError {
    /// The metric is not defined for the outcomes.
    #[error("{task}: {source}")]
    Metric {
        /// The task.
        task: Task,
        /// What the metric says.
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
    /// A class that the task does not have.
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
        /// The class.
        found: usize,
        /// How many classes the task has.
        classes: usize,
    },
    /// The average needs tasks that have no score.
    #[error(
        "the average has no score for {missing} (found: {found}); score them, or average over the others by name"
    )]
    Missing {
        /// The tasks without a score.
        missing: String,
        /// The tasks with one.
        found: String,
    },
    /// An average over nothing.
    #[error("the average is over no tasks, expected at least 1; known: {known}")]
    NoTasks {
        /// The tasks there are.
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
