//! The lock of a run directory, which only one process at a time can hold.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::TrainError;

/// Name of the locked file. The file stays; the lock ends with its process.
pub const FILE: &str = "run.lock";

/// The lock of a run directory, released on drop.
#[derive(Debug)]
pub struct RunLock(#[allow(dead_code)] Option<File>);

impl RunLock {
    /// Nothing: the first rank of the run holds its directory for all of them.
    pub fn of_first_rank() -> Self {
        Self(None)
    }

    /// Locks `dir`, which is created if it does not exist.
    ///
    /// # Errors
    /// [`TrainError::InUse`] if another process holds the lock, [`TrainError::Io`] if the file cannot be created.
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
            // On a file system without locks, concurrent processes are not detected.
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
    fn a_directory_can_be_locked_once_and_again_after_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let first = RunLock::take(&run).unwrap();
        let error = RunLock::take(&run).unwrap_err();
        assert!(matches!(&error, TrainError::InUse { path } if *path == run), "{error}");
        drop(first);
        RunLock::take(&run).unwrap();
    }
}
