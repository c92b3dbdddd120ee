//! Pre-training on several texts with weights.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::path::Path;

use common::{differences, fnlm, inputs, metrics, outcome, pretrain, text};

/// `data.mixture` of the quickstart's corpus, and of its lower half for which there is a second weight.
fn mixture(dir: &Path, second: Option<&str>) -> [String; 2] {
    let corpus = inputs().join("corpus.txt");
    let mut sources = format!("{{train=[{corpus:?}], weight=1.5}}");
    if let Some(weight) = second {
        let half = dir.join("half.txt");
        let lines = std::fs::read_to_string(&corpus).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        std::fs::write(&half, lines[lines.len() / 2..].join("\n")).unwrap();
        sources.push_str(&format!(", {{train=[{half:?}], weight={weight}}}"));
    }
    ["data.train=[]".to_owned(), format!("data.mixture=[{sources}]")]
}

fn run(run: &Path, steps: u64, more: &[&str]) -> String {
    let done = pretrain(run, steps, more).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    text(&done)
}

#[test]
fn a_mixture_of_one_text_is_that_text() {
    let dir = tempfile::tempdir().unwrap();
    run(&dir.path().join("plain"), 6, &[]);
    let [none, one] = mixture(dir.path(), None);
    run(&dir.path().join("mixed"), 6, &[&none, &one]);
    let (plain, mixed) = (outcome(&dir.path().join("plain")), outcome(&dir.path().join("mixed")));
    assert_eq!(differences(&plain, &mixed), [""; 0]);
}

#[test]
fn a_mixture_that_is_stopped_resumes_bit_for_bit_and_says_how_often_each_text_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let [none, two] = mixture(dir.path(), Some("0.5"));
    let more: [&str; 2] = [&none, &two];
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let said = run(&whole, 12, &more);
    assert!(said.contains("up to step 12: ") && said.contains("75.00 % of the batches"), "{said}");
    // 12 steps of 2 x 4 rows.
    let drawn = |said: &str, file: &str| -> u64 {
        let line = said.lines().find(|line| line.contains("up to step 12") && line.contains(file)).unwrap();
        let word = line.split("; ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        word.parse().unwrap()
    };
    assert_eq!(drawn(&said, "corpus.txt") + drawn(&said, "half.txt"), 96);
    // The last step of the first part is not the last one of the schedule, which `schedule.total` fixes.
    let first = pretrain(&parts, 12, &more).args(["--set", "train.steps=7"]).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let again = pretrain(&parts, 12, &more).args(["--allow-change", "train.steps"]).output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
    let mut differing = differences(&outcome(&whole), &outcome(&parts));
    // The last step of each part is evaluated and saved.
    differing.retain(|name| name != "state.json");
    assert_eq!(differing, [""; 0], "{} {}", metrics(&whole), metrics(&parts));
    assert_eq!(drawn(&said, "half.txt"), drawn(&text(&again), "half.txt"));
}

#[test]
fn a_dry_run_says_rows_and_passes_and_shards_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let cache = format!("data.cache={:?}", dir.path().join("cache"));
    let made = fnlm()
        .args(["data", "prepare", "--config"])
        .arg(inputs().join("config.toml"))
        .args(["--set", &cache, "--set", "data.length=32", "--set", "data.held_out=[]"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let shards = std::fs::read_dir(dir.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    let corpus = inputs().join("corpus.txt");
    let two = format!("data.mixture=[{{shards={shards:?}, weight=1}}, {{train=[{corpus:?}], weight=3}}]");
    let more = ["data.train=[]", &two];
    let dry = pretrain(&dir.path().join("a"), 50, &more).arg("--dry-run").output().unwrap();
    let said = text(&dry);
    assert!(dry.status.success(), "{said}");
    // 50 steps of 2 x 4 rows.
    assert!(said.contains("25.00 % of the batches; 100 rows drawn"), "{said}");
    assert!(said.contains("75.00 % of the batches; 300 rows drawn"), "{said}");
    // Shards of another length are refused by name.
    let other = pretrain(&dir.path().join("b"), 5, &more).args(["--set", "data.length=16"]).output().unwrap();
    assert_eq!(other.status.code(), Some(3), "{}", text(&other));
    assert!(text(&other).contains("rows of the length 32, this configuration has 16"), "{}", text(&other));
}
