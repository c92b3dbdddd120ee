//! File operations of a save that fail, wait or kill the process, for tests.

use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Sleep(u64),
    NoSpace,
    InputOutput,
    Flip,
    Kill,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    save: Option<u64>,
    call: Option<u64>,
    fault: Fault,
}

/// Which file operations of which save fail, and how.
///
/// As text: `save:WHERE:WHAT` or `save@N:WHERE:WHAT`, several separated by `;`. WHERE counts the write, sync and rename calls
/// of one save from 1, or is `*` for all of them; `@N` limits it to the Nth save of this process. WHAT is `sleep=MILLISECONDS`,
/// `enospc` (disk full), `eio` (write error), `flip` (a wrong byte reaches the disk) or `kill` (SIGKILL).
#[derive(Debug, Default)]
pub struct FailPoints {
    rules: Vec<Rule>,
    saves: AtomicU64,
    calls: AtomicU64,
}

impl FromStr for FailPoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rules = text.split(';').map(str::trim).filter(|r| !r.is_empty());
        let rules = rules.map(|r| rule(r).ok_or_else(|| format!("`{r}` is not like save@2:1:enospc")));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, ..Self::default() })
    }
}

impl FailPoints {
    /// Marks the start of a save; its calls are counted from 1.
    pub(super) fn begin_save(&self) {
        self.saves.fetch_add(1, Ordering::Relaxed);
        self.calls.store(0, Ordering::Relaxed);
    }

    /// To be called before each write, sync and rename. If it returns true, the write must write a wrong byte.
    pub(super) fn file_call(&self) -> io::Result<bool> {
        let save = self.saves.load(Ordering::Relaxed);
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let mut flip = false;
        for rule in &self.rules {
            if rule.save.is_some_and(|s| s != save) || rule.call.is_some_and(|c| c != call) {
                continue;
            }
            match rule.fault {
                Fault::Sleep(ms) => std::thread::sleep(Duration::from_millis(ms)),
                Fault::NoSpace => return Err(io::Error::from_raw_os_error(NO_SPACE)),
                Fault::InputOutput => return Err(io::Error::from_raw_os_error(IO_ERROR)),
                Fault::Flip => flip = true,
                Fault::Kill => kill(),
            }
        }
        Ok(flip)
    }
}

fn rule(text: &str) -> Option<Rule> {
    let mut parts = text.split(':');
    let (site, call, what) = (parts.next()?, parts.next()?, parts.next()?);
    let save = match site.split_once('@') {
        Some(("save", n)) => Some(n.parse().ok()?),
        None if site == "save" => None,
        _ => return None,
    };
    let call = if call == "*" { None } else { Some(call.parse().ok()?) };
    let fault = match (what, what.split_once('=')) {
        ("enospc", _) => Fault::NoSpace,
        ("eio", _) => Fault::InputOutput,
        ("flip", _) => Fault::Flip,
        ("kill", _) => Fault::Kill,
        (_, Some(("sleep", ms))) => Fault::Sleep(ms.parse().ok()?),
        _ => return None,
    };
    parts.next().is_none().then_some(Rule { save, call, fault })
}

/// ENOSPC; it and EIO have the same numbers on every Unix.
const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;

/// Ends the process as `kill -9` does.
fn kill() {
    #[cfg(unix)]
    // SAFETY: sends a signal to this process and accesses no memory.
    #[allow(unsafe_code)]
    unsafe {
        libc::raise(libc::SIGKILL);
    }
    #[cfg(not(unix))]
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_at_its_call_of_its_save_only() {
        let points: FailPoints = "save@2:3:enospc".parse().unwrap();
        let calls = |points: &FailPoints| {
            points.begin_save();
            (0..4).map(|_| points.file_call().is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(calls(&points), [true; 4]);
        assert_eq!(calls(&points), [true, true, false, true]);
        assert_eq!(calls(&points), [true; 4]);
    }

    #[test]
    fn text_in_another_format_is_an_error() {
        assert!("".parse::<FailPoints>().is_ok());
        assert!("save:*:sleep=5; save:3:eio".parse::<FailPoints>().is_ok());
        for bad in [
            "save",
            "load:1:eio",
            "save:x:eio",
            "save:1:sleep",
            "save:1:sleep=x",
            "save:1:eio:2",
            "save@:1:eio",
        ] {
            assert!(bad.parse::<FailPoints>().is_err(), "{bad}");
        }
    }
}
