//! Checkpoints, written atomically and verified by checksums.
//!
//! A checkpoint is a folder `step-00000500/`:
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors` | the weights, f32, by parameter path |
//! | `optimizer.safetensors` | both moments of every parameter, f32, as `m.<path>` and `v.<path>` |
//! | `state.json` | [`TrainState`]: progress of the run in steps and data, and counters |
//! | `manifest.json` | format, step, and size and SHA-256 of each file and of itself; written last |
//!
//! There is no state of a random generator: all random numbers are functions of (seed, step). No file is executable or pickled.
//!
//! # What happens on disk
//! - Everything is written into `.step-00000500.tmp-<pid>`, each file is synced, then the folder; the folder is renamed and
//!   its parent synced. After a power failure the checkpoint is complete or absent.
//! - It is then read back from disk and compared with its checksums. Only after that are older ones removed: the newest
//!   `keep_last` stay, and the best one.
//! - If a step is saved again, its previous checkpoint is first renamed to `.step-00000500.old-<pid>` and removed after the new
//!   one has been read back. If the process is killed in between, [`Checkpoints::latest`] finds the renamed one.
//! - Leftovers of killed saves (`.tmp-`) are ignored, and removed when the run is started again or saved ([`Checkpoints::remove_leftovers`]).
//! - Free disk space is checked before a save ([`Checkpoints::required_bytes`]); a save that fails removes its files.

mod error;
mod load;
mod manifest;
mod save;
mod state;
mod tensors;

#[cfg(test)]
mod tests;

pub use error::CheckpointError;
pub use load::{Found, LoadedCheckpoint, load};
pub use manifest::{FileEntry, Manifest};
pub use save::check_room;
pub use state::{Best, TrainState};

use std::path::{Path, PathBuf};

/// Name of the file with the weights.
pub const MODEL: &str = "model.safetensors";
/// Name of the file with the optimiser state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Name of the file with [`TrainState`].
pub const STATE: &str = "state.json";
/// Name of the file that is written last.
pub const MANIFEST: &str = "manifest.json";

/// The checkpoints of one run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
    keep_last: usize,
    keep_best: bool,
}

impl Checkpoints {
    /// The checkpoints in the folder `dir`, which the first save creates. The newest `keep_last` (at least 1) and, with
    /// `keep_best`, the best one are kept.
    pub fn new(dir: impl Into<PathBuf>, keep_last: usize, keep_best: bool) -> Self {
        Self { dir: dir.into(), keep_last: keep_last.max(1), keep_best }
    }

    /// The folder with the checkpoints.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads a checkpoint, see [`load`].
    ///
    /// # Errors
    /// Any file that is not byte for byte as it was written.
    pub fn load(&self, path: &Path) -> Result<LoadedCheckpoint, CheckpointError> {
        load(path)
    }
}

/// Name of the checkpoint folder of a step.
pub(crate) fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}
