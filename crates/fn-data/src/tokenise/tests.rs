use proptest::prelude::*;

use super::*;

fn pieces() -> Vec<String> {
    let words = ["the", "un", "##aff", "##able", "cafe", "runner", ",", "!", "日", "本", "a", "##a"];
    SPECIAL_TOKENS.iter().chain(&words).map(|&p| p.to_owned()).collect()
}

fn tokenizer() -> TextTokenizer {
    TextTokenizer::from_vocab(pieces(), true).unwrap()
}

fn tokens(text: &str) -> Vec<String> {
    let t = tokenizer();
    t.encode(text).into_iter().map(|id| t.token(id).unwrap().to_owned()).collect()
}

#[test]
fn text_is_split_by_the_rules_of_bert() {
    assert_eq!(tokens("The UNaffable runner!"), ["the", "un", "##aff", "##able", "runner", "!"]);
    assert_eq!(tokens("Café,the"), ["cafe", ",", "the"]);
    assert_eq!(tokens("日本"), ["日", "本"]);
    assert_eq!(tokens("the\u{0}\u{fffd} zebra"), ["the", "[UNK]"]);
    assert_eq!(tokens(&"a".repeat(101)), ["[UNK]"]);
    assert_eq!(tokens(" \t\n"), Vec::<String>::new());
}

#[test]
fn no_special_tokens_are_added_and_nothing_is_truncated() {
    assert_eq!(tokenizer().encode(&"the ".repeat(3_000)).len(), 3_000);
}

#[test]
fn decoding_joins_pieces_to_words() {
    let t = tokenizer();
    assert_eq!(t.decode(&t.encode("the unaffable runner")), "the unaffable runner");
}

#[test]
fn special_and_unused_tokens_are_special() {
    let mut pieces = pieces();
    pieces.push("[unused0]".to_owned());
    let facts = TextTokenizer::from_vocab(pieces, true).unwrap().facts();
    assert!(facts.is_special[..5].iter().all(|&s| s) && facts.is_special[17] && !facts.is_special[5]);
    assert!(facts.continues[7] && !facts.continues[5]);
}

#[test]
fn what_is_written_is_read_back_from_either_file() {
    let dir = tempfile::tempdir().unwrap();
    let t = TextTokenizer::from_vocab(pieces(), false).unwrap();
    t.save(dir.path()).unwrap();
    for file in ["", "tokenizer.json", "vocab.txt"] {
        let read = TextTokenizer::load(&dir.path().join(file)).unwrap();
        assert_eq!(
            (read.sha256(), read.lowercase(), read.special()),
            (t.sha256(), false, t.special()),
            "{file}"
        );
    }
}

#[test]
fn a_vocabulary_without_capitals_means_lower_casing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vocab.txt");
    std::fs::write(&path, pieces().join("\n")).unwrap();
    assert!(TextTokenizer::load(&path).unwrap().lowercase());
    std::fs::write(&path, pieces().join("\n") + "\nParis").unwrap();
    assert!(!TextTokenizer::load(&path).unwrap().lowercase());
}

#[test]
fn truncation_and_padding_of_a_foreign_file_have_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    tokenizer().save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut value: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    value["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 9});
    value["padding"] = serde_json::json!({"strategy": {"Fixed": 128}});
    std::fs::write(&path, value.to_string()).unwrap();
    assert_eq!(TextTokenizer::load(&path).unwrap().encode("the the the the the the").len(), 6);
}

