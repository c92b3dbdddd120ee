//! Parsers of fn-core and fn-data: nothing here needs Burn.

use std::path::Path;

use fn_core::lexicon::{Lexicon, LexiconError};
use fn_data::lexicon::wordnet::{POS, WordNetFiles};
use fn_data::lexicon::{WordNet, WordVectors};
use fn_data::shard::{Dataset, token_counts};
use fn_data::source::{OnBadLine, SourceOptions, Sources};
use fn_data::task::squad::{self, Problems};
use fn_data::task::{GlueTask, TaskSpec, glue};
use fn_data::tokenise::TextTokenizer;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::scratch::{Target, accepted, file, named, parts};

/// All targets of this module.
pub const TARGETS: [Target; 13] = [
    ("text", text),
    ("jsonl", jsonl),
    ("parquet", parquet),
    ("tsv", tsv),
    ("squad_json", squad_json),
    ("task_toml", task_toml),
    ("tokenizer", tokenizer),
    ("vocabulary", vocabulary),
    ("wordnet", wordnet),
    ("vectors", vectors),
    ("lexicon", lexicon),
    ("shard", shard),
    ("shard_manifest", shard_manifest),
];

/// All documents of a file; with bad lines skipped, none is an error.
fn corpus(path: &Path) {
    let read = |on_bad_line| {
        let options = SourceOptions { on_bad_line, ..SourceOptions::default() };
        let mut documents = 0u64;
        for document in Sources::open(&[path.to_owned()], &options)? {
            let document = document?;
            assert!(document.text.len() <= 16 << 20, "a document of {} bytes", document.text.len());
            documents += 1;
        }
        Ok::<_, fn_data::DataError>(documents)
    };
    let all = accepted(read(OnBadLine::Stop));
    let rest = accepted(read(OnBadLine::Skip));
    if let Some(all) = all {
        assert_eq!(rest, Some(all), "nothing to skip, yet something was skipped");
    }
}

/// A corpus of text: UTF-8, UTF-16, compressed.
pub fn text(bytes: &[u8]) {
    corpus(&file(&named("corpus.txt", bytes), bytes));
}

/// A corpus of JSON lines.
pub fn jsonl(bytes: &[u8]) {
    corpus(&file(&named("corpus.jsonl", bytes), bytes));
}

/// A Parquet file, as a corpus and as a table of a task.
pub fn parquet(bytes: &[u8]) {
    let path = file("corpus.parquet", bytes);
    corpus(&path);
    let spec = "[task]\ntype = \"classify\"\nfirst = \"text\"\nlabel = \"label\"\nlabels = [\"a\", \"b\"]\n";
    if let Some(spec) = accepted(TaskSpec::parse(spec, Path::new("task.toml"))) {
        accepted(spec.read(&path));
    }
}

/// A table of each task of GLUE, and of a task of one's own.
pub fn tsv(bytes: &[u8]) {
    let path = file(&named("dev.tsv", bytes), bytes);
    let task = GlueTask::ALL[bytes.len() % GlueTask::ALL.len()];
    if let Some(data) = accepted(glue::read(task, &path)) {
        data.report.warnings();
    }
    for header in ["true", "false"] {
        let column = |name: &'static str, number| if header == "true" { name } else { number };
        let (first, label) = (column("sentence", "0"), column("label", "1"));
        let spec = format!(
            "[task]\ntype = \"classify\"\nheader = {header}\nfirst = \"{first}\"\nlabel = \"{label}\"\nlabels = [\"0\", \"1\"]\n"
        );
        if let Some(spec) = accepted(TaskSpec::parse(&spec, Path::new("task.toml"))) {
            accepted(spec.read(&path));
        }
    }
}

/// Questions in the format of SQuAD. Answers that are kept stand where they claim to.
pub fn squad_json(bytes: &[u8]) {
    let path = file(&named("squad.json", bytes), bytes);
    if let Some(data) = accepted(squad::read(&path, Problems::Count)) {
        for paragraph in &data.paragraphs {
            for answer in paragraph.questions.iter().flat_map(|question| &question.answers) {
                assert_eq!(paragraph.context.get(answer.bytes.clone()), Some(answer.text.as_str()));
            }
        }
        data.report.warnings();
    }
    accepted(squad::read(&path, Problems::Refuse));
}

/// The description of a task of one's own.
pub fn task_toml(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        accepted(TaskSpec::parse(text, Path::new("task.toml")));
    }
}

/// Text of several scripts, with special tokens, for tokenizers that were accepted.
const SAMPLE: &str = "The caf\u{e9} of [MASK] na\u{ef}ve \u{4f60}\u{597d} \u{1f600} </s> re\u{301}sum\u{e9}, don't   stop!\n\u{0}x";

fn use_tokenizer(tokenizer: &TextTokenizer) {
    let ids = tokenizer.encode(SAMPLE);
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.size()), "an id outside of the vocabulary");
    tokenizer.decode(&ids);
    let (_, places) = tokenizer.encode_with_offsets(SAMPLE);
    for place in places {
        assert!(SAMPLE.get(place.clone()).is_some(), "{place:?} is not a place in the text");
    }
    tokenizer.facts();
}

