//! Errors of fine-tuning and of scoring a fine-tuned model.

use std::path::{Path, PathBuf};

use fn_train::config::did_you_mean;

use crate::EvalError;

/// Tasks of GLUE that can be fine-tuned on.
const TASKS: [&str; 9] = ["CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI"];

/// Why a model could not be fine-tuned, evaluated or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinetuneError {
    /// Examples that cannot be read.
    #[error(transparent)]
    Task(#[from] fn_data::task::TaskError),
    /// A tokenizer that cannot be read or written.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// A model that cannot be read or written.
    #[error(transparent)]
    Model(#[from] fn_models::hf::HfError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] fn_train::TrainError),
    /// Predictions that cannot be scored.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A name that is no task of GLUE and no description of a task.
    #[error(
        "there is no task `{found}`{}; expected one of {}, or the path of a description ending in .toml",
        did_you_mean(.found, &TASKS),
        TASKS.join(", ")
    )]
    UnknownTask {
        /// The name that was given.
        found: String,
    },
    /// A task without training data.
    #[error("{task} has no training set; fine-tune on MNLI, which predicts it as well")]
    NoTraining {
        /// The task.
        task: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The folder holds the results of other settings.
    #[error(
        "{path} holds results of other settings ({differences}); to resume, repeat the command that made it, or choose another \
         folder with --out"
    )]
    OtherSettings {
        /// The folder.
        path: PathBuf,
        /// The keys that differ, with both values.
        differences: String,
    },
    /// The folder holds files that are not results of fine-tuning.
    #[error("{path} is a file, or a folder with other files than results of fnlm; choose another --out")]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A recipe that cannot be read.
    #[error("{path}: {message}; a recipe has lines such as `lr = 1e-4`, `epochs = 3.0`")]
    Recipe {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file of results that was edited or truncated.
    #[error("{path}: found {message}, expected what `fnlm` wrote there; remove the file to compute it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A model that was not fine-tuned on SQuAD: `fnlm-task.json` is missing or names another task.
    #[error(
        "{path}: this model was not fine-tuned on SQuAD by fnlm (no fnlm-task.json that says so); give the model/ folder that `fnlm squad` wrote"
    )]
    NotForSquad {
        /// Its folder.
        path: PathBuf,
    },
    /// The model is trained and kept, but scoring it failed.
    #[error(
        "{source}; the fine-tuned model is kept in {model}: `fnlm predict --model {model} --input FILE --out FOLDER` writes its \
         predictions, `fnlm score` scores them", model = model.display()
    )]
    Unscored {
        /// Why it could not be scored.
        source: Box<FinetuneError>,
        /// Folder of the model.
        model: PathBuf,
    },
    /// A model that was fine-tuned for another task.
    #[error("{path}: {found}, expected {expected}; {remedy}")]
    WrongModel {
        /// Its folder.
        path: PathBuf,
        /// The task or labels of the model.
        found: String,
        /// The task or labels that are needed.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl FinetuneError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

impl From<crate::glue::GlueError> for FinetuneError {
    fn from(error: crate::glue::GlueError) -> Self {
        Self::Eval(error.into())
    }
}

impl From<crate::metrics::MetricError> for FinetuneError {
    fn from(error: crate::metrics::MetricError) -> Self {
        Self::Eval(error.into())
    }
}

impl From<crate::squad::SquadError> for FinetuneError {
    fn from(error: crate::squad::SquadError) -> Self {
        Self::Eval(error.into())
    }
}

impl From<fn_train::checkpoint::CheckpointError> for FinetuneError {
    fn from(error: fn_train::checkpoint::CheckpointError) -> Self {
        Self::Train(error.into())
    }
}
