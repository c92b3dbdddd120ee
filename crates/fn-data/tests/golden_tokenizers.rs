//! Compares tokenizers of every kind with `tokenizers` and transformers: the folders of `tests/golden/tokenizers`, made by
//! `make_tokenizers.py` beside them.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use fn_data::error::DataError;
use fn_data::tokenise::{TextTokenizer, WordMark};
use serde_json::{Value, json};

const KINDS: [&str; 10] = [
    "bpe-llama",
    "bpe-modern",
    "bpe-roberta",
    "bpe-roberta-prefix",
    "bpe-suffix",
    "unigram-first",
    "unigram-xlmr",
    "wordpiece-cased",
    "wordpiece-other",
    "wordpiece-uncased",
];

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tokenizers").join(kind)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect()
}

fn compare(kind: &str, tokenizer: &TextTokenizer, expected: &Value) {
    assert_eq!(tokenizer.size() as u64, expected["size"].as_u64().unwrap(), "{kind}");
    let special = tokenizer.special();
    let roles = [
        ("pad", special.pad),
        ("unk", special.unk),
        ("cls", special.cls),
        ("sep", special.sep),
        ("mask", special.mask),
    ];
    for (role, id) in roles {
        assert_eq!(Some(u64::from(id)), expected["special"][role].as_u64(), "{kind}: {role}");
    }
    for case in expected["single"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids = tokenizer.encode(text);
        assert_eq!(ids, numbers(&case["plain"]), "{kind}: {text:?}");
        assert_eq!(tokenizer.encode(text), ids, "{kind}: {text:?}, from the cache");
        let (framed, types) = tokenizer.frame().single(&ids);
        assert_eq!((framed, types), (numbers(&case["ids"]), numbers(&case["types"])), "{kind}: {text:?}");
        let (by_offsets, ranges) = tokenizer.encode_with_offsets(text);
        assert_eq!(by_offsets, ids, "{kind}: {text:?}");
        for (range, theirs) in ranges.iter().zip(case["offsets"].as_array().unwrap()) {
            let theirs = numbers(theirs);
            let (piece, whole) = (&text[range.clone()], &text[theirs[0] as usize..theirs[1] as usize]);
            // Ours are without the blanks around a piece.
            // Theirs of a first letter alone are empty, as of the blank that was put before it.
            let first = kind == "bpe-roberta-prefix" && range.start == 0;
            let same = whole.trim() == piece || whole.trim().is_empty() && (piece.trim().is_empty() || first);
            assert!(same, "{kind}: {text:?}: {range:?} {theirs:?}");
        }
    }
    for case in expected["pairs"].as_array().unwrap() {
        let [a, b] = ["a", "b"].map(|side| tokenizer.encode(case[side].as_str().unwrap()));
        let (ids, types) = tokenizer.frame().pair(&a, &b);
        assert_eq!((ids, types), (numbers(&case["ids"]), numbers(&case["types"])), "{kind}: {case}");
        let second = tokenizer.frame().second_start(a.len());
        assert_eq!(numbers(&case["ids"])[second..second + b.len()], b[..], "{kind}");
    }
    for case in expected["literal"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids = tokenizer.encode(text);
        assert_eq!(ids, numbers(&case["ids"]), "{kind}: {text:?}");
        assert!(tokenizer.literal_special_tokens(text) >= 1, "{kind}: {text:?}");
        let unknown = special.unk;
        assert!(
            ids.iter().all(|&id| id == unknown || !tokenizer.is_special(id)),
            "{kind}: {text:?} has {ids:?}"
        );
    }
}

#[test]
fn ids_types_offsets_and_roles_of_every_kind_are_those_of_transformers() {
    for kind in KINDS {
        let expected = json_of(&folder(kind).join("expected.json"));
        let tokenizer = TextTokenizer::load(&folder(kind)).unwrap();
        compare(kind, &tokenizer, &expected);
        // What is written is read back as the same.
        let written = tempfile::tempdir().unwrap();
        tokenizer.save(written.path()).unwrap();
        compare(kind, &TextTokenizer::load(written.path()).unwrap(), &expected);
    }
}

