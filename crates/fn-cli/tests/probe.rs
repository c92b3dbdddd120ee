//! Tests of `fnlm probe` on tiny random models and runs.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop
#![cfg(feature = "flex")]

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::path::Path;

use assert_cmd::Command;
use burn::tensor::Device;
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{save_bert, save_electra};
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, EncoderConfig};
use serde_json::Value;

const WORDS: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "the", "is", "boat", "tub", "bath", "travel",
    "move", "halt", "stop", "leave", "big", "large", "##er", "##s",
];

/// A folder with the models `electra` and `bert` with random weights.
fn workshop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let pieces = WORDS.iter().map(|&word| word.to_owned()).collect();
    let tokenizer = TextTokenizer::from_vocab(pieces, true).unwrap();
    let device = Device::flex();
    let shape = EncoderConfig {
        vocab_size: WORDS.len(),
        embedding_size: 8,
        hidden_size: 8,
        num_layers: 1,
        num_heads: 2,
        intermediate_size: 16,
        max_positions: 16,
        ..EncoderConfig::default()
    };
    let config = ElectraConfig::new(shape.clone(), 0.5, 1.0);
    save_electra(&dir.path().join("electra"), &Electra::init(&config, 1, &device), &config).unwrap();
    let config = BertConfig::new(shape);
    save_bert(&dir.path().join("bert"), &BertForPreTraining::init(&config, 1, &device), &config).unwrap();
    for model in ["electra", "bert"] {
        tokenizer.save(&dir.path().join(model)).unwrap();
    }
    dir
}

fn fnlm(dir: &Path, command: &str) -> (i32, String, String) {
    let mut fnlm = Command::cargo_bin("fnlm").unwrap();
    let output = fnlm
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .env("CI", "1")
        .args(command.split_whitespace())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{command}: {err}");
    (output.status.code().unwrap(), out, err)
}

fn json(dir: &Path, command: &str) -> Value {
    let (code, out, err) = fnlm(dir, command);
    assert_eq!(code, 0, "{command}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn substitutes_are_ranked_and_items_that_cannot_be_scored_are_counted() {
    let dir = workshop();
    // Any candidate is a substitute in the first item, and none is in the second.
    let items = concat!(
        r#"{"text":"the boat is big .","word":"big","at":12,"substitutes":{"large":2}}"#,
        "\n",
        r#"{"text":"the boat is big .","word":"boat","substitutes":{"tub":1},"candidates":["bath"]}"#,
        "\n",
        r#"{"text":"the boat is big .","word":"boat","substitutes":{"tubs":1}}"#,
    );
    std::fs::write(dir.path().join("s.jsonl"), items).unwrap();
    let found = json(dir.path(), "probe substitution --model electra --data s.jsonl --json");
    assert_eq!((&found["items"], &found["left_out"]), (&2.into(), &1.into()));
    for scorer in ["generator", "discriminator"] {
        let score = &found["scores"][scorer];
        assert_eq!((score["gap"].as_f64(), score["p_at_1"].as_f64()), (Some(0.5), Some(0.5)), "{found}");
    }
    let (code, out, err) = fnlm(dir.path(), "probe substitution --model bert --data s.jsonl");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("masked LM") && out.contains("50.0 %"), "{out}");

    std::fs::write(dir.path().join("t.jsonl"), items.lines().last().unwrap()).unwrap();
    let (code, _, err) = fnlm(dir.path(), "probe substitution --model bert --data t.jsonl");
    assert!(code == 3 && err.contains("all 1 items have a candidate"), "{err}");
    std::fs::write(dir.path().join("t.jsonl"), items.replace("\"at\":12", "\"at\":11")).unwrap();
    let (code, _, err) = fnlm(dir.path(), "probe substitution --model bert --data t.jsonl");
    assert!(code == 3 && err.contains("t.jsonl: line 1: found \" big .\" at character 11"), "{err}");
}

