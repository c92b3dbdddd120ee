//! What only one process at a time can hold: the lock of a run directory, and of a file or folder that a command writes at its end.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fn_core::files::{hex, parent};
use sha2::{Digest, Sha256};

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

/// What this process is going to write, with the open lock files.
static OUTPUTS: Mutex<BTreeMap<PathBuf, File>> = Mutex::new(BTreeMap::new());

/// Holds the file or folder `path`, which need not exist, until this process ends, so that no other one of this user and machine works for
/// hours on the same. The lock is a file in the folder of temporary files, since nothing may lie beside or in a finished output; where
/// none can be made there, processes are not kept apart.
///
/// # Errors
/// [`TrainError::OutputInUse`] if another process holds it.
pub fn hold_output(path: &Path) -> Result<(), TrainError> {
    let folder = parent(path).canonicalize().or_else(|_| std::path::absolute(parent(path)));
    let place = folder.unwrap_or_default().join(path.file_name().unwrap_or_default());
    let mut held = OUTPUTS.lock().unwrap_or_else(PoisonError::into_inner);
    if held.contains_key(&place) {
        return Ok(());
    }
    match lock_for(&place) {
        Some(file) => match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(TrainError::OutputInUse { path: path.to_owned() }),
            _ => {
                held.insert(place, file);
                Ok(())
            }
        },
        None => Ok(()),
    }
}

fn lock_for(place: &Path) -> Option<File> {
    let locks = std::env::temp_dir().join(format!("fnlm-locks-{}", user()));
    std::fs::create_dir_all(&locks).ok()?;
    let name = hex(&Sha256::digest(place.as_os_str().as_encoded_bytes()));
    File::options().create(true).append(true).open(locks.join(name)).ok()
}

#[cfg(unix)]
fn user() -> u32 {
    // SAFETY: the call takes nothing and cannot fail.
    #[allow(unsafe_code)]
    unsafe {
        libc::getuid()
    }
}

#[cfg(not(unix))]
fn user() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_held_by_one_process_under_all_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let held = lock_for(&dir.path().canonicalize().unwrap().join("a.safetensors")).unwrap();
        held.lock().unwrap(); // as another process would
        let other_name = dir.path().join(".").join("a.safetensors");
        for name in [&path, &other_name] {
            assert!(matches!(hold_output(name), Err(TrainError::OutputInUse { .. })), "{}", name.display());
        }
        hold_output(&dir.path().join("b.safetensors")).unwrap();
        drop(held);
        hold_output(&path).unwrap();
        hold_output(&path).unwrap();
    }

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
