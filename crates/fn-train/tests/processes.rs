//! Tests that need a second process: signals, and a process that is killed during a save.
//!
//! Each test starts this test binary again, with the role of the child process in an environment variable.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fn_train::NamedTensor;
use fn_train::checkpoint::{Checkpoints, TrainState, load};
use fn_train::faults::Faults;
use fn_train::stop::Stop;

const PART: &str = "FN_TRAIN_TEST_CHILD";
const DIR: &str = "FN_TRAIN_TEST_DIR";
const FAIL_POINT: &str = "FN_TRAIN_TEST_FAIL_POINT";

fn child(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_part_of_the_child", "--nocapture"]).env(PART, part);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Does nothing in an ordinary run.
#[test]
fn the_part_of_the_child() {
    let Ok(part) = std::env::var(PART) else { return };
    match part.as_str() {
        "polite" => {
            let stop = Stop::on_signals().unwrap();
            println!("ready");
            while !stop.requested() {
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("signal {}", stop.signal().unwrap());
            std::process::exit(75);
        }
        "deaf" => {
            let stop = Stop::on_signals().unwrap();
            println!("ready");
            while !stop.requested() {
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("heard");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "save" => {
            let fail_points = std::env::var(FAIL_POINT).unwrap().parse().unwrap();
            Faults { fail_points, ..Faults::default() }.install();
            let dir = std::env::var(DIR).unwrap();
            let checkpoints = Checkpoints::new(dir, 1, false);
            for (step, value) in [(1, 1.0), (2, 2.0), (2, 3.0)] {
                save(&checkpoints, step, value);
            }
        }
        other => panic!("{other}"),
    }
}

fn save(checkpoints: &Checkpoints, step: u64, value: f32) {
    let tensors = [NamedTensor { name: "w".into(), shape: vec![1000], data: vec![value; 1000] }];
    let state = TrainState { step, ..TrainState::new(7) };
    checkpoints.save(&state, &tensors, &[]).unwrap();
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status().unwrap();
    assert!(sent.success());
}

fn wait_for(out: &mut BufReader<ChildStdout>, word: &str) {
    let mut line = String::new();
    while !line.trim_end().ends_with(word) {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the child ended before it said `{word}`");
    }
}

#[test]
fn the_first_signal_sets_the_flag_and_the_program_ends_by_itself() {
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let mut process = child("polite").spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        wait_for(&mut out, "ready");
        send(&process, name);
        assert_eq!(process.wait().unwrap().code(), Some(75));
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.contains(&format!("signal {number}")), "{rest}");
    }
}

/// Whether SIGHUP is ignored, as under `nohup`: the child inherits that, and never hears of it.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn a_second_signal_changes_nothing_and_a_third_ends_the_process_with_128_plus_its_number() {
    for (signals, code) in
        [(["TERM", "TERM", "INT"], 130), (["INT", "HUP", "TERM"], 143), (["HUP", "INT", "INT"], 130)]
    {
        if signals.contains(&"HUP") && hangups_are_ignored() {
            eprintln!("not run under nohup: {signals:?}");
            continue;
        }
        let mut process = child("deaf").spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        wait_for(&mut out, "ready");
        let [first, second, third] = signals;
        send(&process, first);
        wait_for(&mut out, "heard");
        send(&process, second);
        std::thread::sleep(Duration::from_millis(300));
        assert!(process.try_wait().unwrap().is_none(), "{signals:?}");
        send(&process, third);
        assert_eq!(process.wait().unwrap().code(), Some(code), "{signals:?}");
    }
}

/// Step of the newest checkpoint, and the value in it.
fn newest(dir: &Path) -> Option<(u64, f32)> {
    let found = Checkpoints::new(dir, 1, false).latest().unwrap()?;
    assert!(found.notices.is_empty(), "{:?}", found.notices);
    let loaded = load(&found.path).unwrap();
    let values = &loaded.model["w"].1;
    assert!(values.iter().all(|v| *v == values[0]));
    Some((found.step, values[0]))
}

#[test]
fn a_process_killed_at_any_call_of_a_save_leaves_an_intact_checkpoint() {
    let mut kills = 0;
    // The first save, the second, and one that replaces a step.
    for (number, before, after) in
        [(1, None, Some((1, 1.0))), (2, Some((1, 1.0)), Some((2, 2.0))), (3, Some((2, 2.0)), Some((2, 3.0)))]
    {
        for call in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let mut process = child("save")
                .env(FAIL_POINT, format!("save@{number}:{call}:kill"))
                .env(DIR, dir.path())
                .spawn()
                .unwrap();
            let status = process.wait().unwrap();
            if status.success() {
                break;
            }
            assert_eq!(status.signal(), Some(9));
            kills += 1;
            let found = newest(dir.path());
            assert!(found == before || found == after, "save {number}, call {call}: {found:?}");
            // The next save succeeds and removes the files of the killed one.
            save(&Checkpoints::new(dir.path(), 1, false), 9, 9.0);
            assert_eq!(newest(dir.path()), Some((9, 9.0)));
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
    assert!(kills >= 30, "{kills} kills");
}
