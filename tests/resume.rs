//! Tests that a run which is killed and resumed by the same command equals an uninterrupted one bit for bit (flex).
//!
//! The reference run has dropout, accumulation and hard correction. The times of kills are random, from a seed that is printed;
//! half of them are between two writes of a save. Another test breaks the restore on purpose, to show that the comparison
//! detects it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{STEPS, differences, outcome, pretrain, text, with_fault};

/// An uninterrupted run.
fn reference(dir: &Path, more: &[&str]) -> std::collections::BTreeMap<String, String> {
    let run = dir.join("reference");
    let done = pretrain(&run, STEPS, more).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    outcome(&run)
}

/// Runs to the end, killing the first `kills` attempts with SIGKILL.
fn killed_run(run: &Path, kills: u32, draw: &mut u64, more: &[&str]) {
    for attempt in 0..=kills {
        let mut command = pretrain(run, STEPS, more);
        // Every second kill is within a save, by a fail point.
        let inside = attempt % 2 == 0;
        if attempt < kills && inside {
            // The process is killed at a random file operation of its third save.
            *draw = next(*draw);
            let kill = format!("save@3:{}:kill", 1 + (*draw >> 33) % 12);
            command = with_fault(&command, "FNLM_FAIL_POINT", &kill);
        }
        if attempt == kills {
            let done = command.output().unwrap();
            assert!(done.status.success(), "the run without a kill failed: {}", text(&done));
            return;
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if !inside {
            *draw = next(*draw);
            std::thread::sleep(Duration::from_millis(200 + (*draw >> 33) % 2_000));
            // SIGKILL; if the run was faster, the next attempt finds it complete.
            let _ = child.kill();
        }
        let _ = child.wait();
    }
}

/// The next number of a linear congruential generator.
fn next(x: u64) -> u64 {
    x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

#[test]
fn a_run_killed_at_any_moment_resumes_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let expected = reference(dir.path(), &["data.workers=1"]);
    let seed = std::process::id() as u64;
    println!("seed of the kill moments: {seed}");
    let mut draw = seed;
    for (index, workers) in [1, 4, 1, 0].into_iter().enumerate() {
        let run = dir.path().join(format!("killed-{index}"));
        let workers = format!("data.workers={workers}");
        killed_run(&run, 2, &mut draw, &[&workers]);
        let got = outcome(&run);
        assert_eq!(differences(&expected, &got), Vec::<String>::new(), "run {index}, {workers}");
        let leftovers: Vec<_> = std::fs::read_dir(run.join("checkpoints"))
            .unwrap()
            .filter_map(Result::ok)
            .filter(|e| e.file_name().to_string_lossy().starts_with('.'))
            .collect();
        assert!(leftovers.is_empty(), "leftovers of killed saves: {leftovers:?}");
    }
}

#[test]
fn an_incomplete_restore_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let expected = reference(dir.path(), &[]);
    for part in ["position", "moments", "step", "noise"] {
        let run = dir.path().join(part);
        let first = pretrain(&run, STEPS / 2, &[]).output().unwrap();
        assert!(first.status.success(), "{}", text(&first));
        std::fs::remove_dir_all(run.join("model")).unwrap();
        let mut second = pretrain(&run, STEPS, &[]);
        second.args(["--allow-change", "train.steps"]);
        let second = with_fault(&second, "FNLM_FORGET", part).output().unwrap();
        assert!(second.status.success(), "{}", text(&second));
        assert!(!differences(&expected, &outcome(&run)).is_empty(), "forgetting `{part}` went unnoticed");
    }
    // Without a fault the same two halves are equal, so the difference is due to the fault.
    let run = dir.path().join("whole");
    let first = pretrain(&run, STEPS / 2, &[]).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let second = pretrain(&run, STEPS, &[]).args(["--allow-change", "train.steps"]).output().unwrap();
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(differences(&expected, &outcome(&run)), Vec::<String>::new());
}

#[test]
fn a_moving_average_verifier_is_resumed_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let sets = ["correction.verifier.decay=0.9", "correction.verifier.low=0.01"];
    let expected = reference(dir.path(), &sets);
    std::fs::rename(dir.path().join("reference"), dir.path().join("averaged")).unwrap();
    let without = reference(dir.path(), &[]);
    assert!(!differences(&expected, &without).is_empty(), "the average must have an effect");
    let run = dir.path().join("halves");
    let first = pretrain(&run, STEPS / 2, &sets).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let second = pretrain(&run, STEPS, &sets).args(["--allow-change", "train.steps"]).output().unwrap();
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(differences(&expected, &outcome(&run)), Vec::<String>::new());
}
