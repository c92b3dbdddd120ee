//! Real signals to a real process, in every phase. State is saved and the exit code is 75; the same command then goes on to
//! the same result. Without state the exit code is 128 + n and no half-written file is left.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{STEPS, differences, outcome, pretrain, text, with_fault};

fn signal(child: &Child, number: i32) {
    // SAFETY: `kill` only takes a process id and a number; the child is ours and has not been waited for.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::kill(child.id() as i32, number) };
    assert_eq!(sent, 0);
}

/// Waits until `metrics.jsonl` has at least `lines` lines.
fn wait_for_steps(run: &Path, lines: usize) {
    let start = Instant::now();
    let metrics = run.join("metrics.jsonl");
    while start.elapsed() < Duration::from_secs(120) {
        if std::fs::read_to_string(&metrics).is_ok_and(|t| t.lines().count() >= lines) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no {lines} steps within two minutes");
}

#[test]
fn a_signal_during_training_saves_and_the_same_command_goes_on_to_the_same_result() {
    let dir = tempfile::tempdir().unwrap();
    let reference = dir.path().join("reference");
    let done = pretrain(&reference, STEPS, &[]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let expected = outcome(&reference);
    for (index, (number, steps)) in
        [(libc::SIGTERM, 3), (libc::SIGINT, 17), (libc::SIGTERM, 10)].into_iter().enumerate()
    {
        let run = dir.path().join(format!("run-{index}"));
        let child = pretrain(&run, STEPS, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_steps(&run, steps);
        let sent = Instant::now();
        signal(&child, number);
        let stopped = child.wait_with_output().unwrap();
        assert_eq!(stopped.status.code(), Some(75), "{}", text(&stopped));
        assert!(sent.elapsed() < Duration::from_secs(10), "took {:?}", sent.elapsed());
        assert!(!run.join("model").exists(), "a stopped run has no final model");
        let rest = pretrain(&run, STEPS, &[]).output().unwrap();
        assert!(rest.status.success(), "{}", text(&rest));
        assert_eq!(
            differences(&expected, &outcome(&run)),
            Vec::<String>::new(),
            "signal {number} at step {steps}"
        );
    }
}

#[test]
fn a_signal_before_there_is_state_exits_with_128_plus_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    // A fresh cache, so that preparing takes a moment; the pause makes sure of it.
    let cache = format!("data.cache={:?}", dir.path().join("cache"));
    let child = with_fault(&pretrain(&run, STEPS, &[&cache]), "FNLM_PAUSE_OPEN", "2000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(800));
    signal(&child, libc::SIGTERM);
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(128 + libc::SIGTERM), "{}", text(&stopped));
    assert!(common::newest_checkpoint(&run).is_none());
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let child = with_fault(&pretrain(&run, STEPS, &[]), "FNLM_FAIL_POINT", "save@2:2:sleep=20000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_steps(&run, 2);
    let sent = Instant::now();
    signal(&child, libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, libc::SIGTERM);
    let stopped = child.wait_with_output().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(5), "took {:?}", sent.elapsed());
    assert_eq!(stopped.status.code(), Some(128 + libc::SIGTERM));
}
