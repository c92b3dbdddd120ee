//! Lets calls that change files fail, one in each run: writes, syncs, renames, new files and folders, removals. The library
//! `failing_calls.c`, which is loaded before the C library, counts the calls of `fnlm` below a folder, also of the processes that it
//! starts, and answers the k-th with ENOSPC, EIO or EINTR. The command goes on, or ends with its exit code and a message; repeated
//! without the fault, it has the bits of a run that never met one.
//!
//! By default every third call or fewer fails, each in one of the three ways. `FNLM_EVERY_CALL=1 cargo test --test every_call --
//! --nocapture` lets every call fail in all of them; docs/reliability.md has its figures.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use common::{TINY, fnlm, inputs, newest_checkpoint, text};
use fn_core::files;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Errors with the exit codes that `fnlm` may end with.
const FAULTS: [(&str, i32, &[i32]); 3] =
    [("ENOSPC", libc::ENOSPC, &[0, 5]), ("EIO", libc::EIO, &[0, 1]), ("EINTR", libc::EINTR, &[0, 1])];

/// The library, compiled once.
fn library() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failing_calls.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/failing_calls.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&path, &source])
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", text(&built));
        (dir, path)
    });
    path
}

/// A command that works below `work/` of a folder, and what it leaves there.
struct Subject {
    dir: tempfile::TempDir,
    arguments: Vec<String>,
    /// Endings of the files that must be the same in the end.
    same: &'static [&'static str],
}

impl Subject {
    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn empty(&self) {
        let _ = std::fs::remove_dir_all(self.work());
        std::fs::create_dir(self.work()).unwrap();
    }

    /// Runs the command; with `fault`, the call of this number fails with this error. Returns the number of calls.
    fn run(&self, fault: (u64, i32), log: Option<&Path>) -> (Output, u64) {
        let count = self.dir.path().join("count");
        std::fs::write(&count, [0; 8]).unwrap();
        let mut command = fnlm();
        command.current_dir(self.dir.path()).args(&self.arguments);
        command.env("LD_PRELOAD", library()).env("FAULTS_UNDER", self.work()).env("FAULTS_COUNT", &count);
        command.env("FAULTS_AT", fault.0.to_string()).env("FAULTS_ERRNO", fault.1.to_string());
        if let Some(log) = log {
            command.env("FAULTS_LOG", log);
        }
        let output = command.output().unwrap();
        (output, u64::from_ne_bytes(std::fs::read(&count).unwrap().try_into().unwrap()))
    }

    /// The files that must be the same, each with a hash of its content without times.
    fn outcome(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let mut folders = vec![self.work()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.work()).unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    // An older checkpoint, or a model whose scoring failed, may stay.
                    let older = newest_checkpoint(files::parent(files::parent(&path)))
                        .is_some_and(|newest| newest > path);
                    let kept = name.contains("checkpoints/") && older;
                    if !kept && !name.ends_with("finetune-mine/seed-1/model") {
                        folders.push(path);
                    }
                } else if self.same.iter().any(|end| name.ends_with(end)) {
                    out.insert(name, content(&path));
                }
            }
        }
        out
    }
}

fn content(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let lines = path.extension().is_some_and(|extension| extension == "jsonl");
    let bytes = match lines {
        true => {
            let mut out = String::new();
            for line in String::from_utf8(bytes).unwrap().lines() {
                writeln!(out, "{}", without_times(serde_json::from_str(line).unwrap())).unwrap();
            }
            out.into_bytes()
        }
        false => bytes,
    };
    files::hex(&Sha256::digest(bytes))
}

fn without_times(mut record: Value) -> Value {
    if let Some(object) = record.as_object_mut() {
        object.retain(|key, _| key != "time" && !key.contains("second"));
    }
    record
}

/// Lets calls of `subject` fail, every `stride`-th one in one way, or all in all ways.
fn check(name: &str, subject: &Subject, stride: u64) {
    let complete = std::env::var_os("FNLM_EVERY_CALL").is_some();
    let log = subject.dir.path().join("log");
    subject.empty();
    let (whole, calls) = subject.run((0, 0), Some(&log));
    assert!(whole.status.success(), "{}", text(&whole));
    let expected = subject.outcome();
    assert!(expected.len() > 2, "{expected:?}");
    let log = std::fs::read_to_string(log).unwrap();
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for line in log.lines() {
        *kinds.entry(line.split(' ').nth(1).unwrap()).or_default() += 1;
    }
    println!("{name}: {calls} calls {kinds:?}");
    assert!(calls > 50, "the library was not loaded");
    let called = |call: u64| log.lines().nth(call as usize - 1).unwrap_or_default().to_owned();

    let mut wrong = String::new();
    let mut codes: BTreeMap<(&str, i32), u64> = BTreeMap::new();
    for call in (1..=calls).step_by(if complete { 1 } else { stride as usize }) {
        for (way, (error, number, allowed)) in FAULTS.into_iter().enumerate() {
            if !complete && call / stride % 3 != way as u64 {
                continue;
            }
            subject.empty();
            let (ended, _) = subject.run((call, number), None);
            let code = ended.status.code().unwrap_or(-1);
            *codes.entry((error, code)).or_default() += 1;
            let said = String::from_utf8_lossy(&ended.stderr);
            let clear = allowed.contains(&code)
                && !said.contains("panicked")
                && (code == 0 || said.contains("error:"));
            let same = code != 0 || subject.outcome() == expected;
            let (again, _) = subject.run((0, 0), None);
            let resumed = again.status.success() && subject.outcome() == expected;
            if !(clear && same && resumed) {
                writeln!(
                    wrong,
                    "{}: {error}, code {code}, same {same}, resumed {resumed}\n{said}{}",
                    called(call),
                    text(&again)
                )
                .unwrap();
            }
        }
    }
    println!("{name}: {codes:?} (error and exit code: number of runs)");
    assert!(wrong.is_empty(), "{wrong}");
}

