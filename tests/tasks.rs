//! Tests of fine-tuning, prediction, scoring and submission with the real binary, on a tiny model and generated data.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::{fnlm, text};
use serde_json::Value;

/// A sandbox with the encoder in `model/`.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        std::fs::create_dir(&model).unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny");
        std::fs::copy(golden.join("model.safetensors"), model.join("model.safetensors")).unwrap();
        // With dropout, so that repeated and resumed runs must reproduce its random numbers.
        let config = std::fs::read_to_string(golden.join("config.json")).unwrap();
        let with = config.replace("_dropout_prob\": 0.0", "_dropout_prob\": 0.1");
        assert_ne!(config, with);
        std::fs::write(model.join("config.json"), with).unwrap();
        let mut vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
        for word in 0..51 {
            writeln!(vocabulary, "{}", name(word)).unwrap();
        }
        std::fs::write(model.join("vocab.txt"), vocabulary).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    /// Runs in the sandbox: paths are relative to it.
    fn run(&self, command: &str) -> Output {
        fnlm().current_dir(self.dir.path()).args(command.split_whitespace()).output().unwrap()
    }

    fn ok(&self, command: &str) -> Output {
        let output = self.run(command);
        assert!(output.status.success(), "{command}\n{}", text(&output));
        output
    }

    fn fails(&self, command: &str, code: i32, parts: &[&str]) {
        let output = self.run(command);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{command}\n{text}");
        for part in parts {
            assert!(text.contains(part), "{command}: no {part:?} in\n{text}");
        }
        assert!(!text.contains("panicked"), "{text}");
    }
}

/// The n-th word of the vocabulary, in letters: digits would be split off.
fn name(n: usize) -> String {
    let letter = |i: usize| (b'a' + i as u8) as char;
    format!("w{}{}", letter(n / 26), letter(n % 26))
}

/// A sentence of four to seven words; `with` is among them if it is given.
fn sentence(seed: usize, with: Option<&str>) -> String {
    let mut words: Vec<String> = (0..4 + seed % 4).map(|i| name(2 + (seed * 31 + i * 17) % 45)).collect();
    if let Some(with) = with {
        let at = seed % words.len();
        words[at] = with.to_owned();
    }
    words.join(" ")
}

/// RTE: entailed if the first sentence holds the word `waa`.
fn rte(rows: usize, from: usize, labels: bool) -> String {
    let mut out =
        if labels { "index\tsentence1\tsentence2\tlabel\n" } else { "index\tsentence1\tsentence2\n" }
            .to_owned();
    for row in 0..rows {
        let entailed = (row + from).is_multiple_of(2);
        let first = sentence(row + from, entailed.then_some("waa"));
        write!(out, "{row}\t{first}\t{}", sentence(row + from + 7, None).split(' ').next().unwrap()).unwrap();
        if labels {
            write!(out, "\t{}", if entailed { "entailment" } else { "not_entailment" }).unwrap();
        }
        out.push('\n');
    }
    out
}

