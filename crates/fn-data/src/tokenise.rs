//! Tokenisation.
//!
//! A WordPiece tokenizer by BERT's rules is built from its vocabulary and its normalisation alone, and has a fast path of our own. Any
//! other `tokenizer.json` is run by the crate `tokenizers`. In both, truncation and padding of the file have no effect and special
//! tokens are not recognised in text; special tokens are found by their role, and the post-processor becomes a [`Frame`]. All
//! other settings in this file or in the files beside it that would change ids are applied, or rejected with an error that
//! names the setting.

mod belongs;
mod cache;
mod count;
mod files;
mod foreign;
mod frame;
mod library;
mod literal;
mod marks;
mod merges;
mod own_text;
pub(crate) mod plain;
mod roles;
mod settings;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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
pub(crate) use marks::byte_characters;

pub use belongs::{WrongTokenizer, has_tokenizer};
pub use count::count_tokens;
pub use frame::Frame;
pub use marks::WordMark;
pub use own_text::strange_pieces;

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

/// A vocabulary and its tokenizer. Clones share it; any number of threads may use it at once.
#[derive(Clone)]
pub struct TextTokenizer(Arc<Inner>);

struct Inner {
    rules: Rules,
    owner: cache::Owner,
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    special: SpecialIds,
    frame: Frame,
    mark: WordMark,
    /// Pieces as WordPiece would write them; made when they are first asked for.
    spelled: OnceLock<Spelled>,
    own_text: OnceLock<f64>,
    max_length: Option<usize>,
    literal: literal::Literal,
    sha256: String,
}

enum Rules {
    Bert(Box<Bert>),
    Foreign(Box<foreign::Foreign>),
}

/// BERT's rules.
struct Bert {
    engine: Engine,
    plain: plain::Plain,
    normalisation: Normalisation,
}

/// Pieces as WordPiece would write them, and their ids.
struct Spelled {
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextTokenizer").field("size", &self.size()).field("sha256", &self.sha256()).finish()
    }
}

