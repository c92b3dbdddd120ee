//! Tests of `fnlm report` on metrics files written by the tests.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::process::Command;

fn report(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fnlm"));
    command.current_dir(dir).env("CI", "1").env("NO_COLOR", "1").arg("report").args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn runs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, accuracy) in [("baseline", "0.25"), ("hard", "\"NaN\"")] {
        let run = dir.path().join(name);
        std::fs::create_dir(&run).unwrap();
        let step = |step: u64, seconds: f64| {
            format!(r#"{{"kind":"step","step":{step},"loss":2.0,"time":{{"seconds_per_step":{seconds}}}}}"#)
        };
        let evaluation = format!(
            r#"{{"kind":"evaluation","step":1500,"metrics":{{"masked_accuracy":{accuracy},"detector_auc":0.5}}}}"#
        );
        let text = [step(500, 0.1), step(1000, 9.0), step(1500, 0.2), evaluation].join("\n") + "\n";
        std::fs::write(run.join("metrics.jsonl"), text).unwrap();
    }
    dir
}

#[test]
fn runs_stand_side_by_side_with_their_last_figures_and_median_times() {
    let dir = runs();
    let (code, out, _) = report(dir.path(), &["baseline", "hard"]);
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("masked accuracy") && lines[0].contains("ms/step"), "{out}");
    assert!(!lines[0].contains("anisotropy"), "a column that no run has: {out}");
    assert!(
        lines[2].starts_with("baseline") && lines[2].contains("1,500") && lines[2].contains("25.0 %"),
        "{out}"
    );
    assert!(lines[2].trim_end().ends_with("200"), "the median of 100, 200 and 9,000 ms: {out}");
    assert!(lines[3].starts_with("hard") && lines[3].contains(" - "), "{out}");
}

#[test]
fn markdown_json_and_curves_say_the_same() {
    let dir = runs();
    let (code, out, _) = report(dir.path(), &["baseline", "hard", "--markdown", "--curves", "pictures"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("| run | step |") && out.contains("| baseline | 1,500 | 25.0 % |"), "{out}");
    let svg = std::fs::read_to_string(dir.path().join("pictures/detector_auc.svg")).unwrap();
    assert!(svg.contains("baseline") && svg.contains("hard"));
    let (code, out, _) = report(dir.path(), &["baseline", "hard", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(json[0]["figures"]["eval.masked_accuracy"], 0.25);
    assert!(json[1]["figures"]["eval.masked_accuracy"].is_null());
}

#[test]
fn errors_name_missing_runs_and_metrics() {
    let dir = runs();
    let (code, _, error) = report(dir.path(), &["baseline", "--metric", "eval.f1"]);
    assert!(
        code == 3 && error.contains("eval.f1") && error.contains("eval.masked_accuracy"),
        "{code} {error}"
    );
    let (code, _, error) = report(dir.path(), &["nowhere"]);
    assert!(code == 3 && error.contains("nowhere"), "{code} {error}");
    std::fs::write(dir.path().join("baseline/metrics.jsonl"), "{\"step\":1}\n{\"st").unwrap();
    let (code, _, error) = report(dir.path(), &["baseline"]);
    assert!(code == 3 && error.contains("line 2"), "{code} {error}");
}

#[test]
fn a_damaged_run_is_skipped_and_counted() {
    let dir = runs();
    std::fs::write(dir.path().join("baseline/metrics.jsonl"), "{\"step\":1}\n{\"st").unwrap();
    let (code, out, error) = report(dir.path(), &["baseline", "hard", "--markdown"]);
    assert_eq!(code, 0, "{error}");
    assert!(
        error.contains("warning: baseline/metrics.jsonl: line 2 ") && error.contains("the run is skipped"),
        "{error}"
    );
    assert!(out.contains("| hard | 1,500 |") && !out.contains("baseline"), "{out}");
    assert!(out.ends_with("\n1 run was skipped, because its files are damaged\n"), "{out}");
    let (code, out, error) = report(dir.path(), &["baseline", "hard", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && json.as_array().unwrap().len() == 1 && error.contains("line 2"), "{error}");
    // A folder that does not exist is an error.
    let (code, _, error) = report(dir.path(), &["hard", "nowhere"]);
    assert!(code == 3 && error.contains("nowhere"), "{code} {error}");
}
