//! Tests of faults with the real binary: non-finite values, full disks, damaged files, two processes in one directory. Each
//! ends in an error with its exit code, and no intact checkpoint is lost.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{STEPS, differences, fnlm, inputs, newest_checkpoint, outcome, pretrain, text, with_fault};
use serde_json::Value;

/// Saves and keeps a checkpoint of every step, so that consecutive ones can be compared.
const KEEP: [&str; 2] = ["checkpoint.every=1", "checkpoint.keep_last=100"];

fn poisoned(run: &Path, steps: u64, poison: &str, more: &[&str]) -> Output {
    with_fault(&pretrain(run, steps, more), "FNLM_POISON", poison).output().unwrap()
}

fn code(output: &Output, expected: i32) -> String {
    let text = text(output);
    assert_eq!(output.status.code(), Some(expected), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The reported steps of a run.
fn steps(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == "step").collect()
}

fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join("checkpoints").join(format!("step-{step:08}"))
}

fn state(run: &Path, step: u64) -> Value {
    serde_json::from_str(&std::fs::read_to_string(checkpoint(run, step).join("state.json")).unwrap()).unwrap()
}

/// The variables of `fnlm-faults`, with values that would change the result of a resumed run, or exceed the time limit of a
/// test.
const VARIABLES: [(&str, &str); 4] = [
    ("FNLM_FORGET", "moments"),
    ("FNLM_POISON", "parameter@35+1000:nan"),
    ("FNLM_FAIL_POINT", "save:1:enospc"),
    ("FNLM_PAUSE_OPEN", "3600000"),
];

#[test]
fn fnlm_itself_has_no_faults() {
    let contains = |binary: &str, name: &str| {
        let bytes = std::fs::read(binary).unwrap();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    for (name, _) in VARIABLES {
        assert!(!contains(env!("CARGO_BIN_EXE_fnlm"), name), "fnlm knows {name}");
        assert!(contains(env!("CARGO_BIN_EXE_fnlm-faults"), name), "the search does not find {name}");
    }
    // The variables have no effect, also in a resumed run.
    let dir = tempfile::tempdir().unwrap();
    let halves = |run: &Path, variables: &[(&str, &str)]| {
        code(&pretrain(run, STEPS / 2, &[]).envs(variables.to_vec()).output().unwrap(), 0);
        let mut rest = pretrain(run, STEPS, &[]);
        let rest = rest.args(["--allow-change", "train.steps"]).envs(variables.to_vec());
        code(&rest.output().unwrap(), 0);
        outcome(run)
    };
    let (without, with) =
        (halves(&dir.path().join("without"), &[]), halves(&dir.path().join("with"), &VARIABLES));
    assert_eq!(differences(&without, &with), Vec::<String>::new());
}

/// A non-finite loss or gradient: the step is skipped, weights and moments do not change by a bit, the actual value is in the
/// metrics, and the run continues.
#[test]
fn a_non_finite_step_changes_nothing_and_is_reported_with_its_value() {
    let dir = tempfile::tempdir().unwrap();
    for (index, (poison, loss, norm)) in [
        ("loss@5:nan", Some("NaN"), "NaN"),
        ("loss@5:inf", Some("inf"), "NaN"),
        ("gradient@5:-inf", None, "inf"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = dir.path().join(format!("run-{index}"));
        code(&poisoned(&run, 8, poison, &["checkpoint.every=4", "checkpoint.keep_last=9"]), 0);
        let all = steps(&run);
        assert_eq!(all.len(), 8, "{poison}");
        let fifth = &all[4];
        assert_eq!(fifth["skipped"], true, "{poison}: {fifth}");
        if let Some(loss) = loss {
            assert_eq!(fifth["loss"], loss, "{poison}: {fifth}");
        }
        assert!(fifth["grad_norm"] == norm || fifth["grad_norm"] == "NaN", "{poison}: {fifth}");
        assert!(all.iter().enumerate().all(|(i, s)| i == 4 || (s["skipped"] == false && s["loss"].is_f64())));
        assert_eq!(state(&run, 8)["guard"]["skipped_total"], 1, "{poison}");
    }
    // The checkpoint after the non-finite step has the same bytes as the one before it.
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    code(&pretrain(&before, 4, &KEEP).output().unwrap(), 0);
    code(&poisoned(&after, 5, "gradient@5:nan", &KEEP), 0);
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read = |run: &Path, step| std::fs::read(checkpoint(run, step).join(file)).unwrap();
        assert_eq!(read(&before, 4), read(&after, 5), "{file}");
    }
}

#[test]
fn a_run_that_stays_non_finite_ends_with_code_4_and_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for target in ["loss", "gradient", "parameter"] {
        let run = dir.path().join(target);
        let said = code(&poisoned(&run, 40, &format!("{target}@14+100:nan"), &[]), 4);
        assert!(said.contains("step-00000010") && said.contains("10 times in a row"), "{said}");
        // Not the checkpoint of step 20, whose weights may be the cause.
        assert_eq!(newest_checkpoint(&run).unwrap(), checkpoint(&run, 10), "{target}");
        assert_eq!(steps(&run).last().unwrap()["step"], 22, "{target}: the tenth in a row is the end");
        // Without the fault the same command resumes.
        code(&pretrain(&run, 40, &[]).output().unwrap(), 0);
    }
}