#[test]
fn pairs_of_sentences_are_compared_and_their_scores_kept() {
    let dir = workshop();
    std::fs::create_dir(dir.path().join("pairs")).unwrap();
    let same = r#"{"sentence_good":"the boat is big .","sentence_bad":"the boat is big .","field":"syntax","linguistics_term":"order"}"#;
    let long = "the boat is big . ".repeat(4);
    let pairs = format!("{same}\n{{\"sentence_good\":\"a tub .\",\"sentence_bad\":\"{long}\"}}\n{same}\n");
    std::fs::write(dir.path().join("pairs/order_1.jsonl"), &pairs).unwrap();
    let other = r#"{"sentence_good":"the bigger boats stop .","sentence_bad":"boats the stop bigger ."}"#;
    std::fs::write(dir.path().join("turns.jsonl"), other).unwrap();

    let measure = "babylm --model electra --blimp pairs --supplement turns.jsonl --out kept";
    let found = json(dir.path(), &format!("{measure} --json"));
    let groups = found["groups"].as_array().unwrap();
    let named: Vec<&str> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(named, ["BLiMP", "field: syntax", "order", "supplement", "turns"]);
    // A sentence ties with itself: half.
    for kind in ["pseudo-log-likelihood", "within words left to right", "discriminator"] {
        assert_eq!(groups[0]["accuracy"][kind], 0.5, "{found}");
    }
    assert_eq!((&found["sets"][0]["pairs"], &found["sets"][0]["too_long"]), (&2.into(), &1.into()));
    let kept = |name: &str| std::fs::read_to_string(dir.path().join("kept").join(name)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept("report.json")).unwrap(), found);
    let lines: Vec<Value> =
        kept("blimp/order_1.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(lines[0]["good"], lines[0]["bad"]);
    let turns: Value = serde_json::from_str(&kept("supplement/turns.jsonl")).unwrap();
    let scores = |kind: &str| ["good", "bad"].map(|side| turns[side][kind].as_f64().unwrap());
    assert_ne!(scores("pseudo-log-likelihood"), scores("within words left to right"), "boats has two pieces");
    let won = scores("discriminator")[0] > scores("discriminator")[1];
    assert_eq!(groups[4]["accuracy"]["discriminator"], f64::from(u8::from(won)));

    let part = json(dir.path(), "babylm --model bert --blimp pairs --pairs 2 --json");
    assert_eq!(
        part["groups"][0]["pairs"].as_u64().unwrap() + part["sets"][0]["too_long"].as_u64().unwrap(),
        2
    );
    let (code, _, err) = fnlm(dir.path(), measure);
    assert!(code == 2 && err.contains("kept exists") && err.contains("--force"), "{err}");
    let (code, out, err) = fnlm(dir.path(), "babylm --model bert --blimp pairs");
    assert!(
        code == 0 && out.contains("masked LM, pseudo-log-likelihood") && out.contains("50.0 %"),
        "{out}{err}"
    );
    assert!(err.contains("1 pairs have a sentence longer"), "{err}");
    std::fs::write(dir.path().join("turns.jsonl"), "{\"sentence_good\": \"a\"}").unwrap();
    let (code, _, err) = fnlm(dir.path(), "babylm --model bert --supplement turns.jsonl --out other");
    assert!(code == 3 && err.contains("turns.jsonl: line 1") && !dir.path().join("other").exists(), "{err}");
}

#[test]
fn labelled_replacements_are_scored_by_both_heads() {
    let dir = workshop();
    let row = |prediction: &str, labels: &str| {
        format!(
            "{{\"context\":\"the boat is big . a tub is big .\",\"start\":4,\"word\":\"boat\",\"prediction\":\"{prediction}\",\"labels\":{labels}}}\n"
        )
    };
    let rows =
        [row("tub", "[\"F\",\"S\"]"), row("travel", "[\"W\",\"W\"]"), row("bath", "[\"W\",\"W\",\"F\"]")];
    let unread = row("halt", "[]");
    std::fs::write(dir.path().join("l.jsonl"), format!("{}{unread}", rows.concat())).unwrap();
    let found = json(dir.path(), "probe replaced l.jsonl --model electra --length 8 --json");
    let count = |name: &str| found[name].as_u64().unwrap();
    assert_eq!([count("places"), count("wrong"), count("fitting"), count("disputed")], [3, 1, 1, 1]);
    for head in ["generator", "discriminator"] {
        let figures = &found["scores"][head];
        // The three originals are one and the same: all above the wrong replacement, or none.
        assert!(
            ["error_auc", "pairs"].iter().all(|name| [0.0, 1.0].contains(&figures[*name].as_f64().unwrap())),
            "{found}"
        );
        assert_eq!(figures["error_auc"], figures["pairs"], "{found}");
    }
    let record = dir.path().join("r.jsonl");
    let command = format!("probe replaced l.jsonl --model bert --record {}", record.display());
    let (code, out, err) = fnlm(dir.path(), &command);
    assert!(code == 0 && out.contains("1 wrong, 1 fitting") && out.contains("masked LM"), "{out}{err}");
    let records = std::fs::read_to_string(record).unwrap();
    assert!(
        records.contains("{\"figures\":[{\"name\":\"masked LM, originals over wrong, AUC\""),
        "{records}"
    );
    let wrong = row("tub", "[\"F\"]").replace("\"start\":4", "\"start\":5");
    std::fs::write(dir.path().join("l.jsonl"), wrong).unwrap();
    let (code, _, err) = fnlm(dir.path(), "probe replaced l.jsonl --model bert");
    assert!(code == 3 && err.contains("l.jsonl") && err.contains("at character 5"), "{err}");
}

