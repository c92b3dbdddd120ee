//! Claims a run of a study so that only one process works on it, on a folder that several machines share.
//!
//! On one machine the file lock of the operating system is enough: it ends with its process. Other machines may not see it, so
//! there is also a claim: a file that its owner rewrites every minute. A claim that was not renewed for 10 minutes has expired.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use fn_train::TrainError;
use fn_train::lock::RunLock;

/// Name of the claim file.
const CLAIM: &str = "claim";
/// Interval of the renewals, and the age at which a claim expires.
const RENEW: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(60) };
const EXPIRE: Duration = Duration::from_secs(600);
/// The same for a claim without a mark, whose process was killed or met a full disk between making and marking it.
const UNMARKED: Duration = Duration::from_secs(10);

/// Error of claiming a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The claim file cannot be created, read or renamed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The claim file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The lock file cannot be created.
    #[error(transparent)]
    Lock(#[from] TrainError),
}

/// Exclusive claim of a folder, released on drop.
#[derive(Debug)]
pub struct Lease {
    claim: PathBuf,
    mark: String,
    /// Dropped first: ends the thread that renews the claim.
    renewing: Option<(Sender<()>, std::thread::JoinHandle<()>)>,
    lost: Arc<AtomicBool>,
    _lock: RunLock,
}

impl Lease {
    /// Claims `folder`, creating it if needed; None if another process holds it.
    ///
    /// # Errors
    /// The files cannot be created, read or renamed.
    pub fn take(folder: &Path) -> Result<Option<Self>, LeaseError> {
        let Some(lock) = free(folder)? else { return Ok(None) };
        let claim = folder.join(CLAIM);
        let mark = format!("{}\n{}\n", machine(), std::process::id());
        let io = |action| {
            let claim = claim.clone();
            move |source| LeaseError::Io { action, path: claim, source }
        };
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&claim) {
                Ok(mut file) => {
                    if let Err(error) = file.write_all(mark.as_bytes()) {
                        let _ = std::fs::remove_file(&claim); // without a mark, it would look like another machine's
                        return Err(io("write")(error));
                    }
                    let lost = Arc::new(AtomicBool::new(false));
                    let renewing = Some(renew(claim.clone(), mark.clone(), lost.clone()));
                    return Ok(Some(Self { claim, mark, renewing, lost, _lock: lock }));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io("create")(error)),
            }
            let Some(found) = read(&claim).map_err(io("read"))? else { continue };
            // The lock was free, so a claim made by this machine is left over from a process that has ended.
            let ours = found.lines().next() == Some(machine().as_str());
            let limit = if found.is_empty() { UNMARKED } else { EXPIRE };
            if !ours && !expired(folder, &claim, limit).map_err(io("look at"))? {
                return Ok(None);
            }
            // Only one process can rename the expired claim. If it was replaced in between, the new claim is put back.
            let aside = folder.join(format!("{CLAIM}-{}", std::process::id()));
            match std::fs::rename(&claim, &aside) {
                Ok(()) if read(&aside).map_err(io("read"))?.as_ref() == Some(&found) => {
                    std::fs::remove_file(&aside).map_err(io("remove"))?;
                }
                Ok(()) => {
                    std::fs::rename(&aside, &claim).map_err(io("put back"))?;
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io("rename")(error)),
            }
        }
    }
}

impl Lease {
    /// Whether another machine took over the claim after it had expired, because this one slept or could not reach the folder.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.renewing.take() {
            drop(end);
            let _ = thread.join();
        }
        // A claim of another process is not removed.
        if matches!(read(&self.claim), Ok(Some(found)) if found == self.mark) {
            let _ = std::fs::remove_file(&self.claim);
        }
    }
}

