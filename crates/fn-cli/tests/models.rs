//! Tests of `fnlm inspect`, `data` and `tokenizer` on tiny random models and texts.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop
#![cfg(feature = "flex")]

use std::path::Path;

use assert_cmd::Command;
use burn::tensor::Device;
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{save_bert, save_electra};
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, EncoderConfig};
use serde_json::Value;

const WORDS: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "she", "felt", "happy", "glad", "sad", "today", ".", "the",
    "dog", "ran",
];

fn fnlm(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("fnlm").unwrap();
    let output =
        command.current_dir(dir).env("NO_COLOR", "1").env("CI", "1").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{arguments:?}: {err}");
    (output.status.code().unwrap(), out, err)
}

fn shape() -> EncoderConfig {
    EncoderConfig {
        vocab_size: WORDS.len(),
        embedding_size: 8,
        hidden_size: 8,
        num_layers: 1,
        num_heads: 2,
        intermediate_size: 16,
        max_positions: 16,
        ..EncoderConfig::default()
    }
}

/// A folder with vocab.txt, w.safetensors and the models `electra` and `bert` with random weights.
fn workshop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("vocab.txt"), WORDS.join("\n") + "\n").unwrap();
    let tokenizer = TextTokenizer::load(&at("vocab.txt")).unwrap();
    let info = LexiconInfo {
        kind: "test".into(),
        vocabulary_sha256: tokenizer.sha256().into(),
        note: String::new(),
    };
    // All words but "happy" itself are synonyms of "happy".
    let all: Vec<u32> = (5..WORDS.len() as u32).collect();
    Lexicon::from_rows(WORDS.len(), [(7, all)], info).unwrap().save(&at("w.safetensors")).unwrap();
    let device = Device::flex();
    let config = ElectraConfig::new(shape(), 0.5, 1.0);
    save_electra(&at("electra"), &Electra::init(&config, 1, &device), &config).unwrap();
    let config = BertConfig::new(shape());
    save_bert(&at("bert"), &BertForPreTraining::init(&config, 1, &device), &config).unwrap();
    for model in ["electra", "bert"] {
        tokenizer.save(&at(model)).unwrap();
    }
    dir
}

