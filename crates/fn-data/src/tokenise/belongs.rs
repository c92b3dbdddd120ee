//! Whether a tokenizer belongs to a model.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::{parse, read_text};
use super::{SPECIAL_TOKENS, TextTokenizer};
use crate::error::DataError;

/// Rows of a token table beyond the vocabulary, at most: tables are padded to a multiple of 64 to 1,024.
const PADDING: u64 = 1_023;

/// A tokenizer that a model was not trained with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{tokenizer}: not the tokenizer of the model {model}: {why}; name the tokenizer that the model was trained with"
)]
pub struct WrongTokenizer {
    /// Where the tokenizer is.
    pub tokenizer: PathBuf,
    /// The folder of the model.
    pub model: PathBuf,
    /// What differs.
    pub why: String,
}

/// Whether a folder holds a tokenizer that [`TextTokenizer::load`] reads.
pub fn has_tokenizer(folder: &Path) -> bool {
    ["tokenizer.json", "vocab.txt"].iter().any(|name| folder.join(name).exists())
        || ["vocab.json", "merges.txt"].iter().all(|name| folder.join(name).exists())
}

impl TextTokenizer {
    /// Checks that this tokenizer, read from `path`, belongs to the model in a Hugging Face folder: its pieces are those of the
    /// tokenizer in the folder, if there is one; the model has a row for each piece, and no more than padding explains; the ids
    /// of special tokens that `config.json` names are those of the tokenizer.
    ///
    /// # Errors
    /// [`DataError::WrongTokenizer`] with both paths and what differs; files of the folder that cannot be read.
    pub fn check_model(&self, path: &Path, folder: &Path) -> Result<(), DataError> {
        let wrong = |why: String| {
            let error = WrongTokenizer { tokenizer: path.to_owned(), model: folder.to_owned(), why };
            Err(DataError::WrongTokenizer(error))
        };
        if has_tokenizer(folder) {
            let own = Self::load(folder)?;
            if let Some(why) = self.first_difference(&own) {
                return wrong(why);
            }
        }
        let file = folder.join("config.json");
        let damaged = |message: String| DataError::Tokenizer { path: file.clone(), message };
        let config: Map<String, Value> = match parse(&read_text(&file)?).map_err(damaged)? {
            Value::Object(config) => config,
            _ => return Err(damaged("not an object".to_owned())),
        };
        let size = self.size() as u64;
        if let Some(rows) = config.get("vocab_size").and_then(Value::as_u64) {
            if size > rows {
                return wrong(format!("it has {size} pieces, the model's token table only {rows} rows"));
            }
            if rows > size + PADDING {
                return wrong(format!("it has {size} pieces, the model's token table {rows} rows"));
            }
        }
        let special = self.special();
        let roles = [
            ("pad_token_id", special.pad, 0),
            ("cls_token_id", special.cls, 2),
            ("sep_token_id", special.sep, 3),
            ("mask_token_id", special.mask, 4),
        ];
        for (key, id, role) in roles {
            let named = config.get(key).and_then(Value::as_u64);
            if let Some(named) = named.filter(|named| *named != u64::from(id)) {
                let token = self.token(id).unwrap_or(SPECIAL_TOKENS[role]);
                return wrong(format!(
                    "`{key}` of config.json is {named}, the tokenizer's {token} has id {id}"
                ));
            }
        }
        Ok(())
    }

    /// What differs between two vocabularies; None if they are the same.
    fn first_difference(&self, other: &Self) -> Option<String> {
        if self.sha256() == other.sha256() {
            return None;
        }
        let (mine, theirs) = (self.pieces(), other.pieces());
        let at = (0..mine.len().max(theirs.len())).find(|&id| mine.get(id) != theirs.get(id))?;
        let piece =
            |pieces: &[String]| pieces.get(at).map_or("missing".to_owned(), |piece| format!("`{piece}`"));
        Some(format!(
            "it has {} pieces and the tokenizer in the model's folder {}; piece {at} is {} here and {} there",
            mine.len(),
            theirs.len(),
            piece(mine),
            piece(theirs)
        ))
    }
}
