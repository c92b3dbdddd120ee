//! Tests of synthetic pre-training before text with the real binary: resuming bit for bit, and a falling loss.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::path::Path;

use common::{STEPS, differences, newest_checkpoint, outcome, pretrain, text, with_fault};

/// Settings of the synthetic steps; a checkpoint is written every ten steps.
const STAGE: [&str; 3] =
    ["data.synthetic.kind=shuffle-dyck", "data.synthetic.steps=20", "data.synthetic.k=8"];

fn with(more: &str) -> Vec<&str> {
    STAGE.into_iter().chain([more]).collect()
}

fn whole_run(run: &Path, more: &[&str]) -> std::collections::BTreeMap<String, String> {
    let done = pretrain(run, STEPS, more).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    outcome(run)
}

#[test]
fn a_run_killed_inside_at_the_end_of_and_after_the_stage_resumes_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let expected = whole_run(&dir.path().join("whole"), &with("data.workers=1"));
    let plain = whole_run(&dir.path().join("plain"), &["data.workers=1"]);
    assert!(!differences(&expected, &plain).is_empty(), "the stage changes nothing");

    let run = dir.path().join("killed");
    // Each process is killed in the save after the one from which the next process resumes: within the stage, at its end, and
    // after it. The first process also saves step 0.
    for (save, left, workers) in
        [(3, 10, "data.workers=0"), (2, 20, "data.workers=4"), (2, 30, "data.workers=1")]
    {
        let kill = format!("save@{save}:1:kill");
        let command = pretrain(&run, STEPS, &with(workers));
        let killed = with_fault(&command, "FNLM_FAIL_POINT", &kill).output().unwrap();
        assert!(!killed.status.success(), "nobody killed it: {}", text(&killed));
        let newest = newest_checkpoint(&run).unwrap();
        assert!(newest.ends_with(format!("step-{left:08}")), "{}", newest.display());
    }
    let got = whole_run(&run, &with("data.workers=4"));
    assert_eq!(differences(&expected, &got), Vec::<String>::new());
}

#[test]
fn resuming_without_the_stage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let command = pretrain(&run, STEPS, &STAGE);
    let killed = with_fault(&command, "FNLM_FAIL_POINT", "save@2:1:kill").output().unwrap();
    assert!(!killed.status.success(), "{}", text(&killed));
    let other = pretrain(&run, STEPS, &[]).output().unwrap();
    let shown = text(&other);
    assert_eq!(other.status.code(), Some(2), "{shown}");
    assert!(shown.contains("data.synthetic.steps: 20 in config.toml, 0 now"), "{shown}");
}

#[test]
fn a_vocabulary_that_is_too_small_is_an_error_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let sets = ["data.synthetic.kind=shuffle-dyck", "data.synthetic.steps=20", "data.synthetic.k=5000"];
    let done = pretrain(&run, STEPS, &sets).output().unwrap();
    let shown = text(&done);
    assert!(
        !done.status.success() && shown.contains("data.synthetic.k = 5000 needs 10000 pieces"),
        "{shown}"
    );
    assert!(newest_checkpoint(&run).is_none());
}

/// Mean masked loss of steps `from..=to`, and the size of the vocabulary.
fn loss(run: &Path, from: u64, to: u64) -> f64 {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let losses: Vec<f64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|r| r["kind"] == "step" && (from..=to).contains(&r["step"].as_u64().unwrap()))
        .map(|r| r["loss"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len() as u64, to - from + 1);
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn a_tiny_model_learns_the_brackets() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let stage = 300;
    let sets = [
        "data.synthetic.kind=shuffle-dyck",
        "data.synthetic.steps=300",
        "data.synthetic.k=4",
        "correction.preset=none",
        "model.arch=bert",
        "model.embedding_size=32",
        "model.hidden_dropout=0",
        "model.attention_dropout=0",
        "train.batch=16",
        "train.accumulation=1",
        "schedule.total=0",
        "schedule.lr=0.003",
        "checkpoint.every=1000",
    ];
    let done = pretrain(&run, stage + 10, &sets).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let tokenizer = std::fs::read_to_string(run.join("model/vocab.txt")).unwrap();
    let chance = (tokenizer.lines().count() as f64).ln();
    let (first, last, text) =
        (loss(&run, 1, 5), loss(&run, stage - 50, stage), loss(&run, stage + 1, stage + 5));
    println!(
        "ln(vocabulary) {chance:.3}, first steps {first:.3}, end of the stage {last:.3}, first of text {text:.3}"
    );
    assert!((first - chance).abs() < 0.5, "{first}, {chance}");
    // A model that only knows the set of eight symbols reaches a loss of ln 8.
    assert!(last < 8f64.ln() && last < 0.5 * chance, "{last}, {chance}");
    assert!(text > last + 1.0, "text did not begin: {text}");
}
