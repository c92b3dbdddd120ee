//! Faults on demand, for tests only: a slow disk, a full disk, a sudden death in the middle of a save.
//!
//! The environment variable `FNLM_FAIL_POINT` holds `save:WHERE:WHAT` or `save@N:WHERE:WHAT`, several divided by `;`.
//! WHERE counts the write, sync and rename calls of one save from 1, or is `*` for all of them; `@N` limits it to the Nth
//! save of this process. WHAT is `sleep=MILLISECONDS`, `enospc` (disk full), `eio` (write error), `flip` (a wrong byte reaches the disk) or
//! `kill` (SIGKILL).
//! Without the variable nothing happens, at the price of one comparison per call.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Name of the environment variable.
pub const VARIABLE: &str = "FNLM_FAIL_POINT";

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

/// The faults to inject. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct FailPoints {
    rules: Arc<[Rule]>,
    saves: Arc<AtomicU64>,
}

impl FailPoints {
    /// What `FNLM_FAIL_POINT` says; nothing where it is absent or cannot be understood.
    pub fn from_env() -> Self {
        match std::env::var(VARIABLE) {
            Ok(text) => Self::parse(&text).unwrap_or_else(|| {
                tracing::warn!("{VARIABLE}={text} cannot be understood and is ignored");
                Self::default()
            }),
            Err(_) => Self::default(),
        }
    }

    /// The faults that `text` describes; None where it cannot be understood.
    pub fn parse(text: &str) -> Option<Self> {
        let rules = text.split(';').map(str::trim).filter(|r| !r.is_empty()).map(rule);
        Some(Self { rules: rules.collect::<Option<Vec<_>>>()?.into(), saves: Arc::default() })
    }

    /// Begins a save; its calls are counted from 1.
    pub(crate) fn begin(&self) -> Calls {
        Calls { points: self.clone(), save: self.saves.fetch_add(1, Ordering::Relaxed) + 1, call: 0 }
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

/// The calls of one save.
#[derive(Debug)]
pub(crate) struct Calls {
    points: FailPoints,
    save: u64,
    call: u64,
}

impl Calls {
    /// To be called before each write, sync and rename. True asks a write to damage what it writes.
    pub(crate) fn next(&mut self) -> io::Result<bool> {
        self.call += 1;
        let mut flip = false;
        for rule in self.points.rules.iter() {
            if rule.save.is_some_and(|s| s != self.save) || rule.call.is_some_and(|c| c != self.call) {
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

/// ENOSPC and EIO have these numbers on every Unix.
const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;

/// Dies as `kill -9` would.
fn kill() {
    #[cfg(unix)]
    // SAFETY: sends a signal to this very process and touches no memory.
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
        let points = FailPoints::parse("save@2:3:enospc").unwrap();
        let calls = |points: &FailPoints| {
            let mut calls = points.begin();
            (0..4).map(|_| calls.next().is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(calls(&points), [true; 4]);
        assert_eq!(calls(&points), [true, true, false, true]);
        assert_eq!(calls(&points), [true; 4]);
    }

    #[test]
    fn text_that_cannot_be_understood_is_no_rule() {
        assert!(FailPoints::parse("").is_some());
        assert!(FailPoints::parse("save:*:sleep=5; save:3:eio").is_some());
        for bad in [
            "save",
            "load:1:eio",
            "save:x:eio",
            "save:1:sleep",
            "save:1:sleep=x",
            "save:1:eio:2",
            "save@:1:eio",
        ] {
            assert!(FailPoints::parse(bad).is_none(), "{bad}");
        }
    }
}