/// Settings beside [`TINY`].
const SETTINGS: [&str; 6] = [
    "train.steps=5",
    "checkpoint.every=2",
    "checkpoint.keep_last=1",
    "eval.every=3",
    "eval.batches=1",
    "schedule.warmup=2",
];

fn settings() -> impl Iterator<Item = String> {
    TINY.into_iter().chain(SETTINGS).map(str::to_owned).chain(paths())
}

/// Settings of files: the cache lies within the folder whose calls are counted.
fn paths() -> [String; 2] {
    [r#"data.cache="work/cache""#.to_owned(), format!("data.held_out=[{:?}]", inputs().join("held-out.txt"))]
}

#[test]
fn every_call_of_pre_training_may_fail() {
    let dir = tempfile::tempdir().unwrap();
    let config = inputs().join("config.toml").display().to_string();
    let mut arguments = ["pretrain", "--config", &config, "--run", "work/run"].map(str::to_owned).to_vec();
    for set in settings().chain(["correction.preset=hard".to_owned()]) {
        arguments.extend(["--set".to_owned(), set]);
    }
    let same =
        &[".safetensors", "state.json", "metrics.jsonl", "vocab.txt", "model/config.json", "manifest.json"];
    check("pretrain", &Subject { dir, arguments, same }, 3);
}

#[test]
fn every_call_of_fine_tuning_may_fail() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    std::fs::create_dir_all(&model).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny");
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(golden.join(file), model.join(file)).unwrap();
    }
    let word = |n: usize| format!("w{}{}", (b'a' + (n / 26) as u8) as char, (b'a' + (n % 26) as u8) as char);
    let pieces: Vec<String> = (0..51).map(word).collect();
    std::fs::write(
        model.join("vocab.txt"),
        format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{}\n", pieces.join("\n")),
    )
    .unwrap();
    std::fs::create_dir_all(dir.path().join("data/RTE")).unwrap();
    for (split, rows) in [("train", 48), ("dev", 16)] {
        let mut table = "index\tsentence1\tsentence2\tlabel\n".to_owned();
        for row in 0..rows {
            let (first, label) = [("waa", "entailment"), ("wab", "not_entailment")][row % 2];
            writeln!(table, "{row}\t{} {first}\t{}\t{label}", word(row % 40), word(row % 13)).unwrap();
        }
        std::fs::write(dir.path().join(format!("data/RTE/{split}.tsv")), table).unwrap();
    }
    let command = "finetune --task rte --model model --data data --out work/out --seeds 2 --epochs 2 --length 16 \
                   --recipe transformers --lr 5e-3 --batch 16";
    let arguments = command.split_whitespace().map(str::to_owned).collect();
    let same = &["model.safetensors", "dev-RTE.jsonl", "vocab.txt", "model/config.json"];
    check("finetune", &Subject { dir, arguments, same }, 3);
}

#[test]
fn every_call_of_a_study_may_fail() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    for split in ["train", "dev"] {
        let line =
            |row: usize| format!("{{\"text\":\"{}\",\"label\":{}}}\n", ["no", "yes"][row % 2], row % 2);
        std::fs::write(dir.path().join(format!("mine/{split}.jsonl")), (0..20).map(line).collect::<String>())
            .unwrap();
    }
    let task =
        "[task]\ntype = \"classify\"\nfirst = \"text\"\nlabel = \"label\"\nlabels = [\"no\", \"yes\"]\n";
    std::fs::write(dir.path().join("mine.toml"), task).unwrap();
    let settings: Vec<String> = settings().collect();
    let study = format!(
        "name = \"tiny\"\nconfig = {:?}\nseeds = [1]\nset = {settings:?}\n[[arm]]\nname = \"baseline\"\n\
         [[arm]]\nname = \"hard\"\nset = [\"correction.preset=hard\"]\n\
         [[evaluate]]\ntask = \"mine.toml\"\ndata = \"mine\"\nset = [\"epochs=1\", \"length=16\"]\n",
        inputs().join("config.toml")
    );
    std::fs::write(dir.path().join("study.toml"), study).unwrap();
    let arguments = "study run study.toml --out work/study".split_whitespace().map(str::to_owned).collect();
    let same = &["model.safetensors", "optimizer.safetensors", "metrics.jsonl", "dev-mine.jsonl"];
    check("study", &Subject { dir, arguments, same }, 11);
}