const FAST: &str = "--length 16 --recipe transformers --lr 5e-3 --batch 16";

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn finetune_score_and_predict_agree_on_a_task() {
    let place = Place::new();
    place.write("data/RTE/train.tsv", &rte(320, 0, true));
    place.write("data/RTE/dev.tsv", &rte(60, 1000, true));
    place.write("data/RTE/test.tsv", &rte(40, 2000, false));
    let command =
        format!("finetune --task rte --model model --data data --out out --seeds 2 --epochs 6 {FAST}");
    let first = place.ok(&command);
    assert!(String::from_utf8_lossy(&first.stdout).contains("accuracy"), "{}", text(&first));
    let results = place.json("out/results.json");
    let seeds = results["seeds"].as_array().unwrap();
    assert_eq!(seeds.len(), 2);
    let accuracy = seeds[0]["scores"]["RTE"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    assert_eq!(lines(&place.path("out/seed-1/dev-RTE.jsonl")).len(), 60);
    assert_eq!(lines(&place.path("out/seed-1/test-RTE.jsonl")).len(), 40);
    assert!(!place.path("out/seed-1/checkpoints").exists());
    let card = std::fs::read_to_string(place.path("out/seed-1/model/README.md")).unwrap();
    assert!(card.contains("| RTE | accuracy |") && card.contains("seed 1"), "{card}");

    // Scored separately, and predicted again with the saved model.
    let score = place.ok("score --task rte --data data --predictions out/seed-1/dev-RTE.jsonl --json");
    let score: Value = serde_json::from_slice(&score.stdout).unwrap();
    assert_eq!((score["accuracy"].as_f64(), score["examples"].as_u64()), (Some(accuracy), Some(60)));
    place.ok("predict --model out/seed-1/model --data data --split dev --out again.jsonl");
    let (before, after) = (lines(&place.path("out/seed-1/dev-RTE.jsonl")), lines(&place.path("again.jsonl")));
    assert_eq!(before, after);
    place.ok("predict --model out/seed-1/model --data data --split dev --out again.tsv");
    let tsv = place.ok("score --task rte --data data --predictions again.tsv --json");
    assert_eq!(serde_json::from_slice::<Value>(&tsv.stdout).unwrap(), score);
    let one = fnlm()
        .current_dir(place.dir.path())
        .args(["predict", "--model", "out/seed-1/model"])
        .args([sentence(1000, Some("waa")).as_str(), sentence(1007, None).split(' ').next().unwrap()])
        .output()
        .unwrap();
    let label = before[0]["prediction"].as_str().unwrap();
    assert!(String::from_utf8_lossy(&one.stdout).starts_with(&format!("0\t{label}\t")), "{}", text(&one));
    let compared = place.ok(
        "score --task rte --data data --predictions out/seed-1/dev-RTE.jsonl --compare out/seed-2/dev-RTE.jsonl --resamples 200",
    );
    assert!(String::from_utf8_lossy(&compared.stdout).contains("95 % interval"), "{}", text(&compared));

    // In bf16 it learns the task as well, with different numbers.
    place.ok(&command.replace("--out out --seeds 2", "--out half --set dtype=bf16"));
    let half = place.json("half/results.json");
    assert!(half["seeds"][0]["scores"]["RTE"]["accuracy"].as_f64().unwrap() > 0.9, "{half}");
    assert_ne!(half["seeds"][0]["train_loss"], results["seeds"][0]["train_loss"]);

    // The same command computes nothing again; other settings are an error that names the key.
    let again = place.ok(&command);
    assert!(text(&again).contains("already done"), "{}", text(&again));
    assert_eq!(place.json("out/results.json"), results);
    place.fails(
        &command.replace("--epochs 6", "--epochs 5"),
        2,
        &["before: epochs = 6", "now: epochs = 5", "--out"],
    );
}

#[test]
fn a_resumed_fine_tuning_gives_the_same_predictions() {
    let place = Place::new();
    place.write("data/RTE/train.tsv", &rte(320, 0, true));
    place.write("data/RTE/dev.tsv", &rte(60, 1000, true));
    let command = |out: &str| {
        format!("finetune --task rte --model model --data data --out {out} --epochs 20 {FAST} --patience 20")
    };
    place.ok(&command("whole"));
    let child = fnlm()
        .current_dir(place.dir.path())
        .args(command("parts").split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A best epoch writes a checkpoint: the signal is sent after at least one of twenty.
    let start = std::time::Instant::now();
    let saved = place.path("parts/seed-1/checkpoints");
    while !saved
        .read_dir()
        .is_ok_and(|mut e| e.any(|e| e.unwrap().file_name().to_string_lossy().starts_with("step")))
    {
        assert!(start.elapsed().as_secs() < 120, "no checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // SAFETY: `kill` only takes a process id and a number; the child is ours and has not been waited for.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(sent, 0);
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(75), "{}", text(&stopped));
    assert!(!place.path("parts/seed-1/result.json").exists());
    place.ok(&command("parts"));
    let predictions = |out: &str| std::fs::read(place.path(&format!("{out}/seed-1/dev-RTE.jsonl"))).unwrap();
    assert_eq!(predictions("whole"), predictions("parts"));
    let weights =
        |out: &str| std::fs::read(place.path(&format!("{out}/seed-1/model/model.safetensors"))).unwrap();
    assert!(weights("whole") == weights("parts"));
}

#[test]
fn glue_gives_one_table_and_a_zip_for_the_server() {
    let place = Place::new();
    place.write("data/RTE/train.tsv", &rte(64, 0, true));
    place.write("data/RTE/dev.tsv", &rte(20, 1000, true));
    place.write("data/RTE/test.tsv", &rte(10, 2000, false));
    let stsb = |rows: usize, labels: bool| {
        let mut out = "index\tsentence1\tsentence2".to_owned() + if labels { "\tscore\n" } else { "\n" };
        for row in 0..rows {
            write!(out, "{row}\t{}\t{}", sentence(row, None), sentence(row * 3, None)).unwrap();
            writeln!(out, "{}", if labels { format!("\t{}.500", row % 5) } else { String::new() }).unwrap();
        }
        out
    };
    place.write("data/STS-B/train.tsv", &stsb(64, true));
    place.write("data/STS-B/dev.tsv", &stsb(20, true));
    place.write("data/STS-B/test.tsv", &stsb(7, false));
    let output = place.ok("glue --model model --data data --out runs --length 16 --epochs 1 --seeds 2");
    let shown = text(&output);
    for part in ["STS-B", "RTE", "average", "development set: CoLA, SST-2"] {
        assert!(shown.contains(part), "{shown}");
    }
    // google-research/electra trains on both orders of the pairs of STS-B.
    assert_eq!(place.json("runs/sts-b/seed-1/result.json")["train_examples"], 128);

    place.fails("submit runs --out all.zip", 3, &["CoLA", "--partial"]);
    place.ok("submit runs --out part.zip --partial");
    place.fails("submit runs --out part.zip --partial", 2, &["--force"]);
    let mut zip = zip::ZipArchive::new(std::fs::File::open(place.path("part.zip")).unwrap()).unwrap();
    let mut files = BTreeMap::new();
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let mut content = String::new();
        std::io::Read::read_to_string(&mut file, &mut content).unwrap();
        let name = file.name().unwrap().into_owned();
        files.insert(name, content);
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), ["RTE.tsv", "STS-B.tsv"]);
    assert_eq!(files["RTE.tsv"].lines().count(), 11);
    assert!(files["RTE.tsv"].starts_with("index\tprediction\n0\t"), "{}", files["RTE.tsv"]);
    for row in files["STS-B.tsv"].lines().skip(1) {
        let (_, score) = row.split_once('\t').unwrap();
        assert!((0.0..=5.0).contains(&score.parse::<f64>().unwrap()), "{row}");
        assert_eq!(score.split_once('.').unwrap().1.len(), 3, "{row}");
    }
}

#[test]
fn tasks_of_ones_own_are_classified_scored_and_tagged() {
    let place = Place::new();
    place.write("good.toml", "[task]\ntype = \"classify\"\nfirst = \"text\"\nlabel = \"good\"\nlabels = [\"no\", \"yes\"]\ndelimiter = \",\"\n");
    place.write("how.toml", "type = \"regress\"\nfirst = \"text\"\nlabel = \"score\"\nrange = [0, 10]\n");
    place.write(
        "tag.toml",
        "type = \"tag\"\nfirst = \"words\"\nlabel = \"tags\"\nlabels = [\"O\", \"B-A\"]\n",
    );
    for (split, rows, from) in [("train", 320, 0), ("dev", 60, 1000)] {
        let (mut csv, mut scores, mut tags) = ("text,good\n".to_owned(), String::new(), String::new());
        for row in from..from + rows {
            let is = row % 2 == 0;
            let words = sentence(row, is.then_some("waa"));
            writeln!(csv, "{words},{}", if is { "yes" } else { "no" }).unwrap();
            writeln!(scores, "{{\"text\":\"{words}\",\"score\":{}}}", if is { 3.0 } else { 1.0 }).unwrap();
            let marks: Vec<&str> = words.split(' ').map(|w| if w == "waa" { "B-A" } else { "O" }).collect();
            writeln!(tags, "{{\"words\":\"{words}\",\"tags\":\"{}\"}}", marks.join(" ")).unwrap();
        }
        place.write(&format!("good/{split}.csv"), &csv);
        place.write(&format!("how/{split}.jsonl"), &scores);
        place.write(&format!("tag/{split}.jsonl"), &tags);
    }
    for (task, metric, least) in [("good", "accuracy", 0.9), ("how", "mean", 0.7), ("tag", "entity_f1", 0.8)]
    {
        place.ok(&format!(
            "finetune --task {task}.toml --model model --data {task} --out {task}-out --epochs 6 {FAST}"
        ));
        let result = place.json(&format!("{task}-out/seed-1/result.json"));
        assert_eq!(result["metric"], metric);
        assert!(result["main"].as_f64().unwrap() > least, "{task}: {result}");
        place.ok(&format!(
            "predict --model {task}-out/seed-1/model --data {task} --split dev --out {task}.jsonl"
        ));
        let before = lines(&place.path(&format!("{task}-out/seed-1/dev-{task}.jsonl")));
        assert_eq!(before, lines(&place.path(&format!("{task}.jsonl"))), "{task}");
    }
}

/// SQuAD: the answer to "wab" is the word `waa`, where it is in the text; in version 2.0 a text may lack it.
fn squad(version: &str, questions: usize, from: usize) -> String {
    let paragraphs: Vec<Value> = (from..from + questions)
        .map(|n| {
            let impossible = version.starts_with("v2") && n.is_multiple_of(3);
            let context = sentence(n, (!impossible).then_some("waa"));
            let mut question = serde_json::json!({"id": format!("q{n}"), "question": "wab", "answers": []});
            if !impossible {
                question["answers"] =
                    serde_json::json!([{"text": "waa", "answer_start": context.find("waa").unwrap()}]);
            }
            if version.starts_with("v2") {
                question["is_impossible"] = impossible.into();
            }
            serde_json::json!({"context": context, "qas": [question]})
        })
        .collect();
    serde_json::json!({"version": version, "data": [{"title": "T", "paragraphs": paragraphs}]}).to_string()
}

#[test]
fn squad_score_and_predict_agree_for_both_versions() {
    let place = Place::new();
    for version in ["1.1", "v2.0"] {
        place.write(&format!("{version}/train.json"), &squad(version, 400, 0));
        place.write(&format!("{version}/dev.json"), &squad(version, 60, 1000));
        place.ok(&format!(
            "squad --model model --train {version}/train.json --dev {version}/dev.json --out {version}/out --epochs 8 {FAST} \
             --question-length 4 --stride 4"
        ));
        let result = place.json(&format!("{version}/out/seed-1/result.json"));
        let f1 = result["scores"]["dev"]["f1"].as_f64().unwrap();
        assert!(f1 > 0.8, "{version}: {result}");
        let folder = format!("{version}/out/seed-1");
        let predictions = place.json(&format!("{folder}/predictions.json"));
        assert_eq!(predictions.as_object().unwrap().len(), 60);
        let score = place.ok(&format!(
            "score --task squad --input {version}/dev.json --predictions {folder}/predictions.json --json"
        ));
        let score: Value = serde_json::from_slice(&score.stdout).unwrap();
        assert!((score["f1"].as_f64().unwrap() - 100.0 * f1).abs() < 1e-9, "{score}");
        place.ok(&format!("predict --model {folder}/model --input {version}/dev.json --out {version}/again"));
        assert_eq!(place.json(&format!("{version}/again/predictions.json")), predictions);
        let second = version.starts_with("v2");
        for file in ["null_odds.json", "na_prob.json"] {
            assert_eq!(place.path(&format!("{folder}/{file}")).exists(), second, "{version} {file}");
        }
        if second {
            let with = place.ok(&format!(
                "score --task squad --input {version}/dev.json --predictions {folder}/predictions.json --na-prob {folder}/na_prob.json"
            ));
            assert!(text(&with).contains("best_f1_thresh"), "{}", text(&with));
        }
    }
}

#[test]
fn questions_without_answers_are_scored_by_the_rules_of_2_0_whatever_version_the_file_names() {
    let place = Place::new();
    place.write("train.json", &squad("1.1", 40, 0));
    place.write("dev.json", &squad("v2.0", 30, 1000).replace("v2.0", "1.0"));
    place.ok(&format!(
        "squad --model model --train train.json --dev dev.json --out out --epochs 1 {FAST} --question-length 4 --stride 4"
    ));
    let result = place.json("out/seed-1/result.json");
    assert!(result["scores"]["dev"]["no_answer_f1"].is_number(), "{result}");
}

#[test]
fn a_model_that_cannot_be_scored_is_kept() {
    let place = Place::new();
    place.write("data/RTE/train.tsv", &rte(64, 0, true));
    place.write("data/RTE/dev.tsv", &rte(20, 1000, true));
    let command = format!("finetune --task rte --model model --data data --out out --epochs 1 {FAST}");
    place.ok(&command);
    // The predictions of a second training cannot be written, because a folder has their name.
    for file in ["out/seed-1/result.json", "out/results.json", "out/seed-1/dev-RTE.jsonl"] {
        std::fs::remove_file(place.path(file)).unwrap();
    }
    std::fs::remove_dir_all(place.path("out/seed-1/model")).unwrap();
    place.write("out/seed-1/dev-RTE.jsonl/file", "");
    let output = place.run(&command);
    assert!(!output.status.success());
    let said = text(&output);
    assert!(
        said.contains("the fine-tuned model is kept in") && said.contains("fnlm predict --model"),
        "{said}"
    );
    let predicted = place.ok("predict --model out/seed-1/model --input data/RTE/dev.tsv --out again.jsonl");
    assert_eq!(lines(&place.path("again.jsonl")).len(), 20, "{}", text(&predicted));
}

#[test]
fn what_is_wrong_is_said() {
    let place = Place::new();
    place.write("data/RTE/train.tsv", &rte(32, 0, true));
    place.write("data/RTE/dev.tsv", &rte(20, 1000, true));
    let run = |task: &str, data: &str| {
        format!(
            "finetune --task {task} --model model --data {data} --out out-{task}-{data} --epochs 1 {FAST}"
        )
    };
    place.fails(&run("tre", "data"), 2, &["no task `tre`", "CoLA"]);
    place.fails(&run("ax", "data"), 2, &["AX has no training set", "MNLI"]);
    place.fails(&run("cola", "data"), 3, &["train.tsv"]);
    place.fails(&run("rte", "data").replace("--length 16", "--length 99"), 2, &["16 positions", "--length"]);
    place.fails(&format!("{} --set layer_dcay=1", run("rte", "data")), 2, &["layer_dcay", "did you mean"]);
    place.fails(&format!("{} --set dtype=f8", run("rte", "data")), 2, &["dtype", "bf16"]);
    place.fails(&format!("{} --lr 0", run("rte", "data").replace("--lr 5e-3", "")), 2, &["lr", "above 0"]);
    for (name, dev, parts) in [
        (
            "label",
            "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tperhaps\n",
            &["line 2", "perhaps", "entailment"][..],
        ),
        ("columns", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\n", &["line 2", "3 columns", "expected 4"]),
        ("none", "index\tsentence1\tsentence2\n0\ta\tb\n", &["label"]),
        ("empty", "", &["dev.tsv"]),
    ] {
        place.write(&format!("{name}/RTE/train.tsv"), &rte(32, 0, true));
        place.write(&format!("{name}/RTE/dev.tsv"), dev);
        place.fails(&run("rte", name), 3, parts);
    }
    let score = |file: &str| format!("score --task rte --data data --predictions {file}");
    let rows = |range: std::ops::Range<usize>| {
        range.fold("index\tprediction\n".to_owned(), |out, row| out + &format!("{row}\tentailment\n"))
    };
    place.write("good.tsv", &rows(0..20));
    place.ok(&score("good.tsv"));
    place.write("short.tsv", &rows(0..18));
    place.fails(&score("short.tsv"), 3, &["short.tsv", "18"]);
    place.write("long.tsv", &rows(0..22));
    place.fails(&score("long.tsv"), 3, &["long.tsv", "20"]);
    place.write("twice.tsv", &(rows(0..20) + "3\tentailment\n"));
    place.fails(&score("twice.tsv"), 3, &["twice.tsv", "3"]);
    place.write("other.tsv", &rows(0..20).replace("\n7\tentailment", "\n7\tmaybe"));
    place.fails(&score("other.tsv"), 3, &["maybe"]);
    place.fails(&score("nothing.tsv"), 3, &["nothing.tsv"]);

    place.write("dev.json", &squad("1.1", 3, 0));
    place.write("answers.json", "{\"q0\": \"waa\", \"other\": \"x\"}");
    let output = place.ok("score --task squad --input dev.json --predictions answers.json");
    let shown = text(&output);
    assert!(shown.contains("2 questions without prediction score 0") && shown.contains("`other`"), "{shown}");
    // A misplaced answer and an empty context are counted and left out of training.
    let train = squad("1.1", 40, 0).replacen("\"answer_start\":", "\"answer_start\":9", 1);
    let blank = r#"{"context":" ","qas":[{"id":"blank","question":"wab","answers":[]}]}"#;
    place.write("train.json", &train.replacen("\"paragraphs\":[", &format!("\"paragraphs\":[{blank},"), 1));
    let learn = |train: &str, dev: &str| {
        format!(
            "squad --model model --train {train} --dev {dev} --out squad-{train} --epochs 1 {FAST} --question-length 4 --stride 4"
        )
    };
    let shown = text(&place.ok(&learn("train.json", "dev.json")));
    assert!(shown.contains("1 answers do not occur at their `answer_start`"), "{shown}");
    assert!(shown.contains("1 paragraphs have no text") && shown.contains("left out of training"), "{shown}");
    place.write("twice.json", &squad("1.1", 2, 0).replace("q1", "q0"));
    place.fails(
        &learn("train.json", "twice.json").replace("--out squad", "--out again"),
        3,
        &["twice.json", "`q0` twice"],
    );
    place.write("cut.json", &squad("1.1", 2, 0)[..60]);
    place.fails(&learn("cut.json", "dev.json"), 3, &["cut.json"]);
    place.write("answers.json", "{\"q0\": 3}");
    place.fails(
        "score --task squad --input dev.json --predictions answers.json",
        3,
        &["answers.json", "line 1"],
    );
    place.fails("predict --model model wab", 2, &["--task"]);
    place.fails("predict --model model --task rte wab wac", 3, &["fine-tuned for RTE"]);
}

#[test]
fn a_hugging_face_model_is_imported_and_pre_training_continues_from_it() {
    let place = Place::new();
    // Only the discriminator, as published: a new generator is initialised and reported.
    let shown = text(&place.ok("import model --out imported"));
    assert!(shown.contains("ELECTRA: 2 layers of 24") && shown.contains("a discriminator alone"), "{shown}");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "generator/config.json"] {
        assert!(place.path(&format!("imported/{file}")).exists(), "{file}");
    }
    place.fails("import model --out imported", 2, &["not empty"]);
    let corpus: Vec<String> = (0..200).map(|n| sentence(n, None)).collect();
    place.write("corpus.txt", &corpus.join("\n\n"));
    let output = place.ok(
        "pretrain --init imported --train corpus.txt --tokenizer imported --run run --steps 3 --batch 4 --length 16 --set eval.every=0",
    );
    assert!(text(&output).contains("imported/model.safetensors"), "{}", text(&output));
    assert_eq!(place.json("run/model/config.json")["hidden_size"], 24);
    // The same from a PyTorch file with BERT's older names, whose vocabulary is another.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bin_tiny/zip");
    let shown = text(&place.ok(&format!("import {}", golden.display())));
    assert!(shown.contains("BERT: ") && shown.contains("pytorch_model.bin"), "{shown}");
    place.fails("import corpus.txt", 3, &["config.json"]);
}
