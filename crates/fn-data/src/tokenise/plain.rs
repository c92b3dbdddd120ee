//! Fast path for ASCII text.
//!
//! Most words are visible ASCII, for which BERT's rules are: lower-case, split at punctuation, repeatedly take the longest
//! matching piece. They are implemented here without the offsets that the library computes; all other text goes through the
//! library. A test compares both.

use ahash::AHashMap;

use super::{CONTINUES, Normalisation};

/// The vocabulary, for look-ups without building strings.
pub(super) struct Plain {
    /// Pieces that begin a word.
    begins: AHashMap<Box<str>, u32>,
    /// Pieces that continue a word, without `##`.
    continues: AHashMap<Box<str>, u32>,
    /// Length in bytes of the longest piece of each kind.
    longest: [usize; 2],
    unknown: u32,
    lowercase: bool,
    max_word: usize,
}

impl Plain {
    pub(super) fn new(pieces: &[String], unknown: u32, rules: Normalisation) -> Self {
        let (mut begins, mut continues) = (AHashMap::new(), AHashMap::new());
        let mut longest = [0, 0];
        for (id, piece) in pieces.iter().enumerate().filter(|(_, p)| p.is_ascii()) {
            if let Some(rest) = piece.strip_prefix(CONTINUES) {
                continues.insert(rest.into(), id as u32);
                longest[1] = rest.len().max(longest[1]);
            }
            begins.insert(piece.as_str().into(), id as u32);
            longest[0] = piece.len().max(longest[0]);
        }
        Self { begins, continues, longest, unknown, lowercase: rules.lowercase, max_word: rules.max_word }
    }

    /// Appends the ids of a text without blanks; false, and nothing is appended, if it is not visible ASCII.
    pub(super) fn encode(&self, stretch: &str, ids: &mut Vec<u32>) -> bool {
        words(stretch, self.lowercase, |word| self.word(word, ids))
    }

    fn word(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let known = word.len() <= self.max_word && self.pieces(word, ids);
        if !known {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }

    /// Appends the pieces of a word; false if the vocabulary cannot represent it.
    fn pieces(&self, word: &str, ids: &mut Vec<u32>) -> bool {
        let mut start = 0;
        while start < word.len() {
            let rest = &word[start..];
            let (known, longest) = match start {
                0 => (&self.begins, self.longest[0]),
                _ => (&self.continues, self.longest[1]),
            };
            let found = (1..=rest.len().min(longest)).rev().find_map(|n| Some((n, *known.get(&rest[..n])?)));
            let Some((bytes, id)) = found else {
                return false;
            };
            ids.push(id);
            start += bytes;
        }
        true
    }
}

/// Calls `with` for each word of a text without blanks; returns false, without any call, if it is not visible ASCII.
pub(crate) fn words(stretch: &str, lowercase: bool, mut with: impl FnMut(&str)) -> bool {
    if !stretch.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    let lower;
    let mut rest = stretch;
    if lowercase && stretch.bytes().any(|b| b.is_ascii_uppercase()) {
        lower = stretch.to_ascii_lowercase();
        rest = &lower;
    }
    while !rest.is_empty() {
        let letters = rest.bytes().position(|b| b.is_ascii_punctuation()).unwrap_or(rest.len());
        // A run of letters and digits, or one punctuation mark.
        let (word, after) = rest.split_at(letters.max(1));
        with(word);
        rest = after;
    }
    true
}
