//! Says which parts of a test this processor cannot run.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;

/// Writes once per test that it did not run on `instructions`. Past the test harness, which shows the output of failed tests only.
pub(super) fn say(instructions: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let thread = std::thread::current();
    let line =
        format!("NOT RUN on {instructions}, which this processor lacks: {}", thread.name().unwrap_or("?"));
    if SAID.lock().unwrap().insert(line.clone()) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
