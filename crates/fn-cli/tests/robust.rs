//! Tests of `fnlm robust` with the real binary, on a tiny model and generated data.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

/// The n-th word of the vocabulary.
fn name(n: usize) -> String {
    let letter = |i: usize| (b'a' + i as u8) as char;
    format!("w{}{}", letter(n / 26), letter(n % 26))
}

fn sentence(seed: usize, with: Option<&str>) -> String {
    let mut words: Vec<String> = (0..4 + seed % 4).map(|i| name(2 + (seed * 31 + i * 17) % 45)).collect();
    if let Some(with) = with {
        let at = seed % words.len();
        words[at] = with.to_owned();
    }
    words.join(" ")
}

/// RTE: entailed if the first sentence holds the word `waa`.
fn rte(rows: usize, from: usize) -> String {
    let mut out = "index\tsentence1\tsentence2\tlabel\n".to_owned();
    for row in from..from + rows {
        // The label cannot be inferred from the length of the sentence or from the second sentence.
        let entailed = (row / 4).is_multiple_of(2);
        let label = if entailed { "entailment" } else { "not_entailment" };
        let first = sentence(row, entailed.then_some("waa"));
        writeln!(out, "{row}\t{first}\twab\t{label}").unwrap();
    }
    out
}

/// SQuAD: the answer to "wab" is `waa`.
fn squad(rows: usize, from: usize) -> String {
    let paragraph = |n: usize| {
        let context = sentence(n, Some("waa"));
        let answers = json!([{"text": "waa", "answer_start": context.find("waa").unwrap()}]);
        json!({"context": context, "qas": [{"id": format!("q{n}"), "question": "wab", "answers": answers}]})
    };
    let paragraphs: Vec<Value> = (from..from + rows).map(paragraph).collect();
    json!({"version": "1.1", "data": [{"title": "T", "paragraphs": paragraphs}]}).to_string()
}

struct Place(tempfile::TempDir);