/// A run of 30 steps that keeps two of its three checkpoints.
fn run_with_checkpoints(dir: &Path) {
    let held_out = format!("data.held_out=[{:?}]", common::inputs().join("held-out.txt"));
    let more = [held_out.as_str(), "checkpoint.keep_last=2"];
    let made = common::pretrain(&dir.join("run"), 30, &more).output().unwrap();
    assert!(made.status.success(), "{}", common::text(&made));
    for folder in ["a", "b"] {
        std::fs::create_dir(dir.join(folder)).unwrap();
        let lexicon = common::inputs().join("lexicon.safetensors");
        std::fs::copy(lexicon, dir.join(folder).join("w.safetensors")).unwrap();
    }
}

#[test]
fn errors_are_judged_by_every_judge_and_at_every_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    run_with_checkpoints(dir.path());
    let judges = "-l a/w.safetensors -l b/w.safetensors --verifier run/model --batches 4";
    let found = json(dir.path(), &format!("probe false-negatives run {judges} --json"));
    let wrong = found["wrong"].as_u64().unwrap();
    let said: Vec<(&str, u64)> = found["judges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| (j["judge"].as_str().unwrap(), j["false_negatives"].as_u64().unwrap()))
        .collect();
    assert_eq!(said.iter().map(|j| j.0).collect::<Vec<_>>(), ["a/w.safetensors", "b/w.safetensors", "model"]);
    let [first, second, verifier] = [0, 1, 2].map(|at| said[at].1);
    // A model that judges itself finds what it prefers as good, but where it saw the word; a lexicon does not.
    assert!(
        first == second && verifier > first && verifier > wrong / 2 && verifier <= wrong,
        "{said:?} of {wrong}"
    );
    let agreement = found["agreement"].as_array().unwrap();
    let pairs: Vec<&Value> = agreement.iter().map(|a| &a["judges"][1]).collect();
    assert_eq!(pairs, ["b/w.safetensors", "model", "model"]);
    assert!(agreement.iter().all(|a| a["both"].as_u64().unwrap() <= first), "{found}");
    for (name, count) in &said {
        let of = |group: &Value| group["false_negatives"][*name].as_u64().unwrap();
        assert_eq!(found["frequency"].as_array().unwrap().iter().map(of).sum::<u64>(), *count, "{name}");
    }
    let steps = found["checkpoints"].as_array().unwrap();
    assert_eq!(steps.iter().map(|s| s["step"].as_u64().unwrap()).collect::<Vec<_>>(), [20, 30]);
    assert_eq!(
        (&steps[1]["wrong"], &steps[1]["false_negatives"]["model"]),
        (&wrong.into(), &verifier.into())
    );

    let one =
        json(dir.path(), &format!("probe false-negatives run/checkpoints/step-00000020 {judges} --json"));
    assert_eq!(
        (one["wrong"].clone(), one["checkpoints"].as_array().unwrap().len()),
        (steps[0]["wrong"].clone(), 1)
    );

    // A damaged checkpoint is skipped and named.
    std::fs::write(dir.path().join("run/checkpoints/step-00000020/model.safetensors"), "x").unwrap();
    let (code, out, err) = fnlm(dir.path(), &format!("probe false-negatives run {judges}"));
    assert!(code == 0 && err.contains("skipped") && err.contains("step-00000020"), "{err}");
    assert!(out.contains("1 checkpoint found; the run keeps the last 2"), "{out}");
    assert!(out.contains("by a/w.safetensors") && out.contains("a/w.safetensors and model"), "{out}");
}

