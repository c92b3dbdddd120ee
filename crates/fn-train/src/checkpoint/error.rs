//! Errors of checkpoints: one variant for each cause.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not enough free disk space, before or during a save.
    #[error(
        "{path}: the disk is too full for a checkpoint: {needed} bytes needed, {free} free; \
         free some space or choose another run directory, then run the same command again. Earlier checkpoints are intact",
        path = .path.display()
    )]
    NoSpace {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// Bytes that a checkpoint takes.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The run directory does not exist any more.
    #[error(
        "{path} is gone: the run directory was removed or moved while it was trained, so nothing more can be saved; move it back, or start \
         the run again",
        path = .path.display()
    )]
    Gone {
        /// The run directory.
        path: PathBuf,
    },
    /// A file operation failed while saving or listing checkpoints.
    #[error("{path}: cannot {action}: {source}; check that the folder exists and may be written to", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation that failed, e.g. `rename`.
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder is not a checkpoint, or its manifest is missing.
    #[error(
        "{path}: not a checkpoint, there is no readable manifest.json in it ({reason}); \
         name a folder like run/checkpoints/step-00000500",
        path = .path.display()
    )]
    NotACheckpoint {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The manifest was changed or truncated.
    #[error("{path}: the manifest is damaged ({reason}); resume from another checkpoint", path = .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint has a format that this version does not support.
    #[error(
        "{path}: checkpoint format {found}, this program reads format {supported}; use the version of fnlm that wrote it",
        path = .path.display()
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Format of the checkpoint.
        found: u32,
        /// Format that this version reads.
        supported: u32,
    },
    /// A file that the manifest lists is missing or cannot be read.
    #[error("{path}: a file of the checkpoint cannot be read: {source}; resume from another checkpoint", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file has another size than when it was written.
    #[error(
        "{path}: {found} bytes, {expected} were written: the file was truncated or changed; resume from another checkpoint",
        path = .path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes found.
        found: u64,
        /// Bytes written.
        expected: u64,
    },
    /// A file has another checksum than when it was written.
    #[error(
        "{path}: damaged (SHA-256 {found}, {expected} was written); resume from another checkpoint",
        path = .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Checksum found.
        found: String,
        /// Checksum written.
        expected: String,
    },
    /// A file with the correct checksum whose contents are not valid.
    #[error("{path}: {reason}; resume from another checkpoint", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The weights belong to another model.
    #[error(
        "{path}: the model needs `{name}` with shape {expected:?}, the checkpoint has {found}: it belongs to another model; \
         resume with the configuration that it was written with, or start in a new run directory",
        path = .path.display()
    )]
    Model {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// What the file contains.
        found: String,
        /// Shape of the parameter.
        expected: Vec<usize>,
    },
    /// A tensor or state that cannot be saved.
    #[error("`{name}` cannot be saved: {reason}")]
    Unsaveable {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// All checkpoints are damaged. This is an error, because starting again from step 0 would lose the run.
    #[error(
        "{path}: every checkpoint is damaged:\n{}\nrestore one from a backup, or start again in a new run directory",
        .notices.join("\n"),
        path = .path.display()
    )]
    AllDamaged {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// One line for each checkpoint.
        notices: Vec<String>,
    },
}

impl CheckpointError {
    /// Whether the cause is a full disk (exit code 5).
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