impl TextTokenizer {
    /// Reads `tokenizer.json`, `vocab.txt`, `vocab.json` with `merges.txt`, or a folder that holds one of them.
    ///
    /// # Errors
    /// A file that is missing, too large or damaged; a role without a special token; a setting that is not supported.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let loaded = match files::read(path)? {
            files::Read::Bert { pieces, normalisation, path, frame, max_length } => {
                Self::build(pieces, normalisation, (frame, max_length), &path)
            }
            files::Read::Foreign(read) => foreign::build(*read),
        };
        loaded.map(|tokenizer| own_text::read(tokenizer, path))
    }

    /// A tokenizer by the rules of a `tokenizer.json`.
    pub(crate) fn from_rules(rules: serde_json::Value) -> Result<Self, DataError> {
        let path = PathBuf::from("vocabulary");
        foreign::build(foreign::Read { path, rules, beside: Vec::new(), model_type: None })
    }

    /// A WordPiece tokenizer of these pieces, in the order of their ids.
    ///
    /// # Errors
    /// Empty or duplicate pieces, a missing special token.
    pub fn from_vocab(pieces: Vec<String>, lowercase: bool) -> Result<Self, DataError> {
        Self::build(pieces, Normalisation::bert(lowercase), (None, None), &PathBuf::from("vocabulary"))
    }

    fn build(
        pieces: Vec<String>,
        normalisation: Normalisation,
        (frame, max_length): (Option<serde_json::Value>, Option<usize>),
        path: &Path,
    ) -> Result<Self, DataError> {
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
        let found = Frame::parse(frame.as_ref(), special, &|token| ids.get(token).copied()).map_err(wrong)?;
        let bert = Bert {
            engine: engine(&ids, normalisation).map_err(wrong)?,
            plain: plain::Plain::new(&pieces, special.unk, normalisation),
            normalisation,
        };
        Ok(Self(Arc::new(Inner {
            rules: Rules::Bert(Box::new(bert)),
            owner: cache::Owner::unique(),
            sha256: sha256(&pieces),
            literal: literal::Literal::new(SPECIAL_TOKENS.iter().copied()),
            pieces,
            ids,
            special,
            frame: found.unwrap_or_else(|| Frame::bert(special)),
            mark: WordMark::Continues(CONTINUES.to_owned()),
            spelled: OnceLock::new(),
            own_text: OnceLock::new(),
            max_length,
        })))
    }

    /// Tokenises a text, without adding special tokens and without truncation.
    ///
    /// Each thread caches the ids of recent words (about 20 MB).
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match &self.0.rules {
            Rules::Bert(bert) => {
                let stretches = text.split(BLANKS).filter(|stretch| !stretch.is_empty());
                cache::encode(self.0.owner, stretches, text.len(), |stretch, ids| {
                    if !bert.plain.encode(stretch, ids) {
                        bert.by_library(stretch, self.0.special.unk, ids);
                    }
                })
            }
            Rules::Foreign(foreign) => foreign.engine.encode(self.0.owner, text),
        }
    }

    /// Appends the ids of any text, computed by the library (slow path).
    #[cfg(test)]
    fn encode_by_library(&self, text: &str, ids: &mut Vec<u32>) {
        match &self.0.rules {
            Rules::Bert(bert) => bert.by_library(text, self.0.special.unk, ids),
            Rules::Foreign(foreign) => foreign.engine.plainly(text, ids),
        }
    }

    /// The ids of [`TextTokenizer::encode`], and the byte range of the text for each of them.
    ///
    /// Ranges are in order and end at character boundaries; the blank before a word is not part of them. Slower than `encode`,
    /// because nothing is cached.
    pub fn encode_with_offsets(&self, text: &str) -> (Vec<u32>, Vec<Range<usize>>) {
        let bert = match &self.0.rules {
            Rules::Bert(bert) => bert,
            Rules::Foreign(foreign) => return foreign.engine.encode_with_offsets(text),
        };
        match bert.engine.encode(text, false) {
            Ok(encoding) => {
                let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end).collect();
                (encoding.get_ids().to_vec(), offsets)
            }
            // Does not happen, as in `encode`.
            Err(_) => (vec![self.0.special.unk], std::iter::once(0..text.len()).collect()),
        }
    }

    /// The ids of a word as it stands within a text, after a blank.
    pub fn encode_word(&self, word: &str) -> Vec<u32> {
        match &self.0.mark {
            WordMark::ByteLevel => self.encode(&format!(" {word}")),
            _ => self.encode(word),
        }
    }

    /// The ids of the parts of a text between gaps, each of which one special token fills. Of vocabularies whose words bring
    /// their blank along, the blank before a gap belongs to it.
    pub fn encode_around_gaps(&self, parts: &[&str]) -> Vec<Vec<u32>> {
        let own_blank = matches!(self.0.mark, WordMark::ByteLevel | WordMark::Blank(_));
        let last = parts.len().saturating_sub(1);
        let part = |(at, part): (usize, &&str)| match own_blank && at < last {
            true => self.encode(part.trim_end_matches(' ')),
            false => self.encode(part),
        };
        parts.iter().enumerate().map(part).collect()
    }

    /// Decodes ids: pieces joined by blanks where a word begins. Unknown ids are skipped.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            let Some(piece) = self.token(id) else { continue };
            if self.is_special(id) && !matches!(self.0.mark, WordMark::Continues(_)) {
                bytes.extend_from_slice(piece.as_bytes());
            } else {
                bytes.extend_from_slice(&self.0.mark.bytes_of(piece));
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned()
    }

    /// The piece with this id.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.0.pieces.get(id as usize).map(String::as_str)
    }

    /// [`TextTokenizer::spelled`] of one piece, for display: `[id 7]` if the vocabulary has no such id.
    pub fn piece(&self, id: u32) -> String {
        self.spelled().get(id as usize).map_or_else(|| format!("[id {id}]"), ToString::to_string)
    }

    /// All pieces as WordPiece would write them, in the order of their ids: a piece that begins a word plainly, one within a word
    /// with `##`. So `Ġrun` and `▁run` are `run`, and their `ning` is `##ning`. Of a WordPiece vocabulary these are the pieces.
    ///
    /// Lexicons and judges compare words by it, whatever the kind of tokenizer.
    pub fn spelled(&self) -> &[String] {
        match &self.0.rules {
            Rules::Bert(_) => &self.0.pieces,
            Rules::Foreign(_) => &self.spellings().pieces,
        }
    }

    fn spellings(&self) -> &Spelled {
        self.0.spelled.get_or_init(|| {
            let of = |id: usize, piece: &String| match self.is_special(id as u32) {
                true => piece.clone(),
                false => self.spelling(id as u32, piece).text,
            };
            let pieces: Vec<String> = self.0.pieces.iter().enumerate().map(|(id, p)| of(id, p)).collect();
            let mut ids = HashMap::with_capacity(pieces.len());
            // Of two pieces that are written alike, such as `Ġ(` and `(`, the first.
            for (id, piece) in pieces.iter().enumerate() {
                ids.entry(piece.clone()).or_insert(id as u32);
            }
            Spelled { pieces, ids }
        })
    }

    fn spelling(&self, id: u32, piece: &str) -> marks::Spelling {
        let plain = match &self.0.rules {
            Rules::Bert(_) => false,
            Rules::Foreign(foreign) => foreign.added.contains(&id),
        };
        self.0.mark.spelling(piece, plain)
    }

    /// The id of the piece that [`TextTokenizer::spelled`] writes so: of a lower-case word, the id that it has within a text.
    pub fn spelled_id(&self, piece: &str) -> Option<u32> {
        match &self.0.rules {
            Rules::Bert(_) => self.id(piece),
            Rules::Foreign(_) => self.spellings().ids.get(piece).copied(),
        }
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
        if let Some(id) = self.spelled_id(word).or_else(|| self.id(word)) {
            return Ok(id);
        }
        match self.encode_word(word).as_slice() {
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
        let marked_once = !matches!(self.0.mark, WordMark::Continues(_));
        for (id, piece) in self.0.pieces.iter().enumerate() {
            facts.is_special[id] |= self.is_special(id as u32);
            let spelling = self.spelling(id as u32, piece);
            facts.continues[id] = spelling.continues;
            if marked_once {
                facts.joints.push(spelling.joint);
            }
        }
        facts
    }

    /// Whether no text has this piece: a special token, or an unused one.
    pub fn is_special(&self, id: u32) -> bool {
        let Some(piece) = self.token(id) else { return false };
        match &self.0.rules {
            Rules::Bert(_) => unused(piece) || SPECIAL_TOKENS.contains(&piece),
            Rules::Foreign(foreign) => foreign.special.contains(&id),
        }
    }

    /// How special tokens frame a text or a pair.
    pub fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// How pieces show where words begin.
    pub fn mark(&self) -> &WordMark {
        &self.0.mark
    }

    /// Number of tokens, special ones included, that the model can read, if the files say so (`model_max_length`).
    pub fn max_length(&self) -> Option<usize> {
        self.0.max_length
    }

    /// SHA-256 of the vocabulary: of each piece and a line feed, in the order of ids (the bytes of its `vocab.txt`).
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// Whether text is lower-cased.
    pub fn lowercase(&self) -> bool {
        match &self.0.rules {
            Rules::Bert(bert) => bert.normalisation.lowercase,
            Rules::Foreign(foreign) => foreign.engine.lowercase(),
        }
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and, of a WordPiece vocabulary by BERT's rules,
    /// `vocab.txt`, as transformers reads them; of one that was trained here also [`Self::unknown_in_own_text`].
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), DataError> {
        match &self.0.rules {
            Rules::Bert(bert) => files::write(self, bert.normalisation, dir),
            Rules::Foreign(foreign) => foreign::write(self, foreign, dir),
        }?;
        own_text::write(self, dir)
    }

    /// What ids depend on beside the vocabulary, as text: part of the hash of prepared data.
    pub(crate) fn rules_key(&self) -> String {
        match &self.0.rules {
            Rules::Bert(bert) if self.0.frame == Frame::bert(self.0.special) => {
                format!("{:?}", bert.normalisation)
            }
            Rules::Bert(bert) => format!("{:?}{:?}", bert.normalisation, self.0.frame),
            Rules::Foreign(foreign) => format!("{}{:?}", foreign.sha256, self.0.frame),
        }
    }
}

impl Bert {
    /// Appends the ids of any text, computed by the library (slow path).
    fn by_library(&self, text: &str, unknown: u32, ids: &mut Vec<u32>) {
        match self.engine.encode_fast(text, false) {
            Ok(encoding) => ids.extend_from_slice(encoding.get_ids()),
            // Does not happen: a vocabulary with [UNK] can encode every text.
            Err(_) => ids.push(unknown),
        }
    }
}

/// Whether a piece is a place that a vocabulary keeps free, such as `[unused7]`.
fn unused(piece: &str) -> bool {
    piece.starts_with("[unused") && piece.ends_with(']')
}

/// SHA-256 of each piece and a line feed.
fn sha256(pieces: &[String]) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece.as_bytes());
        hasher.update(b"\n");
    }
    hex(&hasher.finalize())
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
