//! Which pieces begin a word: by the marks that each kind of tokenizer puts on its pieces.
//!
//! A *word* is what a reader calls one: a run of letters and digits, with the apostrophe that a tokenizer leaves in it; a
//! punctuation mark is a word of its own, and so is each Chinese character, which are written without blanks (but a byte-level piece that
//! holds parts of two characters counts as one with the first).

use std::sync::LazyLock;

use ahash::AHashMap;
use fn_core::vocab::Joint;
use serde_json::Value;

use super::{CONTINUES, TextTokenizer};
use crate::error::DataError;

/// How the pieces of a vocabulary show where words begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordMark {
    /// Pieces within a word have this prefix (`##` in BERT).
    Continues(String),
    /// Pieces are bytes, each written as a character, and those that begin a word begin with a blank, written `Ġ` (GPT-2,
    /// RoBERTa, ModernBERT).
    ByteLevel,
    /// Pieces that begin a word begin with this character (`▁` in SentencePiece).
    Blank(char),
    /// Pieces that end a word have this suffix (`</w>`).
    Ends(String),
    /// Every piece is a word.
    Whole,
    /// Pieces bear no mark: whether one continues a word shows in the text only.
    None,
}

/// What is known of a piece from its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelling {
    /// It bears the mark of a piece within a word, or lacks that of one that begins a word.
    pub(super) continues: bool,
    pub(super) joint: Joint,
    /// As WordPiece would write it: a piece that begins a word plainly, one within a word with `##`.
    pub(super) text: String,
}

impl Spelling {
    fn new(continues: bool, ends: bool, text: String) -> Self {
        Self { continues, joint: Joint { ends, ..Joint::default() }, text }
    }
}

impl WordMark {
    /// The mark of the pieces of a `tokenizer.json`.
    pub(super) fn of(tokenizer: &Value) -> Self {
        let model = tokenizer.get("model");
        let of_model = |key: &str| {
            let text = model.and_then(|model| model.get(key)).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        match model.and_then(|model| model.get("type")).and_then(Value::as_str) {
            Some("WordLevel") => return Self::Whole,
            Some("WordPiece") | None => {
                return Self::Continues(
                    of_model("continuing_subword_prefix").unwrap_or_else(|| CONTINUES.to_owned()),
                );
            }
            _ => {}
        }
        if let Some(suffix) = of_model("end_of_word_suffix") {
            return Self::Ends(suffix);
        }
        if let Some(prefix) = of_model("continuing_subword_prefix") {
            return Self::Continues(prefix);
        }
        for part in ["pre_tokenizer", "normalizer", "decoder"] {
            for step in steps(tokenizer.get(part)) {
                let text = |key: &str| step.get(key).and_then(Value::as_str);
                match text("type") {
                    Some("ByteLevel") => return Self::ByteLevel,
                    Some("Metaspace") => {
                        let mark = text("replacement").and_then(|text| text.chars().next());
                        return Self::Blank(mark.unwrap_or('▁'));
                    }
                    Some("Prepend") => {
                        if let Some(mark) = text("prepend").and_then(|text| text.chars().next()) {
                            return Self::Blank(mark);
                        }
                    }
                    Some("Replace") if part == "normalizer" && blank_pattern(step) => {
                        if let Some(mark) = text("content").and_then(|text| text.chars().next()) {
                            return Self::Blank(mark);
                        }
                    }
                    _ => {}
                }
            }
        }
        Self::None
    }

    /// What this piece of text is; `plain` for an added token, which is written as it is.
    pub(super) fn spelling(&self, piece: &str, plain: bool) -> Spelling {
        let within = |text: &str| format!("{CONTINUES}{text}");
        match self {
            Self::Continues(prefix) => match piece.strip_prefix(prefix.as_str()) {
                Some(rest) if !plain => Spelling::new(true, false, within(rest)),
                _ => Spelling::new(false, false, piece.to_owned()),
            },
            Self::Whole | Self::None => Spelling::new(false, false, piece.to_owned()),
            Self::Ends(suffix) => match piece.strip_suffix(suffix.as_str()) {
                Some(rest) => Spelling::new(true, true, rest.to_owned()),
                None => Spelling::new(true, false, within(piece)),
            },
            Self::ByteLevel if !plain => match bytes(piece) {
                Some(bytes) => unmarked(&bytes, piece),
                None => Spelling::new(false, false, piece.to_owned()),
            },
            Self::ByteLevel => unmarked(piece.as_bytes(), piece),
            Self::Blank(_) => unmarked(&self.bytes_of(piece), piece),
        }
    }

    /// The bytes of this piece in a text, with a blank where a word begins.
    pub(super) fn bytes_of(&self, piece: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => bytes(piece).unwrap_or_else(|| piece.as_bytes().to_vec()),
            // What SentencePiece has no piece for is written byte by byte.
            Self::Blank(mark) => match byte(piece) {
                Some(byte) => vec![byte],
                None => piece.replace(*mark, " ").into_bytes(),
            },
            Self::Ends(suffix) => match piece.strip_suffix(suffix.as_str()) {
                Some(rest) => format!("{rest} ").into_bytes(),
                None => piece.as_bytes().to_vec(),
            },
            Self::Continues(prefix) => match piece.strip_prefix(prefix.as_str()) {
                Some(rest) => rest.as_bytes().to_vec(),
                None => format!(" {piece}").into_bytes(),
            },
            Self::Whole | Self::None => format!(" {piece}").into_bytes(),
        }
    }
}

