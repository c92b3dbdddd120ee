//! Stopping on SIGINT, SIGTERM and SIGHUP.
//!
//! The first signal raises a flag, which every long loop reads (it is fn-data's `StopFlag`); the run then saves and ends by
//! itself. Senders often repeat themselves: `timeout` signals its child and then the whole process group, a terminal that closes
//! sends SIGHUP after SIGTERM. So a second signal changes nothing for [`PATIENCE`]; after that, or as the third, a signal ends the
//! process at once with 128 + its number.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long after the first signal a second one changes nothing.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A signal that ends the process at once, however soon.
const LAST: usize = 3;

/// The request to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    unsaved: Arc<AtomicU64>,
}

impl Stop {
    /// A flag that no signal sets: for tests, and for programs that handle signals themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on SIGINT, SIGTERM and SIGHUP set this flag; long loops must poll it. Call it once, early in `main`. Under `nohup`,
    /// which has SIGHUP ignored, it stays ignored.
    ///
    /// # Errors
    /// When the system refuses the handlers or a thread.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new();
        let handled = if is_ignored(SIGHUP) { &[SIGINT, SIGTERM][..] } else { &[SIGINT, SIGTERM, SIGHUP] };
        for &signal in handled {
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), signal as usize)?;
            signal_hook::flag::register(signal, Arc::clone(&stop.flag))?;
        }
        let mut signals = Signals::new(handled)?;
        let watched = stop.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut received = Vec::new();
            for signal in signals.forever() {
                received.push(Instant::now());
                if ends_at_once(&received) {
                    watched.end(signal);
                }
            }
        })?;
        Ok(stop)
    }

    /// Whether to stop at the next good moment.
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Asks for a stop, as a signal would.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The number of the signal that asked, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// The flag itself, for readers that know nothing of this type.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Training steps since the last checkpoint, for the message of a process that is ended at once.
    pub fn set_unsaved_steps(&self, steps: u64) {
        self.unsaved.store(steps, Ordering::Relaxed);
    }

    fn end(&self, signal: i32) -> ! {
        use io::Write;
        let lost = match self.unsaved.load(Ordering::Relaxed) {
            0 => "what was done since the last checkpoint, if there was one, is lost".to_owned(),
            1 => "1 training step since the last checkpoint is lost".to_owned(),
            steps => format!("{steps} training steps since the last checkpoint are lost"),
        };
        // The terminal may be closed.
        let _ = writeln!(
            io::stderr(),
            "\nended at once by signal {signal}: {lost}; repeat the command to resume"
        );
        signal_hook::low_level::exit(128 + signal)
    }
}

/// Whether the process was started with this signal ignored.
#[allow(unsafe_code)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: a zeroed `sigaction` is a valid value to be written to; with a null action the call only reads.
    let (answer, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(signal, std::ptr::null(), &raw mut action), action)
    };
    answer == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Whether the last of these signals ends the process.
fn ends_at_once(received: &[Instant]) -> bool {
    match received {
        [first, .., last] => received.len() >= LAST || last.duration_since(*first) > PATIENCE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_and_flags_share_one_request() {
        let stop = Stop::new();
        let (clone, flag) = (stop.clone(), stop.flag());
        assert!(!clone.requested());
        flag.store(true, Ordering::Relaxed);
        assert!(stop.requested() && clone.requested());
        assert_eq!(stop.signal(), None);
    }

    #[test]
    fn the_second_signal_counts_after_ten_seconds_and_the_third_always() {
        let start = Instant::now();
        let ends = |seconds: &[u64]| {
            let received: Vec<Instant> = seconds.iter().map(|&s| start + Duration::from_secs(s)).collect();
            ends_at_once(&received)
        };
        for (seconds, expected) in [
            (&[][..], false),
            (&[0], false),
            (&[0, 0], false),
            (&[0, 10], false),
            (&[0, 11], true),
            (&[0, 0, 0], true),
        ] {
            assert_eq!(ends(seconds), expected, "{seconds:?}");
        }
    }
}
