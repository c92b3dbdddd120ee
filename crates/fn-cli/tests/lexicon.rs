//! `fnlm lexicon` on a WordNet of a few invented lines (crates/fn-data/tests/wordnet_tiny).

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::{Path, PathBuf};

use assert_cmd::Command;

const WORDS: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "happy", "glad", "merry", "gay", "go", "went", "travel",
    "big", "##ly",
];

fn wordnet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fn-data/tests/wordnet_tiny")
}

/// Runs `fnlm` in `dir`; gives code, standard output and standard error.
fn fnlm(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("fnlm").unwrap();
    let output =
        command.current_dir(dir).env("NO_COLOR", "1").env("CI", "1").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder with a vocabulary and the lexicon built for it.
fn built() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("vocab.txt"), WORDS.join("\n") + "\n").unwrap();
    let wordnet = wordnet();
    let build = [
        "lexicon",
        "build",
        "--wordnet",
        wordnet.to_str().unwrap(),
        "--tokenizer",
        "vocab.txt",
        "--out",
        "w.safetensors",
    ];
    let (code, out, err) = fnlm(dir.path(), &build);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("kind               wordnet"), "{out}");
    dir
}

#[test]
fn a_lexicon_is_built_and_shown() {
    let dir = built();
    let show =
        ["lexicon", "show", "happy", "went", "big", "--lexicon", "w.safetensors", "--tokenizer", "vocab.txt"];
    let (code, out, err) = fnlm(dir.path(), &show);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "happy: glad\nwent: go, travel\nbig: (no entry)\n");
    let (code, out, _) = fnlm(dir.path(), &[&show[..], &["--json"]].concat());
    assert_eq!(code, 0);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["happy"], serde_json::json!(["glad"]));
}

