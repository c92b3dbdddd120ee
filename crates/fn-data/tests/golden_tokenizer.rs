//! Compares with transformers how tokenizer files are read: `tests/golden/tokenizer.json`, made by `make_tokenizer.py` beside
//! it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use fn_data::tokenise::TextTokenizer;
use serde_json::{Value, json};

fn pieces(tokenizer: &TextTokenizer, text: &str) -> Vec<String> {
    tokenizer.encode(text).into_iter().map(|id| tokenizer.piece(id)).collect()
}

#[test]
fn every_setting_gives_the_pieces_of_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tokenizer.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = golden["text"].as_str().unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        let files: BTreeMap<String, String> = serde_json::from_value(case["files"].clone()).unwrap();
        for (name, text) in &files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let expected: Vec<String> = serde_json::from_value(case["pieces"].clone()).unwrap();
        let tokenizer = TextTokenizer::load(dir.path()).unwrap();
        assert_eq!(pieces(&tokenizer, text), expected, "{}", case["name"]);
        // The files that `save` writes give the same ids, through either file.
        let written = tempfile::tempdir().unwrap();
        tokenizer.save(written.path()).unwrap();
        assert_eq!(pieces(&TextTokenizer::load(written.path()).unwrap(), text), expected, "{}", case["name"]);
    }
}

/// A folder with a vocabulary and these files.
fn folder(files: &[(&str, &Value)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ndog\n中\n文\n中文\n")
        .unwrap();
    for (name, value) in files {
        std::fs::write(dir.path().join(name), value.to_string()).unwrap();
    }
    dir
}

#[test]
fn unsupported_settings_are_errors_that_name_them() {
    let config = "tokenizer_config.json";
    for (file, value, expected) in [
        (
            config,
            json!({"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}),
            "MeCab",
        ),
        (
            "config.json",
            json!({"model_type": "bert", "tokenizer_class": "BertJapaneseTokenizer"}),
            "BertJapaneseTokenizer",
        ),
        (config, json!({"tokenizer_class": "XLNetTokenizerFast"}), "XLNetTokenizerFast"),
        (config, json!({"word_tokenizer_type": "mecab"}), "word_tokenizer_type"),
        (config, json!({"subword_tokenizer_type": "character"}), "subword_tokenizer_type"),
        (config, json!({"do_basic_tokenize": false}), "do_basic_tokenize"),
        (config, json!({"never_split": ["dog"]}), "never_split"),
        (config, json!({"clean_text": false}), "clean_text"),
        (config, json!({"do_lower_case": "false"}), "do_lower_case"),
        (config, json!({"strip_accents": 0}), "strip_accents"),
        (config, json!({"auto_map": {"AutoTokenizer": ["t.T", null]}}), "auto_map"),
        (config, json!({"unk_token": "<unk>"}), "unk_token"),
        (config, json!({"additional_special_tokens": ["[X]"]}), "[X]"),
        (config, json!({"added_tokens_decoder": {"5": {"content": "dog", "special": false}}}), "`dog`"),
        (config, json!({"added_tokens_decoder": {"5": {"content": "[cat]", "special": true}}}), "id 5"),
        (config, json!([1]), "not an object"),
        ("special_tokens_map.json", json!({"mask_token": {"content": "<mask>"}}), "mask_token"),
        ("added_tokens.json", json!({"Paris": 9}), "`Paris`"),
    ] {
        let dir = folder(&[(file, &value)]);
        let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
        // A duplicate id is an error of the vocabulary; all other errors name the file of the setting.
        let named = error.contains(".json") || error.contains("vocab.txt: added token");
        assert!(error.contains(expected) && named, "{value}: {error}");
    }
}

#[test]
fn harmless_settings_are_read() {
    let config = json!({
        "tokenizer_class": "BertTokenizerFast", "model_max_length": 512, "do_lower_case": true, "never_split": [],
        "tokenize_chinese_chars": false, "do_basic_tokenize": true, "padding_side": "left",
        "added_tokens_decoder": {"4": {"content": "[MASK]", "special": true}, "9": {"content": "[NEW]", "special": true}},
        "additional_special_tokens": ["[NEW]"],
    });
    let dir = folder(&[("tokenizer_config.json", &config), ("added_tokens.json", &json!({"[NEW]": 9}))]);
    let tokenizer = TextTokenizer::load(dir.path()).unwrap();
    assert_eq!((tokenizer.size(), pieces(&tokenizer, "中文 Dog")), (10, vec!["中文".into(), "dog".into()]));
}

#[test]
fn two_files_that_contradict_each_other_are_an_error() {
    let dir = folder(&[("tokenizer_config.json", &json!({"do_lower_case": true}))]);
    TextTokenizer::load(dir.path()).unwrap().save(dir.path()).unwrap();
    TextTokenizer::load(dir.path()).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    for (config, expected) in [
        (json!({"do_lower_case": false}), "do_lower_case"),
        (json!({"strip_accents": false}), "strip_accents"),
        (json!({"tokenize_chinese_chars": false}), "tokenize_chinese_chars"),
    ] {
        write("tokenizer_config.json", &config.to_string());
        let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("tokenizer.json"), "{error}");
    }
    write("tokenizer_config.json", "{}");
    write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\n");
    let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("piece 5 is `cat` here and `dog`"), "{error}");
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_piece() {
    let dir = folder(&[]);
    let path = dir.path().join("vocab.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert_eq!(TextTokenizer::load(&path).unwrap().token(0), Some("[PAD]"));
}
