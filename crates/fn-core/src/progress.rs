//! How far long loops have come, for whoever shows it: as of log messages, there is one listener in a process.

use std::sync::OnceLock;
use std::time::Instant;

/// The state of a loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// What the loop does: `predicting`.
    pub what: &'a str,
    /// Units that are done.
    pub done: u64,
    /// Units of the whole loop.
    pub total: u64,
    /// What a unit is, in the plural: `examples`.
    pub unit: &'a str,
    /// Seconds since the loop began.
    pub seconds: f64,
    /// Whether the loop has ended, perhaps early.
    pub ended: bool,
}

impl Progress<'_> {
    /// Units per second, 0 at the beginning.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.done as f64 / self.seconds } else { 0.0 }
    }
}

type Listener = Box<dyn Fn(&Progress<'_>) + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// From now on `listener` is told of all loops of this process. Only the first listener of a process is.
pub fn listen(listener: impl Fn(&Progress<'_>) + Send + Sync + 'static) {
    let _ = LISTENER.set(Box::new(listener));
}

/// Counts the units of a loop, and tells the listener of each [`add`](Self::add), and of the end when it is dropped.
#[derive(Debug)]
pub struct Counter {
    what: String,
    unit: &'static str,
    total: u64,
    done: u64,
    began: Instant,
}

impl Counter {
    /// A loop over `total` units.
    pub fn new(what: impl Into<String>, unit: &'static str, total: usize) -> Self {
        Self { what: what.into(), unit, total: total as u64, done: 0, began: Instant::now() }
    }

    /// So many more units are done.
    pub fn add(&mut self, units: usize) {
        self.done += units as u64;
        self.tell(false);
    }

    /// So many units are done by now.
    pub fn reach(&mut self, units: usize) {
        self.done = units as u64;
        self.tell(false);
    }

    fn tell(&self, ended: bool) {
        if let Some(listener) = LISTENER.get() {
            let Self { what, unit, total, done, began } = self;
            let seconds = began.elapsed().as_secs_f64();
            listener(&Progress { what, done: *done, total: *total, unit, seconds, ended });
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.tell(true);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_listener_hears_of_each_unit_and_of_the_end() {
        static HEARD: Mutex<Vec<(u64, u64, bool)>> = Mutex::new(Vec::new());
        listen(|now| {
            assert_eq!((now.what, now.unit), ("predicting", "examples"));
            assert!(now.rate().is_finite());
            HEARD.lock().unwrap().push((now.done, now.total, now.ended));
        });
        let mut counter = Counter::new("predicting", "examples", 5);
        counter.add(2);
        counter.add(3);
        drop(counter);
        assert_eq!(*HEARD.lock().unwrap(), [(2, 5, false), (5, 5, false), (5, 5, true)]);
    }
}