/// The words of a text, as whole-word masking groups pieces.
fn words(tokenizer: &TextTokenizer, text: &str) -> Vec<String> {
    let (ids, facts) = (tokenizer.encode(text), tokenizer.facts());
    let mut words: Vec<Vec<u32>> = Vec::new();
    for (at, &id) in ids.iter().enumerate() {
        match words.last_mut() {
            Some(word) if facts.joins(ids[at - 1], id) => word.push(id),
            _ => words.push(vec![id]),
        }
    }
    words.iter().map(|word| tokenizer.decode(word)).collect()
}

#[test]
fn whole_words_are_what_a_reader_calls_words() {
    let text = "The unpassable (passable) bridge, Zürich: 4,500 lamps again.";
    let by_reader = [
        "The",
        "unpassable",
        "(",
        "passable",
        ")",
        "bridge",
        ",",
        "Zürich",
        ":",
        "4",
        ",",
        "500",
        "lamps",
        "again",
        ".",
    ];
    for kind in KINDS {
        let tokenizer = TextTokenizer::load(&folder(kind)).unwrap();
        let lower = tokenizer.lowercase();
        let of = |word: &str| match lower {
            true => word.to_lowercase(),
            false => word.to_owned(),
        };
        let found = words(&tokenizer, text);
        let mut expected: Vec<String> = by_reader.iter().map(|word| of(word)).collect();
        // BERT's normaliser strips accents of lower-cased text; the alphabet of wordpiece-other and bpe-suffix has no ü.
        expected[7] = match (kind, lower) {
            ("wordpiece-uncased" | "bpe-suffix", _) => "zurich".to_owned(),
            _ => expected[7].clone(),
        };
        // Llama's kind is not split at punctuation, and has a piece `,500`.
        if kind == "bpe-llama" {
            expected.splice(9..12, ["4,500".to_owned()]);
        }
        assert_eq!(found, expected, "{kind}: {:?}", tokenizer.mark());
    }
}

#[test]
fn chinese_characters_are_words_and_apostrophes_stay_within_theirs() {
    let modern = TextTokenizer::load(&folder("bpe-modern")).unwrap();
    assert_eq!(words(&modern, "x文日 doesn't e-mail"), ["x", "文", "日", "doesn't", "e", "-", "mail"]);
}

#[test]
fn marks_follow_from_the_kind_and_pieces_are_spelled_as_wordpiece_would() {
    for (kind, mark, piece, spelled) in [
        ("wordpiece-cased", WordMark::Continues("##".into()), "The", "The"),
        ("wordpiece-other", WordMark::Continues("@@".into()), "keeper", "keeper"),
        ("bpe-roberta", WordMark::ByteLevel, "Ġkeeper", "keeper"),
        ("bpe-llama", WordMark::Blank('▁'), "▁keeper", "keeper"),
        ("bpe-suffix", WordMark::Ends("</w>".into()), "keeper</w>", "keeper"),
        ("unigram-xlmr", WordMark::Blank('▁'), "▁keeper", "keeper"),
    ] {
        let tokenizer = TextTokenizer::load(&folder(kind)).unwrap();
        assert_eq!(*tokenizer.mark(), mark, "{kind}");
        let id = tokenizer.id(piece).unwrap();
        assert_eq!(tokenizer.piece(id), spelled, "{kind}");
        assert_eq!(tokenizer.spelled_id(spelled), Some(id), "{kind}");
        assert_eq!(tokenizer.one_piece(spelled).unwrap(), id, "{kind}");
        assert_eq!(tokenizer.encode_word(spelled), [id], "{kind}");
    }
    let roberta = TextTokenizer::load(&folder("bpe-roberta")).unwrap();
    // Without its blank, `ld` is a piece within words.
    assert_eq!(roberta.piece(roberta.id("ld").unwrap()), "##ld");
    assert!(matches!(roberta.one_piece("lighthouses"), Err(DataError::NotOnePiece { .. })));
}

#[test]
fn the_blank_before_a_gap_belongs_to_it() {
    for kind in ["bpe-roberta", "unigram-xlmr", "wordpiece-cased"] {
        let tokenizer = TextTokenizer::load(&folder(kind)).unwrap();
        let parts = tokenizer.encode_around_gaps(&["The ", " counted ", "."]);
        let [before, between] = [tokenizer.encode("The"), tokenizer.encode(" counted")];
        assert_eq!(parts[..2], [before, between], "{kind}");
    }
}

/// A changed copy of a folder.
fn changed(kind: &str, file: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder(kind).join(name), dir.path().join(name)).unwrap();
    }
    let path = dir.path().join(file);
    let mut value = json_of(&path);
    change(&mut value);
    std::fs::write(&path, value.to_string()).unwrap();
    dir
}

