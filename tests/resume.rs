//! A run that is killed and started again by the same command is the same run, to the last bit (flex).
//!
//! The reference has dropout, accumulation and hard correction. Kills come at moments drawn from a seed that is printed; at
//! least a third of them are aimed inside a save, whose window a fail point widens. The last test breaks the restore on
//! purpose: a harness that cannot fail proves nothing.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{STEPS, differences, outcome, pretrain, text};

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
            command.env("FNLM_FAIL_POINT", "save:2:sleep=300");
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        if attempt == kills {
            let done = child.wait_with_output().unwrap();
            assert!(done.status.success(), "the run that was left alone failed: {}", text(&done));
            return;
        }
        if inside {
            wait_for_save(run, Duration::from_secs(60));
        } else {
            *draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis(200 + (*draw >> 33) % 2_000));
        }
        // SIGKILL; a run that was faster than the kill is fine, the next attempt then finds it complete.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Waits until a save is under way: its temporary folder is there.
fn wait_for_save(run: &Path, limit: Duration) {
    let start = Instant::now();
    let saving = || {
        std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().filter_map(Result::ok).any(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            name.starts_with('.') && e.path().join("model.safetensors").exists()
        })
    };
    // The leftovers of an earlier kill look the same; what matters is that some kills fall into a save.
    std::thread::sleep(Duration::from_millis(300));
    while start.elapsed() < limit && !saving() {
        std::thread::sleep(Duration::from_millis(5));
    }
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
    for part in ["position", "moments", "schedule", "noise", "guard"] {
        let run = dir.path().join(part);
        let first = pretrain(&run, STEPS / 2, &[]).output().unwrap();
        assert!(first.status.success(), "{}", text(&first));
        std::fs::remove_dir_all(run.join("model")).unwrap();
        let second = pretrain(&run, STEPS, &[])
            .args(["--allow-change", "train.steps"])
            .env("FNLM_FAIL_POINT", format!("restore:{part}"))
            .output()
            .unwrap();
        assert!(second.status.success(), "{}", text(&second));
        assert!(!differences(&expected, &outcome(&run)).is_empty(), "forgetting `{part}` went unnoticed");
    }
    // The same two halves without sabotage are equal, so it was the sabotage that was noticed.
    let run = dir.path().join("whole");
    let first = pretrain(&run, STEPS / 2, &[]).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let second = pretrain(&run, STEPS, &[]).args(["--allow-change", "train.steps"]).output().unwrap();
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(differences(&expected, &outcome(&run)), Vec::<String>::new());
}
