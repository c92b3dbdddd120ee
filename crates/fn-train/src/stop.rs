//! Stopping on SIGINT and SIGTERM.
//!
//! The first signal only raises a flag, which every long loop reads (it is fn-data's `StopFlag`); the run then saves and
//! ends by itself. A second signal ends the process at once with 128 + its number.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The request to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// A flag that no signal sets: for tests, and for programs that handle signals themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on SIGINT and SIGTERM only set this flag; long loops must poll it. Call it once, early in `main`.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // Runs first: while the flag is down it does nothing, so only a second signal ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.flag))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), signal as usize)?;
            signal_hook::flag::register(signal, Arc::clone(&stop.flag))?;
        }
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
}
