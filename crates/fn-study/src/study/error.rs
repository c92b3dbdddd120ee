//! What goes wrong with a study.

use std::path::PathBuf;

use fn_data::task::Split;
use fn_train::config::{ConfigError, SetError};

use crate::lease::LeaseError;
use crate::process::ProcessError;

/// Why a study cannot be read, run or reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The description cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The description is wrong.
    #[error("{path}: {message}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What, and what is expected.
        message: String,
    },
    /// Nothing has been run.
    #[error("{path}: found no finished run of this study; `fnlm study run` makes them")]
    NoRuns {
        /// The folder of results.
        path: PathBuf,
    },
    /// A run's files cannot be read.
    #[error(transparent)]
    Record(#[from] crate::RecordError),
    /// A run's scores cannot be read.
    #[error(transparent)]
    Finetune(#[from] fn_eval::finetune::FinetuneError),
    /// The configuration of an arm is wrong.
    #[error("arm {arm}: {source}")]
    Arm {
        /// The arm.
        arm: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// Every run would have the same seed.
    #[error("--set {setting} would give every run the same seed; change `seeds` in the description")]
    SetsSeed {
        /// What was set.
        setting: String,
    },
    /// A file that an arm reads is not there.
    #[error("arm {arm}: {source}; or choose other arms with --arm")]
    Files {
        /// The arm.
        arm: String,
        /// The file and its key.
        source: ConfigError,
    },
    /// The recipe of a task is wrong.
    #[error("{task}: {source}")]
    Recipe {
        /// The task.
        task: String,
        /// What is wrong.
        source: SetError,
    },
    /// A set of a task is not there.
    #[error(
        "{data}: found no {split:?} set of {task}, expected the task's files there; check `data` in the description"
    )]
    NoSet {
        /// Where it was looked for.
        data: PathBuf,
        /// Which part of the data.
        split: Split,
        /// The task.
        task: String,
    },
    /// The configuration of a run cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A run cannot be claimed.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A process or its records cannot be used.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A file that a process is handed cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A probe of a few steps failed.
    #[error("arm {arm}: a probe of a few steps failed:\n{message}")]
    Probe {
        /// The arm.
        arm: String,
        /// Why.
        message: String,
    },
    /// Somebody asked to stop.
    #[error("stopped before all was probed")]
    Stopped,
}