#[test]
fn hostile_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let special = r#""[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4"#;
    let nested = "[".repeat(100_000);
    for (text, expected) in [
        ("", "EOF"),
        ("{", "EOF"),
        (nested.as_str(), "recursion"),
        ("{}", "model"),
        (r#"{"model":{"type":"BPE","vocab":{}}}"#, "BPE"),
        (r#"{"model":{"type":"WordPiece"}}"#, "vocab"),
        (r#"{"model":{"vocab":{"a":5}}}"#, "id 5"),
        (r#"{"model":{"vocab":{"a":0,"b":0}}}"#, "share id 0"),
        (r#"{"model":{"vocab":{"a":"x"}}}"#, "no number"),
        (r#"{"model":{"vocab":{"a":-1}}}"#, "no number"),
        (
            r#"{"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3}}}"#,
            "[MASK] is missing",
        ),
        (
            &format!(r#"{{"model":{{"vocab":{{{special}}}}},"added_tokens":[{{"id":9,"content":"x"}}]}}"#),
            "id 9",
        ),
        (
            &format!(r#"{{"model":{{"vocab":{{{special}}}}},"added_tokens":[{{"id":1,"content":"x"}}]}}"#),
            "id 1",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = TextTokenizer::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("tokenizer.json"), "{text:.60}: {error}");
    }
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(TextTokenizer::load(&path).unwrap_err().to_string().contains("UTF-8"));
    assert!(matches!(TextTokenizer::load(&dir.path().join("no.json")), Err(DataError::Missing { .. })));
}

#[test]
fn the_error_for_duplicate_and_empty_pieces_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vocab.txt");
    std::fs::write(&path, pieces().join("\n") + "\nthe").unwrap();
    assert!(TextTokenizer::load(&path).unwrap_err().to_string().contains("`the`"));
    std::fs::write(&path, pieces().join("\n") + "\n\nx").unwrap();
    assert!(TextTokenizer::load(&path).unwrap_err().to_string().contains("line 18"));
}

#[test]
fn training_is_deterministic_and_covers_its_text() {
    let text = "the cat sat on the mat and the rat ran\n".repeat(20);
    let options = WordPieceOptions { size: 80, lowercase: true, limit_alphabet: None };
    let train = || {
        let documents = (0..10).map(|_| crate::source::Document { text: text.clone() });
        train_wordpiece(documents, &options).unwrap().tokenizer
    };
    let (a, b) = (train(), train());
    assert_eq!(a.sha256(), b.sha256());
    assert_eq!(&a.pieces()[..5], SPECIAL_TOKENS);
    assert!(a.size() <= 80 && a.id("the").is_some());
    assert!(!a.encode(&text).contains(&a.special().unk));
}

#[test]
fn training_on_nothing_is_an_error() {
    let options = WordPieceOptions { size: 80, lowercase: true, limit_alphabet: None };
    assert!(matches!(train_wordpiece(std::iter::empty(), &options), Err(DataError::Training { .. })));
}

#[test]
fn unsupported_rules_are_errors_and_others_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    tokenizer().save(dir.path()).unwrap();
    // This file contradicts some of the rules below, which are to be tested alone.
    std::fs::remove_file(dir.path().join("tokenizer_config.json")).unwrap();
    let path = dir.path().join("tokenizer.json");
    let good: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let with = |pointer: &str, part: serde_json::Value| {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = part;
        std::fs::write(&path, value.to_string()).unwrap();
        TextTokenizer::load(&path).map(|t| t.decode(&t.encode("THE Café runner")))
    };
    let steps = serde_json::json!({"type": "Sequence", "normalizers":
        [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]});
    assert_eq!(with("/normalizer", steps).unwrap(), "the cafe runner");
    assert_eq!(with("/normalizer", serde_json::Value::Null).unwrap(), "[UNK] [UNK] runner");
    assert_eq!(with("/model/max_input_chars_per_word", 5.into()).unwrap(), "the cafe [UNK]");
    // What is not BERT's is left to the library.
    let nfd = |kinds: &[&str]| {
        let steps: Vec<_> = kinds.iter().map(|kind| serde_json::json!({"type": kind})).collect();
        serde_json::json!({"type": "Sequence", "normalizers": steps})
    };
    for (pointer, part, expected) in [
        ("/normalizer", serde_json::json!({"type": "NFKC"}), "[UNK] [UNK] runner"),
        ("/normalizer", nfd(&["StripAccents", "NFD"]), "[UNK] [UNK] runner"),
        ("/normalizer", nfd(&["Lowercase", "NFKC"]), "the [UNK] runner"),
        ("/pre_tokenizer", serde_json::json!({"type": "Whitespace"}), "the cafe runner"),
        ("/model/continuing_subword_prefix", "@@".into(), "the cafe runner"),
        (
            "/added_tokens",
            serde_json::json!([{"id": 5, "content": "the", "special": false, "single_word": false, "lstrip": false,
                                "rstrip": false, "normalized": true}]),
            "the cafe runner",
        ),
    ] {
        assert_eq!(with(pointer, part).unwrap(), expected, "{pointer}");
    }
    for (pointer, part, expected) in [
        ("/normalizer", serde_json::json!({"type": "Sideways"}), "Sideways"),
        (
            "/normalizer",
            serde_json::json!({"type": "BertNormalizer", "lowercase": "yes"}),
            "`lowercase` is \"yes\"",
        ),
        ("/added_tokens", serde_json::json!([{"id": 5, "content": "cat", "special": false}]), "share id 5"),
        ("/pre_tokenizer", serde_json::json!({"type": "Sideways"}), "Sideways"),
        ("/model/unk_token", "<unk>".into(), "Missing [UNK]"),
        ("/model/max_input_chars_per_word", serde_json::json!(1e9), "max_input_chars_per_word"),
    ] {
        let error = with(pointer, part).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = tokenizer().save(&file.join("folder")).unwrap_err();
    assert!(matches!(error, DataError::Io { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Blanks, control characters, accents before and after composition, marks without a letter, wide letters, brackets.
    #[test]
    fn the_fast_path_and_the_cache_give_the_ids_of_the_library(
        text in "[a-cfunTE ,!é\u{301}日\u{a0}\u{3000}\u{200b}\u{b}\u{c}\u{7f}\t\r\n#\\[\\]]{0,40}",
        words in "((un|aff|able|the|a|aa|Café|##aff|zz|-)[ -]?){0,12}",
        any in any::<String>(),
    ) {
        for rules in [Normalisation::bert(true), Normalisation::bert(false), bare()] {
            let t = TextTokenizer::build(pieces(), rules, (None, None), Path::new("x")).unwrap();
            for text in [&text, &words, &any] {
                let mut whole = Vec::new();
                t.encode_by_library(text, &mut whole);
                prop_assert_eq!(t.encode(text), whole.clone());
                prop_assert_eq!(t.encode(text), whole, "the second time");
            }
        }
    }
}

/// No normalisation, short words only.
fn bare() -> Normalisation {
    Normalisation { lowercase: false, strip_accents: Some(false), chinese: false, clean: false, max_word: 5 }
}

#[test]
fn tokenizers_do_not_share_their_caches() {
    let mut turned = pieces();
    turned[5..].reverse();
    let (a, b) = (tokenizer(), TextTokenizer::from_vocab(turned, true).unwrap());
    let (first, second) = (a.encode("the cafe"), b.encode("the cafe"));
    assert_ne!(first, second);
    assert_eq!((a.encode("the cafe"), b.encode("the cafe")), (first, second));
}

#[test]
fn frequent_words_stay_in_the_cache_after_many_rare_ones() {
    let t = tokenizer();
    let expected = t.encode("unaffable");
    for i in 0..200_000 {
        t.encode(&format!("x{i}"));
    }
    assert_eq!(t.encode("unaffable"), expected);
}

#[test]
fn whole_words_are_refused_where_pieces_bear_no_mark() {
    assert!(tokenizer().require_words().is_ok());
    let file = |pre_tokenizer: &str| {
        let dir = tempfile::tempdir().unwrap();
        let vocab = "\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"[MASK]\": 4, \"a\": 5, \"b\": 6, \"ab\": 7";
        let added: Vec<String> = SPECIAL_TOKENS
            .iter()
            .enumerate()
            .map(|(id, token)| {
                format!(
                    "{{\"id\": {id}, \"content\": \"{token}\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \
                     \"normalized\": false, \"special\": true}}"
                )
            })
            .collect();
        let text = format!(
            "{{\"version\": \"1.0\", \"added_tokens\": [{}], \"normalizer\": null, \"pre_tokenizer\": {pre_tokenizer}, \
             \"post_processor\": null, \"decoder\": null, \"model\": {{\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {{{vocab}}}, \
             \"merges\": [[\"a\", \"b\"]]}}}}",
            added.join(", ")
        );
        std::fs::write(dir.path().join("tokenizer.json"), text).unwrap();
        TextTokenizer::load(dir.path()).unwrap()
    };
    let error = file("{\"type\": \"Whitespace\"}").require_words().unwrap_err();
    assert!(error.to_string().contains("`corruption.unit=whole-word`"), "{error}");
    let marked =
        "{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"always\", \"split\": true}";
    assert!(file(marked).require_words().is_ok());
}
