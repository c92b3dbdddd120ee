//! `fnlm probe substitution` on tiny models made here.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop
#![cfg(feature = "flex")]

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

/// A folder with the models `electra` and `bert`, weights random.
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
fn substitutes_are_ordered_and_what_cannot_be_is_counted() {
    let dir = workshop();
    // Whatever comes first is a substitute in the first item, and none in the second.
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
