//! Helpers of the end-to-end tests: a tiny run with the real binary, and its results for comparison.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs)] // each test binary uses its own part

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// Optimiser steps of a reference run.
pub const STEPS: u64 = 60;

/// The binary under test, without colours and progress bars.
pub fn fnlm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fnlm"));
    command.env("CI", "1").env("NO_COLOR", "1");
    command
}

/// The same command with a fault, which `fnlm-faults` reads from an environment variable.
pub fn with_fault(command: &Command, variable: &str, value: &str) -> Command {
    let mut faulty = Command::new(env!("CARGO_BIN_EXE_fnlm-faults"));
    faulty.args(command.get_args()).env(variable, value);
    for (name, value) in command.get_envs() {
        faulty.env(name, value.unwrap());
    }
    faulty
}

/// Corpus, vocabulary, lexicon and configuration of a quickstart; made once for all tests of a binary.
pub fn inputs() -> &'static Path {
    static INPUTS: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = INPUTS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("q");
        let made = fnlm()
            .args(["quickstart", "--prepare-only", "--steps", "100", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
        dir
    });
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| dir.path().join("q"))
}

/// The smallest ELECTRA that has everything: dropout, accumulation, a generator of its own width.
pub const TINY: [&str; 12] = [
    "model.num_layers=1",
    "model.hidden_size=32",
    "model.embedding_size=16",
    "model.num_heads=2",
    "model.intermediate_size=64",
    "model.generator_width=0.5",
    "model.hidden_dropout=0.1",
    "model.attention_dropout=0.1",
    "data.length=32",
    "train.batch=4",
    "train.accumulation=2",
    "log.every=1",
];

/// `fnlm pretrain` of a tiny ELECTRA with hard correction, dropout and accumulation into `run`.
pub fn pretrain(run: &Path, steps: u64, more: &[&str]) -> Command {
    let mut command = fnlm();
    command.arg("pretrain").arg("--config").arg(inputs().join("config.toml")).arg("--run").arg(run);
    let others = [
        "correction.preset=hard",
        "data.held_out=[]",
        "checkpoint.every=10",
        "log.tensorboard=false",
        "eval.every=0",
        "schedule.warmup=10",
    ];
    for set in TINY.into_iter().chain(others) {
        command.arg("--set").arg(set);
    }
    command.arg("--set").arg(format!("train.steps={steps}"));
    command.arg("--set").arg(format!("schedule.total={STEPS}"));
    for set in more {
        command.arg("--set").arg(set);
    }
    command
}

/// Standard output and standard error, for messages of failed assertions.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What must be equal between an interrupted and an uninterrupted run: weights and moments of the newest checkpoint, the
/// exported model, and the metrics without times.
pub fn outcome(run: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let newest = newest_checkpoint(run).unwrap_or_else(|| panic!("no checkpoint in {}", run.display()));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        out.insert(file.to_owned(), hash(&newest.join(file)));
    }
    let state = std::fs::read_to_string(newest.join("state.json")).unwrap();
    out.insert("state.json".to_owned(), state);
    out.insert("model/model.safetensors".to_owned(), hash(&run.join("model/model.safetensors")));
    out.insert("metrics.jsonl".to_owned(), metrics(run));
    out
}

/// The newest checkpoint by name.
pub fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(run.join("checkpoints"))
        .ok()?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("step-")))
        .collect();
    all.sort();
    all.pop()
}

/// `metrics.jsonl` without times.
pub fn metrics(run: &Path) -> String {
    let path = run.join("metrics.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out = String::new();
    for line in lines.lines() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(object) = record.as_object_mut() {
            object.retain(|key, _| !key.contains("second") && key != "time" && key != "waited");
        }
        out.push_str(&record.to_string());
        out.push('\n');
    }
    out
}

fn hash(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    fn_core::files::hex(&Sha256::digest(bytes))
}

/// Names of the results that differ between two runs; empty if they are equal.
pub fn differences(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    a.keys().filter(|k| a.get(*k) != b.get(*k)).cloned().collect()
}