/// The byte of a piece such as `<0xC3>`.
fn byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// Spelling of a piece of running text, in which a blank is a blank.
fn unmarked(bytes: &[u8], piece: &str) -> Spelling {
    let marked = bytes.first() == Some(&b' ');
    let rest = bytes.strip_prefix(b" ").unwrap_or(bytes);
    let lossy = String::from_utf8_lossy(rest);
    // Of a character of several bytes, a piece may have some only.
    let whole = std::str::from_utf8(rest).is_ok();
    let text = lossy.trim();
    let letters = !whole || text.chars().any(char::is_alphanumeric);
    let (first, last) = (text.chars().next(), text.chars().next_back());
    let white = rest.first().is_some_and(u8::is_ascii_whitespace);
    let chinese_lead = rest.first().is_some_and(|b| (0xe4..=0xe9).contains(b));
    let joint = Joint {
        apart: !letters
            || first.is_some_and(|c| chinese(c) || c == char::REPLACEMENT_CHARACTER && chinese_lead),
        ends: match last {
            // Line breaks and tabs.
            None => !rest.is_empty() && !rest.iter().all(|&b| b == b' '),
            Some(c) => whole && (!letters || chinese(c)),
        },
        blank: !bytes.is_empty() && bytes.iter().all(|&b| b == b' '),
    };
    let text = match (whole && !text.is_empty(), marked || !letters) {
        (false, _) => piece.to_owned(),
        (true, true) => text.to_owned(),
        (true, false) => format!("{CONTINUES}{text}"),
    };
    Spelling { continues: !marked && !white, joint, text }
}

/// Whether a character is one of BERT's Chinese characters, each of which is a word.
fn chinese(c: char) -> bool {
    matches!(u32::from(c), 0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x20000..=0x2ceaf | 0xf900..=0xfaff | 0x2f800..=0x2fa1f)
}

/// The steps of a part of the tokenizer: those of a sequence, or the part alone.
pub(super) fn steps(part: Option<&Value>) -> Vec<&Value> {
    let Some(part) = part.filter(|part| !part.is_null()) else { return Vec::new() };
    for list in ["normalizers", "pretokenizers", "decoders", "processors"] {
        if let Some(parts) = part.get(list).and_then(Value::as_array) {
            return parts.iter().flat_map(|part| steps(Some(part))).collect();
        }
    }
    vec![part]
}

/// Whether a step replaces single blanks.
pub(super) fn blank_pattern(step: &Value) -> bool {
    step.pointer("/pattern/String").and_then(Value::as_str) == Some(" ")
}

/// GPT-2's way of writing bytes as characters: printable ones as they are, the others from U+0100 on, in order.
static BYTES: LazyLock<AHashMap<char, u8>> =
    LazyLock::new(|| byte_characters().into_iter().zip(0..=255).collect());

/// The characters of GPT-2's bytes, in the order of the bytes.
pub(crate) fn byte_characters() -> [char; 256] {
    let mut chars = ['\0'; 256];
    let mut next = 0x100;
    for (byte, slot) in chars.iter_mut().enumerate() {
        *slot = match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte as u8),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap_or('\0')
            }
        };
    }
    chars
}

/// The bytes of a byte-level piece; None if it has other characters.
fn bytes(piece: &str) -> Option<Vec<u8>> {
    piece.chars().map(|c| BYTES.get(&c).copied()).collect()
}

impl TextTokenizer {
    /// Refuses a tokenizer whose pieces bear no mark, for what needs whole words.
    ///
    /// # Errors
    /// [`DataError::NoWordMarks`].
    pub fn require_words(&self) -> Result<(), DataError> {
        match self.0.mark {
            WordMark::None => Err(DataError::NoWordMarks),
            _ => Ok(()),
        }
    }
}
