//! One process at a time in a run directory.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::TrainError;

/// Name of the locked file. It stays; only the lock on it goes with its process, however that ends.
pub const FILE: &str = "run.lock";

/// Holds a run directory until it is dropped.
#[derive(Debug)]
pub struct RunLock(#[allow(dead_code)] Option<File>);

impl RunLock {
    /// Nothing: the first rank of the run holds its directory for all of them.
    pub fn of_first_rank() -> Self {
        Self(None)
    }

    /// Takes `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`TrainError::InUse`] when another process holds it, [`TrainError::Io`] when the file cannot be made.
    pub fn take(dir: &Path) -> Result<Self, TrainError> {
        let path = dir.join(FILE);
        let io = |action| {
            let path = path.clone();
            move |source| TrainError::Io { path, action, source }
        };
        std::fs::create_dir_all(dir).map_err(io("create the folder of"))?;
        let file = File::options().create(true).append(true).open(&path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => Err(TrainError::InUse { path: dir.to_owned() }),
            // A file system without locks: two processes at once are the user's affair there.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self(Some(file)))
            }
            Err(TryLockError::Error(source)) => Err(io("lock")(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_and_free_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let first = RunLock::take(&run).unwrap();
        let error = RunLock::take(&run).unwrap_err();
        assert!(matches!(&error, TrainError::InUse { path } if *path == run), "{error}");
        drop(first);
        RunLock::take(&run).unwrap();
    }
}
