//! Sends signals to the real binary in every phase. With state to save, the exit code is 75 and the same command resumes to the
//! same result. Without state, the exit code is 128 + n and no incomplete file is left.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
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
fn a_signal_during_training_saves_and_the_same_command_resumes_to_the_same_result() {
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
    // An empty cache and the pause, so that preparing takes some time.
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

/// Signals, and how long after the one before.
const PAIRS: [[(i32, u64); 2]; 4] = [
    [(libc::SIGTERM, 0), (libc::SIGTERM, 0)], // `timeout`: to its child, then to its process group
    [(libc::SIGTERM, 0), (libc::SIGHUP, 5)],
    [(libc::SIGHUP, 0), (libc::SIGTERM, 40)], // a terminal that closes
    [(libc::SIGINT, 0), (libc::SIGINT, 150)], // Ctrl-C twice
];

#[test]
fn a_second_signal_soon_after_the_first_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Where the tests themselves run under `nohup`, SIGHUP is ignored.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let hangs_up = ignored.unwrap_or(0) & 1 == 0;
    let can_be_sent =
        |pair: &[(i32, u64); 2]| hangs_up || pair.iter().all(|&(number, _)| number != libc::SIGHUP);
    for (index, pair) in PAIRS.into_iter().filter(can_be_sent).enumerate() {
        let run = dir.path().join(format!("run-{index}"));
        // Saving takes longer than the second signal.
        let child = with_fault(&pretrain(&run, STEPS, &[]), "FNLM_FAIL_POINT", "save@2:2:sleep=400")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_steps(&run, 3);
        for (number, wait) in pair {
            std::thread::sleep(Duration::from_millis(wait));
            signal(&child, number);
        }
        let stopped = child.wait_with_output().unwrap();
        assert_eq!(stopped.status.code(), Some(75), "{pair:?}: {}", text(&stopped));
        let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        let newest = common::newest_checkpoint(&run).unwrap();
        let saved = newest.file_name().unwrap().to_string_lossy().into_owned();
        let saved: u64 = saved.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        assert_eq!(last["step"].as_u64(), Some(saved), "{pair:?}: a step was made and not saved");
    }
}

#[test]
fn under_nohup_a_closed_terminal_does_not_stop_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let plain = pretrain(&run, STEPS, &[]);
    let child = Command::new("nohup")
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_steps(&run, 3);
    signal(&child, libc::SIGHUP);
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    assert!(run.join("model").exists());
}

#[test]
fn a_third_signal_ends_the_process_and_prints_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let child = with_fault(&pretrain(&run, STEPS, &[]), "FNLM_FAIL_POINT", "save@2:2:sleep=20000")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_steps(&run, 2);
    let sent = Instant::now();
    for _ in 0..3 {
        signal(&child, libc::SIGTERM);
        std::thread::sleep(Duration::from_millis(300));
    }
    let stopped = child.wait_with_output().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(5), "took {:?}", sent.elapsed());
    assert_eq!(stopped.status.code(), Some(128 + libc::SIGTERM));
    let said = text(&stopped);
    assert!(said.contains("training steps since the last checkpoint are lost"), "{said}");
}
