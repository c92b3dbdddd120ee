//! Errors of studies.

use std::path::PathBuf;

use fn_data::task::Split;
use fn_train::TrainError;
use fn_train::config::{ConfigError, SetError};

use crate::lease::LeaseError;
use crate::process::ProcessError;

/// Error of reading, running or reporting a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The description cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The description is invalid.
    #[error("{path}: {message}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// A name that no arm has.
    #[error("--arm {name}: no such arm{meant}; known: {known}")]
    NoArm {
        /// The name.
        name: String,
        /// The nearest name.
        meant: String,
        /// All names.
        known: String,
    },
    /// Text that names no part of the runs.
    #[error("--part {found}: expected i/n with i from 1 to n, e.g. 2/3")]
    Part {
        /// The text.
        found: String,
    },
    /// Ranks that would not run the same study.
    #[error(transparent)]
    Ranks(TrainError),
    /// No run is finished.
    #[error("{path}: found no finished run of this study; start them with `fnlm study run`")]
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
    /// The configuration of an arm is invalid.
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
        /// The `key=value` setting.
        setting: String,
    },
    /// An input file of an arm is missing.
    #[error("arm {arm}: {source}; or choose other arms with --arm")]
    Files {
        /// The arm.
        arm: String,
        /// The file and its key.
        source: ConfigError,
    },
    /// The recipe of a task is invalid.
    #[error("{task}: {source}")]
    Recipe {
        /// The task.
        task: String,
        /// What is wrong.
        source: SetError,
    },
    /// A training or development set of a task is missing.
    #[error(
        "{data}: found no {split:?} set of {task}, expected the task's files there; check `data` in the description"
    )]
    NoSet {
        /// The folder that was searched.
        data: PathBuf,
        /// The missing set.
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
    /// An input file of a child process cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A probe of a few steps failed.
    #[error("arm {arm}: a probe of a few steps failed:\n{message}")]
    Probe {
        /// The arm.
        arm: String,
        /// The message of the probe.
        message: String,
    },
    /// A stop was requested.
    #[error("stopped before all arms were probed")]
    Stopped,
}