#[test]
fn errors_are_exported_in_context_with_empty_labels() {
    let dir = tempfile::tempdir().unwrap();
    run_with_checkpoints(dir.path());
    let export = |more: &str| fnlm(dir.path(), &format!("probe false-negatives run --errors 12 {more}"));
    let read = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (file, more) in [("best.jsonl", ""), ("drawn.jsonl", "--sampled"), ("masked.jsonl", "--rate 0.15")] {
        let (code, out, err) = export(&format!("--export {file} {more}"));
        assert!(code == 0 && out.is_empty(), "{err}");
        assert!(err.contains(&format!("{file}: 12 errors in context")), "{err}");
        let rows = read(file);
        assert_eq!(rows.len(), 12);
        let mut contexts: Vec<&str> = rows.iter().map(|row| row["context"].as_str().unwrap()).collect();
        for row in &rows {
            let (context, word) = (row["context"].as_str().unwrap(), row["word"].as_str().unwrap());
            let from: String = context.chars().skip(row["start"].as_u64().unwrap() as usize).collect();
            assert!(from.starts_with(word), "{row}");
            let prediction = row["prediction"].as_str().unwrap();
            assert!(
                prediction != word.to_lowercase() && prediction.chars().all(char::is_alphabetic),
                "{row}"
            );
            assert!((15..=70).contains(&context.split_whitespace().count()), "{row}");
            let (of_prediction, of_word) =
                (row["p_prediction"].as_f64().unwrap(), row["p_word"].as_f64().unwrap());
            assert!(of_prediction <= 1.0 && of_word <= 1.0, "{row}");
            if more != "--sampled" {
                assert!(of_prediction >= of_word && row["rank_word"].as_u64().unwrap() > 1, "{row}");
            }
            assert_eq!((&row["labels"], &row["domain"]), (&Value::Array(vec![]), &"held-out".into()));
        }
        contexts.sort_unstable();
        contexts.dedup();
        assert_eq!(contexts.len(), 12);
    }
    assert_ne!(read("best.jsonl"), read("drawn.jsonl"));

    let (code, _, err) = export("--export best.jsonl");
    assert!(code == 2 && err.contains("best.jsonl exists") && err.contains("--force"), "{err}");
    let before = read("best.jsonl");
    assert_eq!(export("--export best.jsonl --force").0, 0);
    assert_eq!(before, read("best.jsonl"), "the same seed, the same errors");
    assert_eq!(export("--export other.jsonl --seed 2").0, 0);
    assert_ne!(before, read("other.jsonl"));
    let (code, _, err) = export("--export x.jsonl --rate 1");
    assert!(code == 2 && err.contains("--rate must be"), "{err}");
}

#[test]
fn a_verifier_of_another_vocabulary_and_two_models_are_errors() {
    let dir = workshop();
    run_with_checkpoints(dir.path());
    let (code, _, err) = fnlm(dir.path(), "probe false-negatives run --verifier bert");
    assert!(code == 3 && err.contains("but the model's token table has only 21 rows"), "{err}");
    let (code, _, err) =
        fnlm(dir.path(), "probe false-negatives run/checkpoints/step-00000030 --model run/model");
    assert!(code == 2 && err.contains("both a checkpoint and --model"), "{err}");
    std::fs::remove_dir_all(dir.path().join("run/model")).unwrap();
    let newest = json(dir.path(), "probe false-negatives run --batches 1 --json -l a/w.safetensors");
    assert_eq!(newest["checkpoints"][1]["wrong"], newest["wrong"], "without model/ the newest checkpoint");
    std::fs::remove_dir_all(dir.path().join("run/checkpoints")).unwrap();
    let (code, _, err) = fnlm(dir.path(), "probe false-negatives run -l a/w.safetensors");
    assert!(code == 3 && err.contains("neither a model/ nor an intact checkpoint"), "{err}");
}
