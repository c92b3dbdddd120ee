//! RoBERTa's older format, `vocab.json` and `merges.txt`, as the `tokenizer.json` that it stands for.

use std::path::Path;

use serde_json::{Value, json};

use super::files::{parse, read_text};
use super::settings::object;
use crate::error::DataError;

/// The rules of a byte-level BPE of GPT-2's kind, from the text of `vocab.json` and the `merges.txt` beside it.
pub(super) fn rules(vocabulary: &str, path: &Path) -> Result<Value, DataError> {
    let wrong = |message: String| DataError::TokenizerFile { path: path.to_owned(), message };
    let vocabulary = parse(vocabulary).map_err(wrong)?;
    if !vocabulary.is_object() {
        return Err(wrong("not an object of pieces and ids".to_owned()));
    }
    let file = path.with_file_name("merges.txt");
    let merges = read_text(&file)?;
    let merges: Vec<&str> =
        merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version")).collect();
    let config = object(&path.with_file_name("tokenizer_config.json"))?.unwrap_or_default();
    let prefix = config.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary,
                  "merges": merges},
    }))
}
