//! A data set that is put together of tokenised files has the bytes of one that one process has made.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::error::DataError;
use crate::pack::Packing;
use crate::source::{SourceOptions, Sources};
use crate::tokenise::{SPECIAL_TOKENS, TextTokenizer};

fn tokenizer() -> TextTokenizer {
    let words = (0..50).map(|i| format!("w{i}"));
    TextTokenizer::from_vocab(SPECIAL_TOKENS.iter().map(|s| (*s).to_owned()).chain(words).collect(), true)
        .unwrap()
}

/// Four files: text, an empty one, JSON lines, text with literal special tokens.
fn config(dir: &Path, packing: Packing) -> PrepareConfig {
    let text = |from: u32, n: u32| -> String {
        let line = |i: u32| match i % 9 {
            8 => "\n".to_owned(),
            _ => format!("w{} w{} w{}\n", i % 50, i * 7 % 50, i * 3 % 50),
        };
        (from..from + n).map(line).collect()
    };
    std::fs::create_dir_all(dir.join("in")).unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.join("in").join(name), text).unwrap();
    write("a.txt", text(0, 2_000));
    write("b.txt", String::new());
    let json = |i: u32| format!("{{\"text\": \"w{} w{}\\nw{}\"}}\n", i % 50, i * 11 % 50, i * 5 % 50);
    write("c.jsonl", (0..700).map(json).collect());
    write("d.txt", text(77, 500) + "w1 [MASK] w2\n");
    PrepareConfig {
        sources: vec![dir.join("in")],
        options: SourceOptions::default(),
        packing,
        length: 32,
        seed: 3,
        cache: dir.join("cache"),
    }
}

/// The files of a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(dir).unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn claimed(config: &PrepareConfig) -> Claimed {
    match begin(config, &tokenizer(), &Default::default()).unwrap() {
        Begun::Claimed(claimed) => claimed,
        Begun::Ready(found) => panic!("{} is there", found.dir.display()),
    }
}

fn tokenise(config: &PrepareConfig, scratch: &Path) -> usize {
    let sources = Sources::open(&config.sources, &config.options).unwrap();
    // In any order.
    for (part, file) in sources.files().iter().enumerate().rev() {
        tokenise_part(config, &tokenizer(), file, part, scratch, &Default::default()).unwrap();
    }
    sources.files().len()
}

#[test]
fn parts_give_the_bytes_of_one_process() {
    for packing in [Packing::Electra, Packing::Bert, Packing::Dense] {
        let (alone, together) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plain = config(alone.path(), packing);
        let plain = prepare(&plain, &tokenizer(), &mut |_| {}, &Default::default()).unwrap();
        let config = config(together.path(), packing);
        let claimed = claimed(&config);
        let parts = tokenise(&config, claimed.scratch());
        assert_eq!(parts, 4);
        let found = claimed.assemble(&config, &tokenizer(), parts, &mut |_| {}, &Default::default()).unwrap();
        assert_eq!(found.manifest, plain.manifest, "{packing:?}");
        assert_eq!(files(&found.dir), files(&plain.dir), "{packing:?}");
        assert_eq!(found.manifest.literal_special_tokens, 1);
        assert!(matches!(begin(&config, &tokenizer(), &Default::default()).unwrap(), Begun::Ready(_)));
    }
}

#[test]
fn a_part_that_is_missing_or_cut_is_an_error_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), Packing::Electra);
    for damage in ["missing", "cut", "huge", "none"] {
        let claimed = claimed(&config);
        let parts = tokenise(&config, claimed.scratch());
        let path = claimed.scratch().join("part-00002");
        let mut bytes = std::fs::read(&path).unwrap();
        match damage {
            "cut" => bytes.truncate(bytes.len() - 30),
            // The number of sentences of the first document.
            "huge" => bytes[16..20].copy_from_slice(&u32::MAX.to_le_bytes()),
            _ => {}
        }
        std::fs::write(&path, bytes).unwrap();
        if damage == "missing" {
            std::fs::remove_file(&path).unwrap();
        }
        let scratch = claimed.scratch().to_owned();
        let found = claimed.assemble(&config, &tokenizer(), parts, &mut |_| {}, &Default::default());
        assert!(!scratch.exists());
        match found {
            Ok(_) => assert_eq!(damage, "none"),
            Err(error) => {
                assert!(matches!(error, DataError::Missing { .. } | DataError::Damaged { .. }), "{error}");
                assert!(error.to_string().contains("part-00002"), "{error}");
            }
        }
    }
}

#[test]
fn files_without_any_text_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), Packing::Electra);
    for name in ["a.txt", "c.jsonl", "d.txt"] {
        std::fs::write(dir.path().join("in").join(name), "").unwrap();
    }
    let claimed = claimed(&config);
    let parts = tokenise(&config, claimed.scratch());
    let found = claimed.assemble(&config, &tokenizer(), parts, &mut |_| {}, &Default::default());
    assert!(matches!(found, Err(DataError::Empty { .. })));
}
