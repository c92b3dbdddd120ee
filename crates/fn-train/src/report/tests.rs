use std::fs;
use std::path::Path;

use fn_core::stats::FalseNegativeStats;
use serde_json::Value;

use super::plain::duration;
use super::*;

fn report(step: u64) -> StepReport {
    StepReport {
        step,
        loss: 10.0 / step as f64,
        terms: vec![("generator".into(), 0.1), ("discriminator".into(), 0.2)],
        counts: FalseNegativeStats { rows: 100.0, wrong: 50.0, false_negative: 5.0, shielded: 5.0 },
        learning_rate: 1e-3,
        grad_norm: 2.0,
        skipped: false,
        tokens: 1_000,
        tokens_seen: 1_000 * step,
        seconds: 0.5,
        waited: 0.1,
    }
}

fn records(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The records without `time`: the values that are functions of the configuration.
fn without_times(path: &Path) -> Vec<Value> {
    let mut all = records(path);
    for record in &mut all {
        record.as_object_mut().unwrap().remove("time");
    }
    all
}

/// Steps `from..=to` with an evaluation every 4, as the training loop reports them.
fn tell(to: &mut dyn Reporter, from: u64, until: u64) {
    for step in from..=until {
        if step % 2 == 0 {
            to.step(&report(step)).unwrap();
        } else {
            to.tick(step, 1_000, 0.5).unwrap();
        }
        if step % 4 == 0 {
            to.evaluation(step, &[("masked_loss".into(), 1.0 / step as f64)]).unwrap();
        }
    }
}

#[test]
fn the_metrics_of_an_interrupted_run_equal_those_of_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole.jsonl"), dir.path().join("broken.jsonl"));
    tell(&mut JsonLines::create(&whole).unwrap(), 1, 20);
    for (killed_at, saved_at) in [(9, 6), (13, 8), (8, 8), (17, 16)] {
        if saved_at == 6 {
            tell(&mut JsonLines::create(&broken).unwrap(), 1, killed_at);
        } else {
            tell(&mut JsonLines::open(&broken).unwrap(), 1, 0);
        }
        let mut lines = JsonLines::open(&broken).unwrap();
        lines.resumed(saved_at, Path::new("")).unwrap();
        tell(&mut lines, saved_at + 1, if saved_at == 16 { 20 } else { killed_at + 8 });
    }
    assert_eq!(without_times(&broken), without_times(&whole));
}

#[test]
fn an_incomplete_last_line_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    tell(&mut JsonLines::create(&path).unwrap(), 1, 6);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 10]).unwrap();
    let mut lines = JsonLines::open(&path).unwrap();
    lines.resumed(100, Path::new("")).unwrap();
    tell(&mut lines, 8, 8);
    let steps: Vec<_> = records(&path).iter().map(|r| r["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2, 4, 4, 8, 8]);
}

#[test]
fn a_line_that_is_not_a_record_is_an_error_and_the_file_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    tell(&mut JsonLines::create(&path).unwrap(), 1, 2);
    let text = fs::read_to_string(&path).unwrap() + "hello\n";
    fs::write(&path, &text).unwrap();
    let error = JsonLines::open(&path).unwrap().resumed(1, Path::new("")).unwrap_err();
    assert!(matches!(error, ReportError::Line { line: 2, .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_new_run_starts_with_an_empty_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    fs::write(&path, "old rubbish").unwrap();
    tell(&mut JsonLines::create(&path).unwrap(), 1, 2);
    assert_eq!(records(&path).len(), 1);
}

#[test]
fn nan_and_infinity_are_written_as_strings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let mut lines = JsonLines::create(&path).unwrap();
    let bad = StepReport { loss: f64::NAN, grad_norm: f64::INFINITY, skipped: true, ..report(2) };
    lines.step(&bad).unwrap();
    lines.evaluation(2, &[("auc".into(), f64::NEG_INFINITY)]).unwrap();
    let records = records(&path);
    assert_eq!(records[0]["loss"], "NaN");
    assert_eq!(records[0]["grad_norm"], "inf");
    assert_eq!(records[0]["skipped"], true);
    assert_eq!(records[1]["metrics"]["auc"], "-inf");
}

#[test]
fn a_record_holds_every_number_of_its_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    tell(&mut JsonLines::create(&path).unwrap(), 1, 2);
    let record = &records(&path)[0];
    assert_eq!(record["kind"], "step");
    assert_eq!(record["loss"], 5.0);
    assert_eq!(record["terms"]["discriminator"], 0.2);
    assert_eq!(record["counts"]["false_negative"], 5.0);
    assert_eq!(record["tokens_seen"], 2_000);
    assert_eq!(record["time"]["tokens_per_second"], 2_000.0);
    assert_eq!(record["time"]["seconds_per_step"], 0.5);
}

#[test]
fn plain_lines_show_step_evaluation_and_notice() {
    let mut out = Vec::new();
    let mut lines = PlainLines::new(&mut out, 100);
    lines.tick(39, 3_000, 1.5).unwrap();
    lines.step(&report(40)).unwrap();
    lines.step(&StepReport { loss: f64::NAN, skipped: true, ..report(41) }).unwrap();
    lines.evaluation(40, &[("masked_loss".into(), 2.5)]).unwrap();
    lines.notice("something").unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "step 40/100  loss 0.2500 (generator 0.1000, discriminator 0.2000)  false negatives 10.0 % of wrong  \
         lr 1.000e-3  grad 2.000  2000 tok/s  left 1m 00s"
    );
    assert!(lines[1].contains("loss NaN") && lines[1].contains("SKIPPED"));
    assert_eq!(lines[2], "held-out at step 40: masked_loss 2.5000");
    assert_eq!(lines[3], "notice: something");
}

#[test]
fn durations_are_readable() {
    for (seconds, text) in [
        (0.4, "0s"),
        (59.0, "59s"),
        (59.6, "1m 00s"),
        (730.0, "12m 10s"),
        (11_100.0, "3h 05m"),
        (352_800.0, "4d 02h"),
        (f64::NAN, "?"),
    ] {
        assert_eq!(duration(seconds), text);
    }
}

#[test]
fn several_reporters_get_the_same_reports() {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut all = Reporters::new().with(PlainLines::new(&mut a, 9)).with(PlainLines::new(&mut b, 9));
    tell(&mut all, 1, 8);
    all.saved(8, Path::new("x")).unwrap();
    all.resumed(8, Path::new("x")).unwrap();
    drop(all);
    assert_eq!(a, b);
    assert_eq!(a.iter().filter(|&&c| c == b'\n').count(), 4 + 2 + 2);
}

#[test]
fn a_full_disk_is_recognised() {
    let full = ReportError::io(Path::new("metrics.jsonl"), "append")(std::io::ErrorKind::StorageFull.into());
    assert!(full.is_out_of_space());
    assert!(full.to_string().contains("metrics.jsonl"));
}
