//! WordPiece tokenisation.
//!
//! From a `tokenizer.json` only the vocabulary and the normalisation are read, and the tokenizer is built from them with the
//! crate `tokenizers`. So truncation, padding and post-processing in the file have no effect, special tokens are not recognised
//! in text, and contents on which the library would panic are rejected before. All other settings in this file or in the files
//! beside it that would change ids are applied, or rejected with an error that names the setting.

mod cache;
mod count;
mod files;
pub(crate) mod plain;
mod settings;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fn_core::files::hex;
use fn_core::vocab::{SpecialIds, VocabFacts};
use sha2::{Digest, Sha256};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{TokenizerBuilder, TokenizerImpl};

use crate::error::DataError;

pub(crate) use cache::BLANKS;

pub use count::count_tokens;

pub use crate::wordpiece::{WordPieceOptions, train_wordpiece};

/// Names of the special tokens: padding, unknown, class, separator, mask.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// Prefix of pieces that continue a word.
pub(crate) const CONTINUES: &str = "##";
/// Words with more characters become `[UNK]` in BERT.
pub(crate) const MAX_WORD: usize = 100;
/// Maximum size of a vocabulary: ids must fit 31 bits, and no published one has more than 300,000 pieces.
const MAX_PIECES: usize = 4 << 20;

type Engine =
    TokenizerImpl<WordPiece, BertNormalizer, BertPreTokenizer, PostProcessorWrapper, DecoderWrapper>;

/// How text is normalised before it is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Normalisation {
    pub(crate) lowercase: bool,
    pub(crate) strip_accents: Option<bool>,
    pub(crate) chinese: bool,
    pub(crate) clean: bool,
    /// Words with more characters become `[UNK]`.
    pub(crate) max_word: usize,
}

impl Normalisation {
    pub(crate) fn bert(lowercase: bool) -> Self {
        Self { lowercase, strip_accents: None, chinese: true, clean: true, max_word: MAX_WORD }
    }
}

/// A WordPiece vocabulary and its tokenizer. Clones share it; any number of threads may use it at once.
#[derive(Clone)]
pub struct TextTokenizer(Arc<Inner>);

struct Inner {
    engine: Engine,
    plain: plain::Plain,
    owner: cache::Owner,
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    special: SpecialIds,
    normalisation: Normalisation,
    sha256: String,
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextTokenizer").field("size", &self.size()).field("sha256", &self.sha256()).finish()
    }
}