/// Locks a folder on this machine; None if another process holds the lock.
///
/// # Errors
/// The lock file cannot be created.
pub fn free(folder: &Path) -> Result<Option<RunLock>, LeaseError> {
    match RunLock::take(folder) {
        Ok(lock) => Ok(Some(lock)),
        Err(TrainError::InUse { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Rewrites the claim every [`RENEW`] as long as it is ours.
fn renew(claim: PathBuf, mark: String, lost: Arc<AtomicBool>) -> (Sender<()>, std::thread::JoinHandle<()>) {
    let (end, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        while ended.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
            match read(&claim) {
                Ok(Some(found)) if found == mark => {}
                // The file system is unreachable for now.
                Err(_) => continue,
                Ok(_) => {
                    lost.store(true, Ordering::Relaxed);
                    return;
                }
            }
            // A failed renewal is retried; after ten in a row the claim expires. The same bytes are written over the old ones: a file
            // that was emptied first would be without a mark where the disk is full.
            let _ =
                OpenOptions::new().write(true).open(&claim).and_then(|mut f| f.write_all(mark.as_bytes()));
        }
    });
    (end, thread)
}

/// Contents of the claim; None if there is no claim.
fn read(claim: &Path) -> std::io::Result<Option<String>> {
    match fn_core::files::read_to_string(claim) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the claim was not renewed for `limit`, by the clock of the file system that holds the folder.
fn expired(folder: &Path, claim: &Path, limit: Duration) -> std::io::Result<bool> {
    let probe = folder.join(format!("clock-{}", std::process::id()));
    let now = File::create(&probe).and_then(|file| file.metadata()).and_then(|data| data.modified());
    let _ = std::fs::remove_file(&probe);
    match std::fs::metadata(claim).and_then(|data| data.modified()) {
        Ok(renewed) => Ok(now?.duration_since(renewed).unwrap_or_default() > limit),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Identifies this machine and boot; where the system has no boot id, each process counts as its own machine.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if boot.trim().is_empty() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        return format!("{}-{}", std::process::id(), now.as_secs());
    }
    boot.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(by: &str, age: Duration) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join(CLAIM)).unwrap();
        (&file).write_all(format!("{by}\n1\n").as_bytes()).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        dir
    }

    #[test]
    fn one_process_holds_a_folder_and_leaves_no_claim() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lease::take(dir.path()).unwrap().unwrap();
        assert!(Lease::take(dir.path()).unwrap().is_none());
        drop(first);
        assert!(!dir.path().join(CLAIM).exists());
        assert!(Lease::take(dir.path()).unwrap().is_some());
    }

    #[test]
    fn another_machine_keeps_its_claim_until_it_expires() {
        let fresh = claimed("elsewhere", EXPIRE / 2);
        assert!(Lease::take(fresh.path()).unwrap().is_none());
        assert_eq!(read(&fresh.path().join(CLAIM)).unwrap().unwrap(), "elsewhere\n1\n");
        let old = claimed("elsewhere", EXPIRE * 2);
        let lease = Lease::take(old.path()).unwrap().unwrap();
        assert!(read(&old.path().join(CLAIM)).unwrap().unwrap().starts_with(&machine()));
        drop(lease);
    }

    /// Its process was killed, or met a full disk, between making and marking it.
    #[test]
    fn a_claim_without_a_mark_expires_soon() {
        let dir = claimed("elsewhere", UNMARKED / 2);
        File::create(dir.path().join(CLAIM)).unwrap().set_modified(SystemTime::now() - UNMARKED / 2).unwrap();
        assert!(Lease::take(dir.path()).unwrap().is_none());
        let claim = File::options().write(true).open(dir.path().join(CLAIM)).unwrap();
        claim.set_modified(SystemTime::now() - UNMARKED * 2).unwrap();
        assert!(Lease::take(dir.path()).unwrap().is_some());
    }

    #[test]
    fn a_claim_of_a_dead_process_on_this_machine_is_taken_over_at_once() {
        let boot = machine();
        if boot == machine() {
            let dir = claimed(&boot, Duration::ZERO);
            assert!(Lease::take(dir.path()).unwrap().is_some());
        }
    }

    #[test]
    fn a_lost_claim_is_noticed_at_the_next_renewal() {
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease::take(dir.path()).unwrap().unwrap();
        std::thread::sleep(5 * RENEW);
        assert!(!lease.is_lost());
        std::fs::write(dir.path().join(CLAIM), "elsewhere\n1\n").unwrap();
        std::thread::sleep(5 * RENEW);
        assert!(lease.is_lost());
    }

    #[test]
    fn the_claim_of_a_new_owner_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease::take(dir.path()).unwrap().unwrap();
        std::fs::write(dir.path().join(CLAIM), "elsewhere\n1\n").unwrap();
        drop(lease);
        assert!(dir.path().join(CLAIM).exists());
    }
}