#[test]
fn grades_are_printed_where_there_are_any() {
    use fn_core::lexicon::{Lexicon, LexiconInfo};
    let dir = built();
    let id = |word: &str| WORDS.iter().position(|w| *w == word).unwrap() as u32;
    let rows =
        [(id("happy"), vec![(id("big"), 0.25), (id("glad"), 0.875)]), (id("go"), vec![(id("travel"), 1.0)])];
    let lexicon = Lexicon::from_graded_rows(WORDS.len(), rows, LexiconInfo::default()).unwrap();
    lexicon.save(&dir.path().join("g.safetensors")).unwrap();
    let show = ["lexicon", "show", "happy", "go", "--lexicon", "g.safetensors", "--tokenizer", "vocab.txt"];
    let (code, out, err) = fnlm(dir.path(), &show);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "happy: glad 0.88, big 0.25\ngo: travel 1.00\n");
    let (_, out, _) = fnlm(dir.path(), &[&show[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["happy"], serde_json::json!([["glad", 0.875], ["big", 0.25]]));
    let (_, out, _) = fnlm(dir.path(), &["lexicon", "stats", "--lexicon", "g.safetensors"]);
    assert!(out.contains("0.250 to 1.000, mean 0.708; 66.7 % of the entries at least 0.5"), "{out}");
    let (_, out, _) = fnlm(dir.path(), &["lexicon", "stats", "--lexicon", "g.safetensors", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["stats"]["grades"]["lowest"], 0.25);
}

#[test]
fn the_coverage_of_vocabulary_and_running_text_is_counted() {
    let dir = built();
    std::fs::write(dir.path().join("text.txt"), "happy big happy big\n").unwrap();
    let stats = [
        "lexicon",
        "stats",
        "--lexicon",
        "w.safetensors",
        "--tokenizer",
        "vocab.txt",
        "--text",
        "text.txt",
        "--json",
    ];
    let (code, out, err) = fnlm(dir.path(), &stats);
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["stats"]["running_text_share"], 0.5);
    assert_eq!(json["stats"]["vocab_size"], WORDS.len());
    assert_eq!(json["fingerprint"].as_str().unwrap().len(), 64);
}

#[test]
fn a_word_of_several_pieces_and_another_vocabulary_are_errors() {
    let dir = built();
    let show = ["lexicon", "show", "happyly", "--lexicon", "w.safetensors", "--tokenizer", "vocab.txt"];
    let (code, _, err) = fnlm(dir.path(), &show);
    assert_eq!(code, 2);
    assert!(err.contains("not one piece") && err.contains("happy ##ly"), "{err}");
    // The other words are shown nevertheless.
    let show = [
        "lexicon",
        "show",
        "happy",
        "happyly",
        "big",
        "--lexicon",
        "w.safetensors",
        "--tokenizer",
        "vocab.txt",
    ];
    let (code, out, err) = fnlm(dir.path(), &show);
    assert!(code == 0 && out.starts_with("happy: ") && out.contains("\nbig: "), "{out}{err}");
    assert!(err.contains("`happyly` is not one piece"), "{err}");

    std::fs::write(dir.path().join("other.txt"), WORDS.join("\n") + "\nextra\n").unwrap();
    let show = ["lexicon", "show", "happy", "--lexicon", "w.safetensors", "--tokenizer", "other.txt"];
    let (code, _, err) = fnlm(dir.path(), &show);
    assert_eq!(code, 3);
    assert!(err.contains("w.safetensors"), "{err}");
}

#[test]
fn a_damaged_lexicon_is_an_error() {
    let dir = built();
    let path = dir.path().join("w.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, out, err) = fnlm(dir.path(), &["lexicon", "stats", "--lexicon", "w.safetensors"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("w.safetensors") && err.contains("fnlm lexicon build"), "{err}");
}

#[test]
fn options_out_of_range_and_missing_folders_are_errors() {
    let dir = built();
    let (code, _, err) = fnlm(
        dir.path(),
        &["lexicon", "build", "--wordnet", "none", "--tokenizer", "vocab.txt", "--out", "x.safetensors"],
    );
    assert_eq!(code, 3, "{err}");
    let (code, _, err) = fnlm(
        dir.path(),
        &["lexicon", "build", "--wordnet", "none", "--tokenizer", "vocab.txt", "--out", "x.bin"],
    );
    assert_eq!(code, 2);
    assert!(err.contains("--out x.safetensors"), "{err}");
    assert!(!dir.path().join("x.safetensors").exists());
}

#[test]
fn a_placebo_keeps_the_size_of_every_set() {
    let dir = built();
    std::fs::write(dir.path().join("text.txt"), "happy glad merry gay go went travel big\n").unwrap();
    let make = [
        "lexicon",
        "placebo",
        "--lexicon",
        "w.safetensors",
        "--tokenizer",
        "vocab.txt",
        "--text",
        "text.txt",
        "--out",
        "p.safetensors",
    ];
    let (code, _, err) = fnlm(dir.path(), &make);
    assert_eq!(code, 0, "{err}");
    let entries = |file: &str| {
        let (_, out, _) = fnlm(dir.path(), &["lexicon", "stats", "--lexicon", file, "--json"]);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["stats"]["entries"].clone()
    };
    assert_eq!(entries("p.safetensors"), entries("w.safetensors"));
}

#[test]
fn existing_files_are_not_overwritten_without_force() {
    let dir = built();
    std::fs::write(dir.path().join("text.txt"), "happy glad merry gay go went travel big\n").unwrap();
    std::fs::create_dir(dir.path().join("tok")).unwrap();
    std::fs::write(dir.path().join("tok/vocab.txt"), "mine").unwrap();
    let placebo =
        "lexicon placebo --lexicon w.safetensors --tokenizer vocab.txt --text text.txt --out p.safetensors";
    std::fs::write(dir.path().join("p.safetensors"), "mine").unwrap();
    for (command, path) in
        [(placebo, "p.safetensors"), ("tokenizer train text.txt --size 100 --out tok", "tok/vocab.txt")]
    {
        let words: Vec<&str> = command.split(' ').collect();
        let (code, _, err) = fnlm(dir.path(), &words);
        assert!(code == 2 && err.contains("exists; choose another --out, or add --force"), "{err}");
        assert_eq!(std::fs::read(dir.path().join(path)).unwrap(), b"mine");
        let (code, _, err) = fnlm(dir.path(), &[&words[..], &["--force"]].concat());
        assert_eq!(code, 0, "{err}");
        assert_ne!(std::fs::read(dir.path().join(path)).unwrap(), b"mine");
    }
}
