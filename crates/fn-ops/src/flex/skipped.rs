//! Reports which parts of a test did not run because the processor lacks the instructions.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;

/// Reports, once per test, that it did not run on `instructions`. Writes to stderr directly: the test harness hides what tests print
/// unless they fail.
pub(super) fn say(instructions: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let thread = std::thread::current();
    let line =
        format!("NOT RUN on {instructions}, which this processor lacks: {}", thread.name().unwrap_or("?"));
    if SAID.lock().unwrap().insert(line.clone()) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
