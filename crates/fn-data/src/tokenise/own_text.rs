//! What a tokenizer that was trained here knows of its own training text, kept in a file of its own beside it.

use std::path::Path;

use fn_core::files::write_atomic;
use serde_json::{Value, json};

use super::TextTokenizer;
use super::files::{parse, read_text};
use crate::error::DataError;

/// Name of the file; transformers does not read it.
const FILE: &str = "fnlm-tokenizer.json";

/// Share of \[UNK\] from which any tokenizer is questioned.
const MANY: f64 = 0.01;

/// A warning about a text, called `name`, of whose pieces the share `found` is \[UNK\]: more than one in a hundred, or clearly more than in
/// the tokenizer's own training text (half as much again, and one in a thousand on top, so that two samples of one text are not told apart).
pub fn strange_pieces(name: &str, found: f64, in_own_text: Option<f64>) -> Option<String> {
    const NEXT: &str = "use another, or train one with `fnlm tokenizer train`";
    if found > MANY {
        return Some(format!(
            "{:.1} % of {name} are unknown pieces ([UNK]), from which nothing is learnt: the tokenizer does not suit its language or \
             alphabet; {NEXT}",
            100.0 * found
        ));
    }
    let own = in_own_text.filter(|own| found > 1.5 * own + 0.001)?;
    Some(format!(
        "{:.2} % of {name} are unknown pieces ([UNK]), and {:.2} % of the text that the tokenizer was trained on were: it has characters that \
         the tokenizer never saw; {NEXT} on this text",
        100.0 * found,
        100.0 * own
    ))
}

impl TextTokenizer {
    /// Share of the pieces of its own training text that are \[UNK\], 0 to 1; None for a tokenizer that another program made.
    pub fn unknown_in_own_text(&self) -> Option<f64> {
        self.0.own_text.get().copied()
    }

    /// Keeps the share of \[UNK\] in the training text.
    pub(crate) fn trained_with(self, unknown_share: f64) -> Self {
        let _ = self.0.own_text.set(unknown_share);
        self
    }
}

/// Reads the figure beside a tokenizer that was loaded from `path`. A file that cannot be read, or that is of another vocabulary, gives none:
/// nothing but a warning depends on it.
pub(super) fn read(tokenizer: TextTokenizer, path: &Path) -> TextTokenizer {
    let file = if path.is_dir() { path.join(FILE) } else { path.with_file_name(FILE) };
    let value: Option<Value> = read_text(&file).ok().and_then(|text| parse(&text).ok());
    let of = |key: &str| value.as_ref().and_then(|value| value.get(key));
    let same = of("vocabulary_sha256").and_then(Value::as_str) == Some(tokenizer.sha256());
    match of("unknown_share").and_then(Value::as_f64).filter(|share| same && (0.0..=1.0).contains(share)) {
        Some(share) => tokenizer.trained_with(share),
        None => tokenizer,
    }
}

/// Writes the figure beside the tokenizer, if there is one.
pub(super) fn write(tokenizer: &TextTokenizer, folder: &Path) -> Result<(), DataError> {
    let Some(share) = tokenizer.unknown_in_own_text() else { return Ok(()) };
    let value = json!({"vocabulary_sha256": tokenizer.sha256(), "unknown_share": share});
    let path = folder.join(FILE);
    write_atomic(&path, format!("{value:#}\n").as_bytes()).map_err(DataError::io(&path, "write"))
}
