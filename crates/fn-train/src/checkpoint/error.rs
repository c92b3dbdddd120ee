//! What can be wrong with a checkpoint: one variant per cause.

use std::io;
use std::path::{Path, PathBuf};

/// A checkpoint that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not enough room on the disk, found before or during a save.
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
    /// The system refused a file operation while saving or listing.
    #[error("{path}: cannot {action}: {source}; check that the folder exists and may be written to", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is not a checkpoint, or its manifest is gone.
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
    /// The manifest is not what was written.
    #[error("{path}: the manifest is damaged ({reason}); resume from another checkpoint", path = .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a version that this one does not know.
    #[error(
        "{path}: checkpoint format {found}, this program reads format {supported}; use the version of fnlm that wrote it",
        path = .path.display()
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Format that this program reads.
        supported: u32,
    },
    /// A file of the manifest is not there or cannot be read.
    #[error("{path}: a file of the checkpoint cannot be read: {source}; resume from another checkpoint", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is shorter or longer than it was.
    #[error(
        "{path}: {found} bytes, {expected} were written: the file was cut or changed; resume from another checkpoint",
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
    /// A file has other bytes than were written.
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
    /// A file with the right checksum whose content makes no sense to this program.
    #[error("{path}: {reason}; resume from another checkpoint", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The weights are of another model.
    #[error(
        "{path}: the model needs `{name}` with shape {expected:?}, the checkpoint has {found}: it is of another model; \
         resume with the configuration that it was written with, or start in a new run directory",
        path = .path.display()
    )]
    Model {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// What the file has.
        found: String,
        /// Shape of the parameter.
        expected: Vec<usize>,
    },
    /// A tensor or file that cannot be saved as asked.
    #[error("`{name}` cannot be saved: {reason}")]
    Unsaveable {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// There are checkpoints, and every one is damaged. Starting over silently would lose the run.
    #[error(
        "{path}: every checkpoint is damaged:\n{}\nrestore one from a backup, or start again in a new run directory",
        .notices.join("\n"),
        path = .path.display()
    )]
    AllDamaged {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// What is wrong with each.
        notices: Vec<String>,
    },
}

impl CheckpointError {
    /// Whether the disk was too full (exit code 5).
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
