//! Tests with the real binary that a judge which finds every error plausible (a moving average of a fresh model) cannot excuse all
//! of them, and that the run says so.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use common::{STEPS, pretrain, text};

const AVERAGE: &str = "correction.verifier.decay=0.99";

/// Wrong predictions and excused ones of each step, and what was printed.
fn run(more: &[&str]) -> (Vec<(f64, f64)>, String) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let done = pretrain(&run, STEPS, more).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let counts = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let count = |name: &str| record["counts"][name].as_f64().unwrap();
        (record["kind"] == "step").then(|| (count("wrong"), count("shielded")))
    };
    let counts: Vec<_> = lines.lines().filter_map(counts).collect();
    assert_eq!(counts.len() as u64, STEPS);
    (counts, text(&done))
}

#[test]
fn without_guards_a_fresh_moving_average_excuses_nearly_every_error() {
    let (counts, printed) = run(&[AVERAGE, "correction.cap=1.0", "correction.warmup_steps=0"]);
    let (wrong, excused) = counts[..10].iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    assert!(excused > 0.8 * wrong, "{excused} of {wrong}");
    assert_eq!(printed.matches("of the wrong predictions false negatives").count(), 1, "{printed}");
    assert!(printed.contains("nothing limits it"), "{printed}");
}

#[test]
fn with_the_default_guards_it_excuses_a_third_at_most_and_nothing_at_first() {
    let (counts, printed) = run(&[AVERAGE]);
    // The warm-up is a quarter of the run.
    let (warming, warm) = counts.split_at(STEPS as usize / 4);
    assert!(warming.iter().all(|&(wrong, excused)| wrong > 0.0 && excused == 0.0), "{warming:?}");
    assert!(warm.iter().all(|&(wrong, excused)| excused <= wrong / 3.0), "{warm:?}");
    assert!(warm.iter().any(|&(_, excused)| excused > 0.0), "{warm:?}");
    assert_eq!(printed.matches("`correction.cap` lets at most 33 % of them count").count(), 1, "{printed}");
}