#[test]
fn settings_that_would_change_ids_are_errors_that_name_them() {
    let config = "tokenizer_config.json";
    for (kind, key, value, expected) in [
        ("bpe-roberta", "do_lower_case", json!(true), "`do_lower_case` is true here and false"),
        ("unigram-first", "do_lower_case", json!(false), "`do_lower_case` is false here and true"),
        ("bpe-roberta", "strip_accents", json!(true), "`strip_accents` is true here and false"),
        ("bpe-suffix", "strip_accents", json!(false), "`strip_accents` is false here and true"),
        ("bpe-suffix", "tokenize_chinese_chars", json!(false), "`tokenize_chinese_chars` is false here"),
        ("bpe-roberta", "add_prefix_space", json!(true), "`add_prefix_space` is true here and false"),
        ("bpe-roberta-prefix", "add_prefix_space", json!(false), "`add_prefix_space` is false here and true"),
        ("unigram-xlmr", "add_prefix_space", json!(false), "`add_prefix_space` is false here and true"),
        ("bpe-llama", "auto_map", json!({"AutoTokenizer": ["t.T", null]}), "`auto_map`"),
        ("bpe-llama", "model_max_length", json!(0), "`model_max_length` is 0"),
        ("bpe-llama", "model_max_length", json!(-5), "`model_max_length` is -5"),
        ("bpe-llama", "model_max_length", json!(12.5), "`model_max_length` is 12.5"),
        ("bpe-llama", "model_max_length", json!("512"), "`model_max_length` is \"512\""),
        (
            "bpe-llama",
            "additional_special_tokens",
            json!(["<x>"]),
            "`<x>`, which the vocabulary does not have",
        ),
        ("bpe-llama", "mask_token", json!("<gap>"), "`mask_token` of tokenizer_config.json is `<gap>`"),
        ("bpe-llama", "pad_token", json!("</s>"), "the padding token (id 2) has a second role"),
        ("wordpiece-cased", "model_max_length", json!(0), "`model_max_length` is 0"),
        ("wordpiece-cased", "truncation_side", json!("left"), "`truncation_side` is \"left\""),
        ("bpe-roberta", "truncation_side", json!("left"), "`truncation_side` is \"left\""),
    ] {
        let dir = changed(kind, config, |c| c[key] = value.clone());
        let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{kind}, {key} = {value}: {error}");
    }
    for (value, found) in [(json!(512), Some(512)), (json!(1e30), None), (Value::Null, None)] {
        let dir = changed("bpe-roberta", config, |c| c["model_max_length"] = value);
        assert_eq!(TextTokenizer::load(dir.path()).unwrap().max_length(), found);
    }
    let dir = changed("bpe-roberta", config, |c| {
        c["do_lower_case"] = json!(false);
        c["add_prefix_space"] = json!(false);
        c["strip_accents"] = Value::Null;
        c["tokenize_chinese_chars"] = json!(true);
    });
    TextTokenizer::load(dir.path()).unwrap();
}