#[test]
fn a_full_disk_ends_with_code_5_and_the_run_resumes_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let expected = {
        let run = dir.path().join("reference");
        code(&pretrain(&run, STEPS, &[]).output().unwrap(), 0);
        outcome(&run)
    };
    for (index, at) in ["save@3:1:enospc", "save@3:5:enospc", "save@3:*:enospc"].into_iter().enumerate() {
        let run = dir.path().join(format!("run-{index}"));
        let full = with_fault(&pretrain(&run, STEPS, &[]), "FNLM_FAIL_POINT", at).output().unwrap();
        let said = code(&full, 5);
        assert!(said.contains("step-000000"), "{said}");
        assert!(newest_checkpoint(&run).is_some_and(|path| path <= checkpoint(&run, 20)));
        code(&pretrain(&run, STEPS, &[]).output().unwrap(), 0);
        assert_eq!(differences(&expected, &outcome(&run)), Vec::<String>::new(), "{at}");
    }
}

#[test]
fn a_damaged_checkpoint_is_skipped_with_a_message_and_if_all_are_it_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    code(&pretrain(&run, 30, &["checkpoint.keep_last=2"]).output().unwrap(), 0);
    let flip = |step: u64| {
        let path = checkpoint(&run, step).join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    flip(30);
    let said = code(&pretrain(&run, 30, &["checkpoint.keep_last=2"]).output().unwrap(), 0);
    assert!(said.contains("step-00000030") && said.contains("step-00000020"), "{said}");

    let one = dir.path().join("one");
    code(&pretrain(&one, 10, &["checkpoint.keep_last=1"]).output().unwrap(), 0);
    std::fs::remove_file(checkpoint(&one, 10).join("optimizer.safetensors")).unwrap();
    let left = || std::fs::read_dir(one.join("checkpoints")).unwrap().count();
    let files = left();
    let said = code(&pretrain(&one, 10, &["checkpoint.keep_last=1"]).output().unwrap(), 3);
    assert!(said.contains("optimizer.safetensors"), "{said}");
    assert_eq!(left(), files, "a refused run throws nothing away");
}

#[test]
fn two_processes_do_not_train_in_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut first = with_fault(&pretrain(&run, STEPS, &[]), "FNLM_FAIL_POINT", "save@2:*:sleep=500")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while newest_checkpoint(&run).is_none() && begun.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = pretrain(&run, STEPS, &[]).output().unwrap();
    let said = code(&second, 2);
    assert!(said.contains("another process"), "{said}");
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_lexicon_of_another_vocabulary_is_an_error_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    let quickstart = ["quickstart", "--prepare-only", "--steps", "100", "--seed", "2", "--out"];
    code(&fnlm().args(quickstart).arg(&other).output().unwrap(), 0);
    let lexicon = format!("lexicon.path={:?}", other.join("lexicon.safetensors"));
    let run = dir.path().join("run");
    let said = code(&pretrain(&run, 10, &[&lexicon]).output().unwrap(), 3);
    assert!(said.contains("vocabulary"), "{said}");
    assert!(newest_checkpoint(&run).is_none());
}

/// Sequences of unknown words only have no token that can be masked.
#[test]
fn text_without_a_maskable_token_gives_an_error_or_a_finite_loss() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("unknown.txt");
    std::fs::write(&corpus, "Ж Ж Ж Ж Ж Ж Ж Ж\n".repeat(200)).unwrap();
    let run = dir.path().join("run");
    let train = format!("data.train=[{corpus:?}]");
    code(&pretrain(&run, 12, &[&train]).output().unwrap(), 0);
    for step in steps(&run) {
        assert_eq!(step["skipped"], false, "{step}");
        assert!(step["loss"].is_f64() && step["counts"]["rows"] == 0.0, "{step}");
    }
}

/// With a lexicon in which all words are synonyms, hard correction shields every prediction.
#[test]
fn a_run_in_which_every_error_is_shielded_stays_finite() {
    let dir = tempfile::tempdir().unwrap();
    let vocabulary = std::fs::read_to_string(inputs().join("tokenizer/vocab.txt")).unwrap();
    let size = vocabulary.lines().count() as u32;
    let rows = (5..size).map(|w| (w, (0..size).filter(|&r| r != w).collect()));
    let sha256 =
        fn_data::tokenise::TextTokenizer::load(&inputs().join("tokenizer")).unwrap().sha256().to_owned();
    let info = fn_core::lexicon::LexiconInfo { vocabulary_sha256: sha256, ..Default::default() };
    let path = dir.path().join("all.safetensors");
    fn_core::lexicon::Lexicon::from_rows(size as usize, rows, info).unwrap().save(&path).unwrap();
    let run = dir.path().join("run");
    let lexicon = format!("lexicon.path={path:?}");
    // The mean over kept positions needs a whole step, so it is an error with accumulation.
    for (normalise, accumulation) in [("all", "train.accumulation=2"), ("kept", "train.accumulation=1")] {
        let run = run.join(normalise);
        let correction = format!("correction.masked_lm.normalise={normalise}");
        let set = [lexicon.as_str(), "correction.masked_lm.kind=hard", correction.as_str(), accumulation];
        code(&pretrain(&run, 12, &set).output().unwrap(), 0);
        let shielded = |s: &Value| s["counts"]["shielded"].as_f64().unwrap();
        let wrong = |s: &Value| s["counts"]["wrong"].as_f64().unwrap();
        assert!(wrong(&steps(&run)[0]) > 0.0);
        for step in steps(&run) {
            assert_eq!(step["skipped"], false, "{step}");
            assert!(step["loss"].is_f64() && shielded(&step) == wrong(&step), "{step}");
        }
    }
}