#[test]
fn predictions_are_judged_by_the_lexicon() {
    let dir = workshop();
    for model in ["electra", "bert"] {
        let arguments = [
            "inspect",
            "--model",
            model,
            "--lexicon",
            "w.safetensors",
            "--gold",
            "happy",
            "-k",
            "20",
            "--json",
            "she felt [MASK] today .",
        ];
        let (code, out, err) = fnlm(dir.path(), &arguments);
        assert_eq!(code, 0, "{err}");
        let found: Value = serde_json::from_str(&out).unwrap();
        let gap = &found[0]["gaps"][0];
        assert_eq!((gap["position"].as_u64(), gap["gold"].as_str()), (Some(3), Some("happy")));
        let predictions = gap["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), WORDS.len());
        let sum: f64 = predictions.iter().map(|p| p["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        for prediction in predictions {
            let want = match prediction["piece"].as_str().unwrap() {
                "happy" => "gold",
                special if special.starts_with('[') => "negative",
                _ => "false-negative",
            };
            assert_eq!(prediction["verdict"], want, "{prediction}");
        }
        let replaced = &found[0]["replaced"];
        if model == "electra" {
            assert_eq!(replaced.as_array().unwrap().len(), 7);
            assert_eq!(replaced[3]["filled"], true);
        } else {
            assert!(replaced.is_null());
        }
    }
}

#[test]
fn electra_gives_the_probability_that_each_token_was_replaced() {
    let dir = workshop();
    let (code, out, err) = fnlm(dir.path(), &["inspect", "--model", "electra", "the dog ran"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("probability that a token was replaced"), "{out}");
    std::fs::remove_dir_all(dir.path().join("electra/generator")).unwrap();
    let (code, out, err) = fnlm(dir.path(), &["inspect", "--model", "electra", "the dog ran"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("probability that a token was replaced"), "{out}");
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "electra", "the [MASK] ran"]);
    assert_eq!(code, 3);
    assert!(err.contains("cannot fill [MASK]"), "{err}");
}

#[test]
fn a_page_colours_every_token_once() {
    let dir = workshop();
    std::fs::write(dir.path().join("texts.txt"), "she felt happy today .\n\nthe dog ran .\nleft out\n")
        .unwrap();
    for (model, words) in
        [("electra", ["replaced and", "original"]), ("bert", ["predicted wrong", "original"])]
    {
        let arguments = [
            "inspect",
            "--model",
            model,
            "-l",
            "w.safetensors",
            "--file",
            "texts.txt",
            "--lines",
            "2",
            "--html",
            "page.html",
            "--force",
        ];
        let page = |more: &[&str]| {
            let (code, out, err) = fnlm(dir.path(), &[&arguments[..], more].concat());
            assert!(code == 0 && out.is_empty(), "{out}{err}");
            std::fs::read_to_string(dir.path().join("page.html")).unwrap()
        };
        let first = page(&["--rate", "0.5"]);
        assert_eq!(first.matches("<p class=\"text\">").count(), 2);
        // The legend contains spans as well.
        let rows = first.matches("<tr><td>").count() - first.matches("<tr><td><span").count();
        assert_eq!(rows, 9, "{first}");
        assert!(words.iter().all(|word| first.contains(word)), "{first}");
        // Half of 5 pieces is 3 (2.5, rounded), half of 4 is 2.
        let predicted = |line: &&str| line.split("</td><td>").nth(2).is_some_and(|p| p.starts_with("0."));
        assert_eq!(first.lines().filter(predicted).count(), 5, "{first}");
        assert!(first.matches("<sub>0.").count() >= 5 && !first.contains("title="), "{first}");
        assert!(!first.contains("<script") && !first.contains("src="));
        assert_eq!(page(&["--rate", "0.5"]), first);
        assert_ne!(page(&["--rate", "0.5", "--seed", "2"]), first);
    }
    std::fs::write(dir.path().join("page.html"), "mine").unwrap();
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", "--html", "page.html", "a"]);
    assert!(code == 2 && err.contains("page.html exists") && err.contains("--force"), "{err}");
    assert_eq!(std::fs::read_to_string(dir.path().join("page.html")).unwrap(), "mine");
    let (code, _, err) =
        fnlm(dir.path(), &["inspect", "--model", "bert", "--html", "p.html", "--rate", "1", "a"]);
    assert!(code == 2 && err.contains("--rate is 1"), "{err}");
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", "--file", "nowhere.txt"]);
    assert!(code == 3 && err.contains("nowhere.txt"), "{err}");
}

#[test]
fn multiple_choice_agrees_with_the_probabilities_of_inspect() {
    let dir = workshop();
    let inspect = |model: &str, text: &str| -> Value {
        let (code, out, err) = fnlm(dir.path(), &["inspect", "--model", model, "-k", "20", "--json", text]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    };
    // The expected choice of each scorer between the two words; 1 for the first.
    let probability = |model: &str, word: &str| {
        let found = inspect(model, "she felt [MASK] today .");
        let all = found[0]["gaps"][0]["predictions"].as_array().unwrap().clone();
        all.iter().find(|p| p["piece"] == word).unwrap()["probability"].as_f64().unwrap()
    };
    let replaced = |word: &str| {
        inspect("electra", &format!("she felt {word} today ."))[0]["replaced"][3]["probability"]
            .as_f64()
            .unwrap()
    };
    let first = |yes: bool| if yes { 1.0 } else { 0.0 };
    let expected = [
        ("bert", "masked LM", first(probability("bert", "happy") >= probability("bert", "dog"))),
        ("electra", "generator", first(probability("electra", "happy") >= probability("electra", "dog"))),
        ("electra", "discriminator", first(replaced("happy") <= replaced("dog"))),
    ];
    std::fs::create_dir(dir.path().join("questions")).unwrap();
    let question = r#"{"answerKey":"A","id":"1","question":{"choices":[{"label":"A","text":"happy"},{"label":"B","text":"dog"}],"stem":"she felt [MASK] today ."}}"#;
    std::fs::write(dir.path().join("questions/feel.jsonl"), question).unwrap();
    for (model, scorer, accuracy) in expected {
        let (code, out, err) =
            fnlm(dir.path(), &["probe", "olmpics", "--model", model, "--json", "questions"]);
        assert_eq!(code, 0, "{err}");
        let rows: Value = serde_json::from_str(&out).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["scorer"] == scorer).unwrap().clone();
        assert_eq!((row["accuracy"].as_f64(), row["chance"].as_f64()), (Some(accuracy), Some(0.5)), "{row}");
    }
    std::fs::write(dir.path().join("bad.jsonl"), question.replace("[MASK]", "so")).unwrap();
    let (code, _, err) = fnlm(dir.path(), &["probe", "olmpics", "--model", "bert", "bad.jsonl"]);
    assert!(code == 3 && err.contains("bad.jsonl: line 1") && err.contains("0 [MASK]"), "{err}");
    let (code, _, err) = fnlm(dir.path(), &["probe", "olmpics", "--model", "bert", "electra"]);
    assert!(code == 3 && err.contains("no .jsonl file"), "{err}");
}

#[test]
fn inspect_and_olmpics_of_a_fine_tuned_model_are_errors() {
    let dir = workshop();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/task_tiny");
    std::fs::write(dir.path().join("q.jsonl"), "").unwrap();
    for model in ["bert_classifier", "electra_classifier"] {
        let model = golden.join(model).to_string_lossy().into_owned();
        let model = ["--model", &model, "--tokenizer", "vocab.txt"];
        for what in [&["inspect", "she felt [MASK] ."][..], &["probe", "olmpics", "q.jsonl"]] {
            let (code, _, err) = fnlm(dir.path(), &[what, &model[..]].concat());
            assert!(code == 3 && err.contains("no weights of a masked-LM head"), "{what:?}: {err}");
        }
    }
}

#[test]
fn synonyms_of_the_token_table_are_compared() {
    let dir = workshop();
    let net = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fn-data/tests/wordnet_tiny");
    let net = net.to_str().unwrap();
    let (code, out, err) =
        fnlm(dir.path(), &["probe", "embeddings", "--model", "bert", "--wordnet", net, "--json"]);
    assert_eq!(code, 0, "{err}");
    let found: Value = serde_json::from_str(&out).unwrap();
    // happy, glad
    assert_eq!(found["cosines"][0]["count"], 1);
    let cosine = found["cosines"][0]["mean"].as_f64().unwrap();
    assert!((-1.0..=1.0).contains(&cosine) && found["norm"].as_f64().unwrap() > 0.0, "{found}");
    let (code, out, _) = fnlm(dir.path(), &["probe", "embeddings", "--model", "electra", "--wordnet", net]);
    assert!(code == 0 && out.contains("synonyms over antonyms"), "{out}");
}

#[test]
fn a_tokenizer_lexicon_or_text_that_does_not_fit_the_model_is_an_error() {
    let dir = workshop();
    let long = "dog ".repeat(40);
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", &long]);
    assert_eq!(code, 2);
    assert!(err.contains("at most 16"), "{err}");
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", "--gold", "dog", "no gap"]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", "--gold", "elephant", "a [MASK]"]);
    assert_eq!(code, 2, "{err}");

    std::fs::write(dir.path().join("more.txt"), WORDS.join("\n") + "\nextra\n").unwrap();
    let (code, _, err) =
        fnlm(dir.path(), &["inspect", "--model", "bert", "--tokenizer", "more.txt", "a [MASK]"]);
    assert_eq!(code, 3);
    assert!(err.contains("16 pieces") && err.contains("only 15"), "{err}");

    let weights = dir.path().join("bert/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", "a [MASK]"]);
    assert_eq!(code, 3);
    assert!(err.contains("model.safetensors"), "{err}");
    std::fs::write(dir.path().join("bert/config.json"), "{\"model_type\": \"gpt2\"}").unwrap();
    let (code, _, err) = fnlm(dir.path(), &["inspect", "--model", "bert", "a [MASK]"]);
    assert_eq!(code, 3);
    assert!(err.contains("gpt2"), "{err}");
}

