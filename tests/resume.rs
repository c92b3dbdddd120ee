//! A run that is killed and started again by the same command is the same run, to the last bit (flex).
//!
//! The reference has dropout, accumulation and hard correction. Kills come at moments drawn from a seed that is printed; half of
//! them fall between two writes of a save. The last test breaks the restore on
//! purpose: a harness that cannot fail proves nothing.

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
        // Every second kill is aimed inside of a save: the fail point makes each save last, and the kill waits for one.
        let inside = attempt % 2 == 0;
        if attempt < kills && inside {
            // Dies by SIGKILL at a call of its third save, another call each time.
            *draw = next(*draw);
            let kill = format!("save@3:{}:kill", 1 + (*draw >> 33) % 12);
            command = with_fault(&command, "FNLM_FAIL_POINT", &kill);
        }
        if attempt == kills {
            let done = command.output().unwrap();
            assert!(done.status.success(), "the run that was left alone failed: {}", text(&done));
            return;
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if !inside {
            *draw = next(*draw);
            std::thread::sleep(Duration::from_millis(200 + (*draw >> 33) % 2_000));
            // SIGKILL; a run that was faster is fine, the next attempt then finds it complete.
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
fn a_restore_that_forgets_something_is_noticed() {
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
    // The same two halves without a fault are equal, so it was the fault that was noticed.
    let run = dir.path().join("whole");
    let first = pretrain(&run, STEPS / 2, &[]).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let second = pretrain(&run, STEPS, &[]).args(["--allow-change", "train.steps"]).output().unwrap();
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(differences(&expected, &outcome(&run)), Vec::<String>::new());
}

#[test]
fn a_moving_average_that_judges_is_resumed_too() {
    let dir = tempfile::tempdir().unwrap();
    let sets = ["correction.verifier.decay=0.9", "correction.verifier.low=0.01"];
    let expected = reference(dir.path(), &sets);
    std::fs::rename(dir.path().join("reference"), dir.path().join("averaged")).unwrap();
    let without = reference(dir.path(), &[]);
    assert!(!differences(&expected, &without).is_empty(), "the average judges nothing");
    let run = dir.path().join("halves");
    let first = pretrain(&run, STEPS / 2, &sets).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let second = pretrain(&run, STEPS, &sets).args(["--allow-change", "train.steps"]).output().unwrap();
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(differences(&expected, &outcome(&run)), Vec::<String>::new());
}