impl TextTokenizer {
    /// Reads `tokenizer.json`, `vocab.txt`, or a folder that holds one of them.
    ///
    /// # Errors
    /// A file that is missing, too large, or not a WordPiece vocabulary with the five special tokens.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let (pieces, normalisation, path) = files::read(path)?;
        Self::build(pieces, normalisation, &path)
    }

    /// A tokenizer of these pieces, in the order of their ids.
    ///
    /// # Errors
    /// Empty or duplicate pieces, a missing special token.
    pub fn from_vocab(pieces: Vec<String>, lowercase: bool) -> Result<Self, DataError> {
        Self::build(pieces, Normalisation::bert(lowercase), &PathBuf::from("vocabulary"))
    }

    fn build(pieces: Vec<String>, normalisation: Normalisation, path: &Path) -> Result<Self, DataError> {
        let wrong = |message: String| DataError::Tokenizer { path: path.to_owned(), message };
        if pieces.len() > MAX_PIECES {
            return Err(wrong(format!("{} pieces, at most {MAX_PIECES}", pieces.len())));
        }
        let mut ids = HashMap::with_capacity(pieces.len());
        for (id, piece) in pieces.iter().enumerate() {
            if piece.is_empty() {
                return Err(wrong(format!("piece {id} (line {}) is empty", id + 1)));
            }
            if let Some(first) = ids.insert(piece.clone(), id as u32) {
                return Err(wrong(format!("`{piece}` is piece {first} and again piece {id}")));
            }
        }
        let id = |name: &str| ids.get(name).copied().ok_or_else(|| wrong(format!("{name} is missing")));
        let [pad, unk, cls, sep, mask] = SPECIAL_TOKENS;
        let special =
            SpecialIds { pad: id(pad)?, unk: id(unk)?, cls: id(cls)?, sep: id(sep)?, mask: id(mask)? };
        let mut hasher = Sha256::new();
        for piece in &pieces {
            hasher.update(piece.as_bytes());
            hasher.update(b"\n");
        }
        let sha256 = hex(&hasher.finalize());
        let engine = engine(&ids, normalisation).map_err(wrong)?;
        Ok(Self(Arc::new(Inner {
            engine,
            plain: plain::Plain::new(&pieces, special.unk, normalisation),
            owner: cache::Owner::unique(),
            pieces,
            ids,
            special,
            normalisation,
            sha256,
        })))
    }

    /// Tokenises a text, without adding special tokens and without truncation.
    ///
    /// Each thread caches the ids of recent words (about 20 MB).
    pub fn encode(&self, text: &str) -> Vec<u32> {
        cache::encode(self.0.owner, text, |stretch, ids| {
            if !self.0.plain.encode(stretch, ids) {
                self.encode_by_library(stretch, ids);
            }
        })
    }

    /// Appends the ids of any text, computed by the library (slow path).
    fn encode_by_library(&self, text: &str, ids: &mut Vec<u32>) {
        match self.0.engine.encode_fast(text, false) {
            Ok(encoding) => ids.extend_from_slice(encoding.get_ids()),
            // Does not happen: a vocabulary with [UNK] can encode every text.
            Err(_) => ids.push(self.0.special.unk),
        }
    }

    /// The ids of [`TextTokenizer::encode`], and the byte range of the text for each of them.
    ///
    /// Ranges are in order and end at character boundaries. Slower than `encode`, because nothing is cached.
    pub fn encode_with_offsets(&self, text: &str) -> (Vec<u32>, Vec<Range<usize>>) {
        match self.0.engine.encode(text, false) {
            Ok(encoding) => {
                let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end).collect();
                (encoding.get_ids().to_vec(), offsets)
            }
            // Does not happen, as in `encode`.
            Err(_) => (vec![self.0.special.unk], std::iter::once(0..text.len()).collect()),
        }
    }

    /// Decodes ids: pieces joined by blanks, `##` pieces joined to the one before. Unknown ids are skipped.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for piece in ids.iter().filter_map(|&id| self.token(id)) {
            match piece.strip_prefix(CONTINUES) {
                Some(rest) if !text.is_empty() => text.push_str(rest),
                _ => {
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    text.push_str(piece);
                }
            }
        }
        text
    }

    /// The piece with this id.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.0.pieces.get(id as usize).map(String::as_str)
    }

    /// [`TextTokenizer::token`] for display: `[id 7]` if the vocabulary has no such id.
    pub fn piece(&self, id: u32) -> String {
        self.token(id).map_or_else(|| format!("[id {id}]"), ToString::to_string)
    }

    /// The id of this piece.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.0.ids.get(piece).copied()
    }

    /// The id of a word that is a single piece.
    ///
    /// # Errors
    /// [`DataError::NotOnePiece`] if the word is split into several pieces.
    pub fn one_piece(&self, word: &str) -> Result<u32, DataError> {
        if let Some(id) = self.id(word) {
            return Ok(id);
        }
        match self.encode(word).as_slice() {
            [id] if *id != self.0.special.unk => Ok(*id),
            ids => {
                let pieces: Vec<String> = ids.iter().map(|&id| self.piece(id)).collect();
                Err(DataError::NotOnePiece {
                    word: word.to_owned(),
                    found: pieces.len(),
                    pieces: pieces.join(" "),
                })
            }
        }
    }

    /// Number of pieces.
    pub fn size(&self) -> usize {
        self.0.pieces.len()
    }

    /// All pieces, in the order of their ids.
    pub fn pieces(&self) -> &[String] {
        &self.0.pieces
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialIds {
        self.0.special
    }

    /// The properties of the vocabulary that masking needs.
    pub fn facts(&self) -> VocabFacts {
        let mut facts = VocabFacts::plain(self.size(), self.0.special);
        for (id, piece) in self.0.pieces.iter().enumerate() {
            let unused = piece.starts_with("[unused") && piece.ends_with(']');
            facts.is_special[id] |= unused || SPECIAL_TOKENS.contains(&piece.as_str());
            facts.continues[id] = piece.starts_with(CONTINUES);
        }
        facts
    }

    /// SHA-256 of the vocabulary: of each piece and a line feed, in the order of ids (the bytes of its `vocab.txt`).
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// Whether text is lower-cased.
    pub fn lowercase(&self) -> bool {
        self.0.normalisation.lowercase
    }

    /// Writes `tokenizer.json`, `vocab.txt`, `tokenizer_config.json` and `special_tokens_map.json`, as transformers reads them.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), DataError> {
        files::write(self, dir)
    }

    pub(crate) fn normalisation(&self) -> Normalisation {
        self.0.normalisation
    }
}

/// BERT's normaliser of the library.
pub(crate) fn normalizer(n: Normalisation) -> BertNormalizer {
    BertNormalizer::new(n.clean, n.chinese, n.strip_accents, n.lowercase)
}

fn engine(ids: &HashMap<String, u32>, normalisation: Normalisation) -> Result<Engine, String> {
    let model = WordPiece::builder()
        .vocab(ids.clone().into_iter().collect::<ahash::AHashMap<_, _>>())
        .unk_token(SPECIAL_TOKENS[1].to_owned())
        .continuing_subword_prefix(CONTINUES.to_owned())
        .max_input_chars_per_word(normalisation.max_word)
        .build()
        .map_err(|e| e.to_string())?;
    TokenizerBuilder::new()
        .with_model(model)
        .with_normalizer(Some(normalizer(normalisation)))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(None)
        .with_decoder(None)
        .build()
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