#[test]
fn rows_are_shown_with_marks_and_prepared_once() {
    let dir = workshop();
    std::fs::write(dir.path().join("text.txt"), "she felt happy today .\nthe dog ran .\n\n".repeat(50))
        .unwrap();
    let flags = ["--train", "text.txt", "--tokenizer", "vocab.txt", "--length", "16"];
    let (code, out, err) = fnlm(dir.path(), &[&["data", "inspect", "-n", "2"], &flags[..]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("row 1: ") && out.contains("row 2: ") && !out.contains("row 3: "), "{out}");
    assert!(out.contains("[CLS]") && out.contains('{'), "{out}");
    let again = fnlm(dir.path(), &[&["data", "inspect", "-n", "2"], &flags[..]].concat());
    assert_eq!(again.1, out, "the same seed and step give the same marks");

    let (code, first, err) = fnlm(dir.path(), &[&["data", "prepare"], &flags[..]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(first.contains("MB/s") && first.contains("50 documents"), "{first}");
    let (_, second, _) = fnlm(dir.path(), &[&["data", "prepare"], &flags[..]].concat());
    assert!(second.contains("prepared before"), "{second}");
}

#[test]
fn errors_in_text_name_file_and_line() {
    let dir = workshop();
    let prepare = |name: &str| {
        let (code, _, err) = fnlm(
            dir.path(),
            &["data", "prepare", "--train", name, "--tokenizer", "vocab.txt", "--length", "16"],
        );
        assert_eq!(code, 3, "{err}");
        assert!(err.contains(name), "{err}");
        err
    };
    prepare("none.txt");
    std::fs::write(dir.path().join("empty.txt"), "").unwrap();
    prepare("empty.txt");
    std::fs::write(dir.path().join("latin1.txt"), b"fine\nca\xe9 \n").unwrap();
    assert!(prepare("latin1.txt").contains("line 2"));
    std::fs::write(dir.path().join("cut.txt.gz"), [0x1f, 0x8b, 8, 0, 0]).unwrap();
    prepare("cut.txt.gz");
}

#[test]
fn a_vocabulary_is_trained_and_can_be_used() {
    let dir = workshop();
    std::fs::write(dir.path().join("text.txt"), "the small dog ran to the small house .\n".repeat(30))
        .unwrap();
    let (code, out, err) =
        fnlm(dir.path(), &["tokenizer", "train", "text.txt", "--out", "tok", "--size", "120"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("30 documents") || out.contains("1 documents"), "{out}");
    let flags = ["data", "inspect", "-n", "1", "--train", "text.txt", "--tokenizer", "tok", "--length", "16"];
    let (code, out, err) = fnlm(dir.path(), &flags);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("small"), "{out}");
    let (code, _, err) = fnlm(dir.path(), &["tokenizer", "train", "text.txt", "--out", "tok", "--size", "3"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_model_folder_is_trained_further_with_what_it_determines() {
    let dir = workshop();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("text.txt"), "she felt happy today .\n\nthe dog ran today .\n\n".repeat(60)).unwrap();
    let go = |from: &str, run: &str| {
        let sizes = ["--train", "text.txt", "--steps", "3", "--batch", "2", "--set", "checkpoint.every=3"];
        fnlm(dir.path(), &[&["pretrain", "--from", from, "--run", run], sizes.as_slice()].concat())
    };
    let (code, out, err) = go("bert", "b");
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "b/model\n");
    let said = "going on with bert: BERT, masked language modelling, rows of 16 tokens, tokenizer of bert";
    assert!(err.contains(said), "{err}");
    let (_, shown, _) = fnlm(dir.path(), &["config", "show", "--from", "bert", "--origin"]);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(
        line("model.arch").contains("\"bert\"") && line("model.arch").ends_with("--from bert"),
        "{shown}"
    );
    assert!(line("corruption.scheme").contains("\"bert\""), "{shown}");
    assert!(line("schedule.lr").ends_with("preset continued"), "{shown}");

    let (code, _, err) = go("electra", "e");
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("ELECTRA, replaced-token detection"), "{err}");
    // A masked language model becomes generator and discriminator if that is asked for; how it was before is measured.
    let asked = "pretrain --from bert --run rtd --train text.txt --held-out text.txt --steps 3 --batch 2";
    let asked: Vec<&str> = asked.split(' ').chain(["--set", "model.arch=electra"]).collect();
    let (code, _, err) = fnlm(dir.path(), &asked);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("ELECTRA, replaced-token detection"), "{err}");
    assert!(err.contains("generator and discriminator both start from it"), "{err}");
    let config = std::fs::read_to_string(at("rtd/config.toml")).unwrap();
    assert!(config.contains("scheme = \"electra\""), "{config}");
    let metrics = std::fs::read_to_string(at("rtd/metrics.jsonl")).unwrap();
    let evaluated: Vec<&str> = metrics.lines().filter(|line| line.contains("\"evaluation\"")).collect();
    assert!(evaluated.len() == 2 && evaluated[0].contains("\"step\":0"), "{metrics}");
    let state = std::fs::read_to_string(at("rtd/checkpoints/step-00000003/state.json")).unwrap();
    assert!(!state.contains("\"step\": 0"), "the model of before is no candidate for the best: {state}");
    // Without held-out text every bit of the training is the same.
    let plain: Vec<&str> = asked
        .iter()
        .copied()
        .filter(|word| *word != "--held-out")
        .map(|w| if w == "rtd" { "plain" } else { w })
        .collect();
    let twice = plain.iter().position(|word| *word == "text.txt").unwrap();
    let plain = [&plain[..twice], &plain[twice + 1..]].concat();
    assert_eq!(fnlm(dir.path(), &plain).0, 0);
    let weights = |run: &str| std::fs::read(at(run).join("model/model.safetensors")).unwrap();
    assert!(weights("rtd") == weights("plain"));

    // A run directory stands for the model that it exported, with its tokenizer; in --model as well.
    let (code, out, err) = go("e", "e2");
    assert_eq!((code, out.as_str()), (0, "e2/model\n"), "{err}");
    let (code, out, err) = fnlm(dir.path(), &["inspect", "--model", "e", "she felt [MASK] today"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("[MASK] 1:"), "{out}");

    for file in ["tokenizer.json", "vocab.txt"] {
        std::fs::remove_file(at("bert").join(file)).unwrap();
    }
    let (code, _, err) = go("bert", "c");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("data.tokenizer"), "{err}");
    let (code, _, err) = go("nowhere", "c");
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("--from nowhere") && err.contains("config.json"), "{err}");
    assert!(!at("c").exists());
}

/// A pipe that nobody writes to would be waited for without end.
#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_is_refused() {
    let dir = workshop();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
    assert!(made.success());
    for (code, arguments) in [
        (3, &["inspect", "--model", "bert", "--tokenizer", "pipe", "she felt [MASK]"] as &[&str]),
        (3, &["inspect", "--model", "bert", "--lexicon", "pipe", "she felt [MASK]"]),
        (3, &["lexicon", "show", "--lexicon", "pipe", "--tokenizer", "vocab.txt", "happy"]),
        (3, &["data", "inspect", "-p", "electra-tiny", "--train", "pipe", "--tokenizer", "vocab.txt"]),
        (2, &["pretrain", "-c", "pipe", "--run", "r"]),
        (3, &["score", "--task", "squad", "--input", "pipe", "--predictions", "pipe"]),
    ] {
        let mut command = Command::cargo_bin("fnlm").unwrap();
        command.current_dir(dir.path()).args(arguments).timeout(std::time::Duration::from_secs(60));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains("pipe, socket or device"), "{arguments:?}: {said}");
    }
}