#[test]
fn a_role_without_a_token_is_an_error_that_says_where_it_was_looked_for() {
    let dir = changed("bpe-roberta", "tokenizer.json", |rules| {
        let text = rules.to_string().replace("<mask>", "<gap>");
        *rules = serde_json::from_str(&text).unwrap();
    });
    std::fs::remove_file(dir.path().join("tokenizer_config.json")).unwrap();
    let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
    for part in [
        "no mask token",
        "[MASK] is missing",
        "`mask_token` in tokenizer_config.json",
        "special_tokens_map.json",
        "<mask>",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Named there, it is found.
    std::fs::write(dir.path().join("special_tokens_map.json"), r#"{"mask_token": {"content": "<gap>"}}"#)
        .unwrap();
    let tokenizer = TextTokenizer::load(dir.path()).unwrap();
    assert_eq!(tokenizer.token(tokenizer.special().mask), Some("<gap>"));
    std::fs::write(dir.path().join("tokenizer_config.json"), r#"{"mask_token": "<s>"}"#).unwrap();
    let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains(
            "`mask_token` is `<s>` in tokenizer_config.json and `<gap>` in special_tokens_map.json"
        ),
        "{error}"
    );
}

#[test]
fn damaged_vocabularies_and_frames_are_errors() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 9] = [
        ("bpe-roberta", |r| r["model"]["vocab"]["Ġkeeper"] = json!(900), "a hole in the vocabulary"),
        ("bpe-roberta", |r| r["model"]["vocab"]["Ġkeeper"] = json!(7), "share id 7"),
        ("bpe-roberta", |r| r["model"]["merges"][0] = json!(["zz", "qq"]), "zz"),
        ("unigram-xlmr", |r| r["model"]["unk_id"] = json!(9_000), "tokenizer.json"),
        ("unigram-xlmr", |r| r["model"]["vocab"] = json!([]), "EmptyVocabulary"),
        (
            "unigram-xlmr",
            |r| r["post_processor"]["single"] = json!([{"Sequence": {"id": "A", "type_id": 0}}]),
            "class token",
        ),
        ("unigram-xlmr", |r| r["post_processor"]["pair"] = json!([]), "0 times A and 0 times B"),
        ("unigram-xlmr", |r| r["post_processor"] = json!({"type": "Sideways"}), "`Sideways`"),
        (
            "bpe-roberta",
            |r| {
                r["pre_tokenizer"] = json!({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false})
            },
            "tokenizer.json",
        ),
    ];
    for (kind, change, expected) in cases {
        let dir = changed(kind, "tokenizer.json", change);
        let error = TextTokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{kind}: {error}");
    }
}

#[test]
fn a_sentencepiece_model_is_refused_with_the_command_that_converts_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sentencepiece.bpe.model");
    std::fs::write(&path, b"\x0a\x0b").unwrap();
    for place in [dir.path(), &path] {
        let error = TextTokenizer::load(place).unwrap_err();
        assert!(matches!(error, DataError::SentencePiece { .. }), "{error}");
        assert!(error.to_string().contains("save_pretrained"), "{error}");
    }
}

#[test]
fn vocab_json_with_merges_is_read_as_the_same_tokenizer() {
    let rules = json_of(&folder("bpe-roberta").join("tokenizer.json"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("vocab.json"), rules["model"]["vocab"].to_string()).unwrap();
    let merges = rules["model"]["merges"].as_array().unwrap();
    let merges = merges.iter().map(|m| match m {
        Value::String(text) => text.clone(),
        pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    });
    let merges: Vec<String> = std::iter::once("#version: 0.2".to_owned()).chain(merges).collect();
    std::fs::write(dir.path().join("merges.txt"), merges.join("\n")).unwrap();
    std::fs::write(dir.path().join("config.json"), r#"{"model_type": "roberta"}"#).unwrap();
    let expected = json_of(&folder("bpe-roberta").join("expected.json"));
    compare("vocab.json", &TextTokenizer::load(dir.path()).unwrap(), &expected);
}

#[test]
fn a_tokenizer_belongs_to_a_model_by_pieces_size_and_special_ids() {
    let model = tempfile::tempdir().unwrap();
    let config = |value: Value| std::fs::write(model.path().join("config.json"), value.to_string()).unwrap();
    let path = folder("bpe-roberta");
    let tokenizer = TextTokenizer::load(&path).unwrap();
    let check = || tokenizer.check_model(&path, model.path()).map_err(|error| error.to_string());
    for fitting in
        [json!({"vocab_size": 420, "pad_token_id": 1}), json!({"vocab_size": 512, "mask_token_id": null})]
    {
        config(fitting);
        check().unwrap();
    }
    for (other, expected) in [
        (json!({"vocab_size": 419}), "420 pieces, but the model's token table has only 419 rows"),
        (json!({"vocab_size": 30_522}), "420 pieces, but the model's token table has 30522 rows"),
        (
            json!({"vocab_size": 420, "pad_token_id": 0}),
            "`pad_token_id` of config.json is 0, the tokenizer's <pad> has id 1",
        ),
    ] {
        config(other);
        let error = check().unwrap_err();
        assert!(error.contains(expected) && error.contains("bpe-roberta"), "{error}");
    }
    // With a tokenizer of its own, the pieces decide.
    config(json!({"vocab_size": 420}));
    tokenizer.save(model.path()).unwrap();
    check().unwrap();
    TextTokenizer::load(&folder("bpe-modern")).unwrap().save(model.path()).unwrap();
    let error = check().unwrap_err();
    assert!(error.contains("420 pieces and the tokenizer in the model's folder 430; piece"), "{error}");
}
