//! Errors of evaluating a model on perturbed text.

use std::path::{Path, PathBuf};

use crate::finetune::FinetuneError;
use crate::squad::SquadError;
use crate::stats::StatsError;

/// Why a model could not be compared on original and perturbed text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RobustError {
    /// The perturbed copy does not have as many examples as the original.
    #[error(
        "the original has {original} examples and its copy {copy}, expected as many; make the copy again from the same file"
    )]
    Lengths {
        /// Number of examples of the original.
        original: usize,
        /// Number of examples of the copy.
        copy: usize,
    },
    /// The score is undefined on every resample of the bootstrap.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A kind of perturbation that does not exist.
    #[error("--kinds: {0}")]
    Kind(fn_data::perturb::PerturbError),
    /// A kind that cannot be applied to the task.
    #[error("`{kind}` cannot be applied to {task}; kinds for it: {possible}")]
    Unsuited {
        /// The kind.
        kind: &'static str,
        /// The task.
        task: String,
        /// Kinds that can be applied to the task.
        possible: String,
    },
    /// A kind that may change the correct label.
    #[error(
        "`{kind}` may change the correct label of {task}; kinds that keep it: {keeping}; add --force to apply it anyway"
    )]
    ChangesLabel {
        /// The kind.
        kind: &'static str,
        /// The task.
        task: String,
        /// Kinds that keep the labels correct.
        keeping: String,
    },
    /// A task without labelled examples to perturb.
    #[error("{task} has no development set with labels; choose another task")]
    NoDevelopmentSet {
        /// The task.
        task: String,
    },
    /// SQuAD without a file of questions.
    #[error("SQuAD needs --input with the file of questions")]
    NoQuestions,
    /// An existing file with another perturbed set.
    #[error(
        "{path} holds a different set (other data, --rate, --seed or --limit); give another --out, nothing was written"
    )]
    OtherSet {
        /// The file.
        path: PathBuf,
    },
    /// An existing file with results of other settings.
    #[error(
        "{path} holds results of other settings ({differences}); give another --out, nothing was written"
    )]
    OtherSettings {
        /// The file.
        path: PathBuf,
        /// The keys that differ, with both values.
        differences: String,
    },
    /// A model for another task.
    #[error(
        "{path} was fine-tuned for {trained}, found --task {asked}; give the model that belongs to the task"
    )]
    OtherTask {
        /// The model's folder.
        path: PathBuf,
        /// What it was fine-tuned for.
        trained: String,
        /// The task on the command line.
        asked: String,
    },
    /// Results that cannot be read.
    #[error("{path}: {message}; expected what `fnlm robust` wrote; give another --out")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Message of the JSON parser.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Examples that cannot be read.
    #[error(transparent)]
    Task(#[from] fn_data::task::TaskError),
    /// Predictions that cannot be made or scored.
    #[error(transparent)]
    Finetune(#[from] FinetuneError),
    /// Answers that cannot be scored.
    #[error(transparent)]
    Squad(#[from] SquadError),
    /// A stop was requested.
    #[error("stopped before all predictions were made")]
    Stopped,
}

impl RobustError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the error lies in the command line, not in a file or a model.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Kind(_)
                | Self::Unsuited { .. }
                | Self::ChangesLabel { .. }
                | Self::NoDevelopmentSet { .. }
                | Self::NoQuestions
                | Self::OtherSet { .. }
                | Self::OtherSettings { .. }
                | Self::OtherTask { .. }
        )
    }
}
