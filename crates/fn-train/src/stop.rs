//! Stopping on SIGINT, SIGTERM and SIGHUP.
//!
//! The first signal sets a flag, which every long loop polls (it is fn-data's `StopFlag`); the run then saves a checkpoint and
//! ends. Signals are often sent twice: `timeout` signals its child and then the whole process group, and a terminal that is
//! closed sends SIGHUP after SIGTERM. So a second signal within [`PATIENCE`] of the first is ignored. A second signal after
//! that time, or a third one at any time, ends the process immediately with exit code 128 + its number.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Time after the first signal within which a second one is ignored.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The signal with this number in the sequence always ends the process immediately.
const LAST: usize = 3;

/// From now on a file that reaches the limit of the process (`ulimit -f`) is an error of the write, like a full disk, in place of
/// a signal that ends the process.
pub fn ignore_file_size_signal() {
    // A handler that does nothing of use. Fails only for signals that cannot be handled; then the signal ends the process as before.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// A request to stop, shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    unsaved: Arc<AtomicU64>,
}

impl Stop {
    /// A request that no signal sets, for tests and for programs with their own signal handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Installs handlers by which SIGINT, SIGTERM and SIGHUP set this flag; long loops must poll it. Call it once, early in
    /// `main`. A SIGHUP that is ignored at the start of the process, as under `nohup`, stays ignored.
    ///
    /// # Errors
    /// If the handlers cannot be installed or the thread cannot be started.
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

    /// Whether a stop was requested.
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Requests a stop, as a signal does.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The number of the first signal, if one was received.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// The flag itself, for code that takes an `AtomicBool`.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Sets the number of training steps since the last checkpoint, for the message when the process is ended immediately.
    pub fn set_unsaved_steps(&self, steps: u64) {
        self.unsaved.store(steps, Ordering::Relaxed);
    }

    fn end(&self, signal: i32) -> ! {
        use io::Write;
        let lost = match self.unsaved.load(Ordering::Relaxed) {
            0 => "work since the last checkpoint, if there is one, is lost".to_owned(),
            1 => "1 training step since the last checkpoint is lost".to_owned(),
            steps => format!("{steps} training steps since the last checkpoint are lost"),
        };
        // Errors are ignored, because the terminal may be closed.
        let _ = writeln!(
            io::stderr(),
            "\nended immediately by signal {signal}: {lost}; repeat the command to resume"
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

/// Whether the last of the received signals ends the process immediately.
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
    fn a_second_signal_ends_the_process_after_ten_seconds_and_a_third_always() {
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