impl Place {
    /// A sandbox with an encoder in `model/`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny");
        let place = Self(dir);
        std::fs::create_dir(place.path("model")).unwrap();
        for file in ["model.safetensors", "config.json"] {
            std::fs::copy(golden.join(file), place.path("model").join(file)).unwrap();
        }
        let words: Vec<String> = (0..51).map(name).collect();
        let special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
        place.write("model/vocab.txt", &format!("{special}{}\n", words.join("\n")));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Exit code, and standard output with standard error.
    fn run(&self, command: &str) -> (i32, String) {
        let mut program = Command::cargo_bin("fnlm").unwrap();
        let program = program.current_dir(self.0.path()).env("NO_COLOR", "1").env("CI", "1");
        let output = program.args(command.split_whitespace()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn ok(&self, command: &str) -> String {
        let (code, text) = self.run(command);
        assert_eq!(code, 0, "{command}\n{text}");
        text
    }

    fn fails(&self, command: &str, code: i32, parts: &[&str]) {
        let (found, text) = self.run(command);
        assert_eq!(found, code, "{command}\n{text}");
        for part in parts {
            assert!(text.contains(part), "{command}: no {part:?} in\n{text}");
        }
    }
}

const FAST: &str = "--length 16 --recipe transformers --lr 5e-3 --batch 16";

#[test]
fn typos_lower_the_score_and_capitals_do_not() {
    let place = Place::new();
    place.write("data/RTE/train.tsv", &rte(320, 0));
    place.write("data/RTE/dev.tsv", &rte(60, 1000));
    place.ok(&format!("finetune --task rte --model model --data data --out rte --epochs 6 {FAST}"));
    let command = "robust --task rte --data data --model rte/seed-1/model --out out --kinds typos,case --rate 1 --resamples 200";
    let shown = place.ok(command);
    assert!(shown.contains("original") && shown.contains("95 % interval"), "{shown}");
    // The tokenizer lower-cases text, so nothing changes for the model.
    assert!(shown.contains("The interval contains 0 for case"), "{shown}");
    let results: Value = serde_json::from_str(&place.read("out/robust.json")).unwrap();
    let (typos, case) = (&results["rows"][0], &results["rows"][1]);
    let figure = |row: &Value, name: &str| row[name].as_f64().unwrap();
    assert!(figure(typos, "original") > 0.9 && figure(typos, "drop") > 0.2, "{results:#}");
    assert!(figure(typos, "low") > 0.0 && figure(typos, "changed") == 1.0, "{results:#}");
    assert_eq!((figure(case, "drop"), figure(case, "low"), figure(case, "high")), (0.0, 0.0, 0.0));
    assert_eq!(case["examples"], 60);

    // Scoring the written set separately gives the same score.
    place.ok("predict --model rte/seed-1/model --data out/typos --split dev --out p.jsonl");
    let score = place.ok("score --task rte --data out/typos --predictions p.jsonl --json");
    let score: Value = serde_json::from_str(&score).unwrap();
    assert_eq!(score["accuracy"], typos["score"]);

    // A repetition gives the same results; other settings are an error, and the results are kept.
    let before = (place.read("out/robust.json"), place.read("out/typos/dev.tsv"));
    place.ok(command);
    place.fails(
        &command.replace("--rate 1", "--rate 0.5"),
        2,
        &["before: rate = 1.0, now: rate = 0.5", "--out"],
    );
    let only_files = "robust --task rte --data data --out out --kinds typos --rate 0.5";
    place.fails(only_files, 2, &["out/typos/dev.tsv holds a different set", "nothing was written"]);
    assert_eq!(before, (place.read("out/robust.json"), place.read("out/typos/dev.tsv")));
    place.write("data/QNLI/dev.tsv", &rte(4, 0).replace("sentence1\tsentence2", "question\tsentence"));
    let other = command.replace("--task rte", "--task qnli").replace("--out out", "--out other");
    place.fails(&other, 2, &["was fine-tuned for RTE", "qnli"]);
    assert!(!place.path("other").exists());
}

#[test]
fn squad_questions_are_perturbed_answered_and_compared() {
    let place = Place::new();
    place.write("train.json", &squad(300, 0));
    place.write("dev.json", &squad(40, 1000));
    place.ok(&format!(
        "squad --model model --train train.json --dev dev.json --out squad --epochs 6 {FAST} --question-length 4 --stride 4"
    ));
    let shown = place.ok(
        "robust --task squad --input dev.json --model squad/seed-1/model --out out --kinds case,distractor --limit 30 --markdown",
    );
    assert!(shown.contains("| original | 30 |") && shown.contains("| distractor | 30 | 0.00 |"), "{shown}");
    // "wab" has no question phrase and no name, so no distractor can be made.
    assert!(shown.contains("The interval contains 0 for case, distractor"), "{shown}");
    assert!(shown.contains("warning: `distractor` changed none"), "{shown}");
    let results: Value = serde_json::from_str(&place.read("out/robust.json")).unwrap();
    assert!(results["rows"][0]["original"].as_f64().unwrap() > 0.5, "{results:#}");
    assert!(place.read("out/case/dev.json").contains("WAB"));
    place.fails("robust --task squad --data . --out x", 2, &["--input"]);
    place.fails(
        "robust --task squad --input dev.json --out x --kinds entities --force",
        2,
        &["cannot be applied to SQuAD", "distractor"],
    );
}

#[test]
fn errors_are_reported_before_anything_is_written() {
    let place = Place::new();
    place.write("data/CoLA/dev.tsv", "x\t1\t\tThey do not go to Rome.\nx\t0\t*\tIn was Paris he not.\n");
    place.write("data/RTE/dev.tsv", &rte(6, 0));
    let cola = |more: &str| format!("robust --task cola --data data --out out {more}");
    place.fails(&cola("--kinds typo"), 2, &["\"typo\"", "typos, swaps, ocr"]);
    place.fails(&cola("--kinds typos"), 2, &["CoLA", "case, contractions, entities", "--force"]);
    place.fails(&cola("--kinds distractor --force"), 2, &["cannot be applied to CoLA"]);
    place.fails(&cola("--rate 0"), 2, &["share of words", "0.1"]);
    place.fails(&cola("--limit 0"), 2, &["--limit"]);
    place.fails("robust --task rte --data data --out out --kinds synonyms", 2, &["--wordnet"]);
    place.fails("robust --task mrpc --data data --out out", 3, &["dev.tsv"]);
    place.fails(&cola("--model model"), 3, &["fine-tuned for CoLA"]);
    assert!(!place.path("out").exists());

    // Without a model only files are written: all kinds that keep the labels, in four columns without a header.
    place.ok(&cola(""));
    let mut kinds: Vec<String> = std::fs::read_dir(place.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["case", "contractions", "entities"]);
    assert_eq!(
        place.read("out/contractions/dev.tsv"),
        "x\t1\t\tThey don't go to Rome.\nx\t0\t*\tIn was Paris he not.\n"
    );
    assert_eq!(place.read("out/entities/dev.tsv").lines().next(), Some("x\t1\t\tThey do not go to Paris."));
    place.ok(&cola("--kinds typos --force"));
    let wordnet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fn-data/tests/wordnet_tiny");
    place.ok(&format!("robust --task rte --data data --out rte --wordnet {}", wordnet.display()));
    assert!(place.path("rte/synonyms/dev.tsv").exists());
}

/// The official table of STS-B, with columns that are not read.
const STSB: &str = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\r\n\
    0\tmain-news\theadlines\t2016\t0007\tnone\t\tdo not go\tthe red dog\t4\r\n\
    \r\n\
    1\tmain-captions\tMSRvid\t2012\t  8\tn/a\tx y\the is here\tdo not stop\t3.50\r\n\
    2\tmain-captions\tMSRvid\t2012\t9\t-\t-\tnothing\tnothing at all\t0.000";

#[test]
fn a_copy_differs_only_in_its_sentences() {
    let place = Place::new();
    place.write("data/STS-B/dev.tsv", STSB);
    let contractions = "--kinds contractions --rate 1";
    place.ok(&format!("robust --task sts-b --data data --out out {contractions}"));
    let wanted = STSB.replace("do not", "don't");
    assert_eq!(wanted.matches("don't").count(), 2);
    assert_eq!(place.read("out/contractions/dev.tsv"), wanted);
    // With --limit the copy ends after the last example, and lines between examples are kept.
    place.ok(&format!("robust --task sts-b --data data --out two {contractions} --limit 2"));
    let two: String = wanted.split_inclusive('\n').take(4).collect();
    assert_eq!(place.read("two/contractions/dev.tsv"), two);

    // MNLI: rows without an agreed label are skipped by the reader, but kept in the copy.
    let mnli = "sentence1\tnote\tsentence2\tgold_label\ndo not\tdo not\tb\tneutral\ndo not\t-\tb\t-\nc\t\tdo not\tneutral\n";
    place.write("m.tsv", mnli);
    place.ok(&format!("robust --task mnli --input m.tsv --out m {contractions}"));
    let wanted = "sentence1\tnote\tsentence2\tgold_label\ndon't\tdo not\tb\tneutral\ndo not\t-\tb\t-\nc\t\tdon't\tneutral\n";
    assert_eq!(place.read("m/contractions/dev_matched.tsv"), wanted);

    // JSON lines keep the file name, fields, white space and numbers; QNLI's two sentences are `question` and `sentence`.
    let hub = r#"{"idx": 1.0,  "sentence":"do not \u00e9", "more": {"question": "do not"}, "question" : "é", "label": 0}"#;
    place.write("h/validation.jsonl", &format!("{hub}\n"));
    place.ok(&format!("robust --task qnli --data h --out h-out {contractions}"));
    let wanted = hub.replace(r#""do not \u00e9""#, r#""don't é""#);
    assert_eq!(place.read("h-out/contractions/validation.jsonl"), format!("{wanted}\n"));
    place
        .write("tags.toml", "type = \"tag\"\nfirst = \"words\"\nlabel = \"tags\"\nlabels = [\"O\", \"B\"]\n");
    place.write("tags/dev.jsonl", "{\"tags\": [0, 1], \"words\": [\"they\", \"go\"], \"n\": 1e3}\n");
    place.ok("robust --task tags.toml --data tags --out t --kinds case --rate 1");
    assert_eq!(
        place.read("t/case/dev.jsonl"),
        "{\"tags\": [0, 1], \"words\": [\"THEY\",\"GO\"], \"n\": 1e3}\n"
    );
}