/// `tokenizer.json` and the files of settings beside it: the whole input, or parts with their names.
pub fn tokenizer(bytes: &[u8]) {
    const SETTINGS: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "config.json"];
    let found = parts(bytes);
    let part = |name: &str| found.iter().find(|(found, _)| found == name).map(|(_, bytes)| bytes.as_slice());
    let main = if found.is_empty() { bytes } else { part("tokenizer.json").unwrap_or_default() };
    let path = file("tokenizer/tokenizer.json", main);
    for name in SETTINGS {
        match part(name) {
            Some(bytes) => drop(file(&format!("tokenizer/{name}"), bytes)),
            None => drop(std::fs::remove_file(path.with_file_name(name))),
        }
    }
    if let Some(tokenizer) = path.parent().and_then(|folder| accepted(TextTokenizer::load(folder))) {
        use_tokenizer(&tokenizer);
    }
}

/// `vocab.txt`.
pub fn vocabulary(bytes: &[u8]) {
    let path = file("vocabulary/vocab.txt", bytes);
    if let Some(tokenizer) = accepted(TextTokenizer::load(&path)) {
        use_tokenizer(&tokenizer);
    }
}

/// The dict files of WordNet, each a part with its name.
pub fn wordnet(bytes: &[u8]) {
    let mut files = WordNetFiles::default();
    for (name, bytes) in parts(bytes) {
        for (i, pos) in POS.into_iter().enumerate() {
            let pos = pos.file();
            if name == format!("index.{pos}") {
                files.index[i].clone_from(&bytes);
            } else if name == format!("data.{pos}") {
                files.data[i].clone_from(&bytes);
            } else if name == format!("{pos}.exc") {
                files.exceptions[i].clone_from(&bytes);
            }
        }
    }
    if let Some(net) = accepted(WordNet::parse(Path::new("dict"), &files)) {
        for (_, synset) in net.all() {
            assert!(!format!("{synset:?}").is_empty());
        }
        net.antonyms().count();
        for pos in POS {
            for id in net.synsets("better", pos) {
                assert!(net.synset(id).is_some());
            }
        }
    }
}

/// Word vectors: `.npy` and safetensors by their first bytes, else text.
pub fn vectors(bytes: &[u8]) {
    let pieces = ["[PAD]", "the", "of", "cat", "dog"];
    let words = file("vectors/words.txt", b"the\nof\ncat\n");
    let (name, words) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => ("vectors/v.npy".to_owned(), Some(words)),
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => ("vectors/v.safetensors".to_owned(), Some(words)),
        [0x1f, 0x8b, ..] => ("vectors/v.txt.gz".to_owned(), None),
        _ => ("vectors/v.txt".to_owned(), None),
    };
    let path = file(&name, bytes);
    if let Some(found) = accepted(WordVectors::open(&path, words.as_deref(), None, &pieces)) {
        let cosine = found.cosine(1, 2);
        assert!(cosine.is_none_or(|c| (-1.001..=1.001).contains(&c)), "{cosine:?}");
        found.neighbours(2, 0.1);
    }
}

/// A lexicon, also with the checksum that its content ought to have; what is accepted is written and read as the same.
pub fn lexicon(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut found = Lexicon::load(&file("lexicon.safetensors", &bytes));
    if let Err(LexiconError::Damaged { found: right, expected, .. }) = &found
        && right.len() == expected.len()
        && let Some(at) = bytes.windows(expected.len()).position(|window| window == expected.as_bytes())
    {
        bytes[at..at + right.len()].copy_from_slice(right.as_bytes());
        found = Lexicon::load(&file("lexicon.safetensors", &bytes));
    }
    if let Some(lexicon) = accepted(found) {
        lexicon.stats(None);
        let again = file("again.safetensors", b"");
        assert!(lexicon.save(&again).is_ok());
        assert_eq!(accepted(Lexicon::load(&again)).as_ref(), Some(&lexicon));
    }
}

fn sha256(bytes: &[u8]) -> String {
    fn_core::files::hex(&Sha256::digest(bytes))
}

fn use_dataset(folder: &Path) {
    if let Some(dataset) = accepted(Dataset::open(folder)) {
        for index in 0..dataset.len().min(64) {
            let row = dataset.row(index);
            assert!(row.ids.len() <= dataset.length());
        }
    }
    accepted(token_counts(folder));
}

/// A shard of prepared text, under a manifest that vouches for its bytes.
pub fn shard(bytes: &[u8]) {
    let counts = file("shard/counts.safetensors", bytes);
    file("shard/shard-00000.safetensors", bytes);
    let manifest = json!({
        "version": 1, "key": "k", "length": 8, "packing": "electra", "seed": 1, "vocabulary_sha256": "v",
        "vocabulary_size": 4096, "pad": 0, "documents": 1, "tokens": 9, "rows": 3, "text_bytes": 9,
        "counts_sha256": sha256(bytes),
        "shards": [{"file": "shard-00000.safetensors", "rows": 3, "bytes": bytes.len(), "sha256": sha256(bytes)}],
    });
    let manifest = file("shard/manifest.json", manifest.to_string().as_bytes());
    use_dataset(manifest.parent().unwrap_or(&counts));
}

/// The manifest of prepared text, beside nothing.
pub fn shard_manifest(bytes: &[u8]) {
    let path = file("manifest/manifest.json", bytes);
    if let Some(folder) = path.parent() {
        use_dataset(folder);
    }
}
