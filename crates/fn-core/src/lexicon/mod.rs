//! Look-up sets: for every word `w` of the vocabulary the words `V(w)` that may stand in its place.
//!
//! A [`Lexicon`] is plain data made elsewhere (from WordNet, from word vectors, or at random as a placebo). Here it is
//! kept valid, compared with its vocabulary, counted, and brought to disk and back (`file.rs`).

mod error;
mod file;
mod stats;

pub use error::LexiconError;
pub use file::MAX_VOCABULARY;
pub use stats::LexiconStats;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::hex;

/// Where a lexicon comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LexiconInfo {
    /// What made it: `wordnet`, `vectors`, `placebo`, `planted`, ...
    pub kind: String,
    /// SHA-256 of the vocabulary whose ids it speaks of.
    pub vocabulary_sha256: String,
    /// Options and source, for the reader.
    pub note: String,
}

/// The look-up sets `V(w)` of a whole vocabulary, as compressed rows.
///
/// Invariants: every row ascends strictly, every member is below [`vocab_size`](Self::vocab_size), and **no row holds its
/// own word**: `w` in `V(w)` would make every correct prediction a false negative.
///
/// ```
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// let lexicon = Lexicon::from_rows(10, [(7, vec![9, 8, 7, 9])], LexiconInfo::default())?;
/// assert_eq!(lexicon.row(7), [8, 9]); // sorted, once each, without the word itself
/// assert!(lexicon.contains(7, 9) && !lexicon.contains(9, 7));
/// assert!(lexicon.symmetric().contains(9, 7));
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexicon {
    /// `vocab_size + 1` ascending offsets into `members`.
    offsets: Vec<u32>,
    members: Vec<u32>,
    info: LexiconInfo,
}

impl Lexicon {
    /// Builds a lexicon from rows in any order. Rows of the same word are united, members sorted and made unique, and the
    /// word itself is dropped from its row; an id outside of the vocabulary is an error.
    pub fn from_rows(
        vocab_size: usize,
        rows: impl IntoIterator<Item = (u32, Vec<u32>)>,
        info: LexiconInfo,
    ) -> Result<Self, LexiconError> {
        if vocab_size > MAX_VOCABULARY {
            return Err(LexiconError::VocabularyTooLarge { found: vocab_size, limit: MAX_VOCABULARY });
        }
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (word, members) in rows {
            for id in members.into_iter().chain([word]) {
                if id as usize >= vocab_size {
                    return Err(LexiconError::IdOutOfRange { word, id, vocab_size });
                }
                if id != word {
                    pairs.push((word, id));
                }
            }
        }
        Self::from_pairs(vocab_size, pairs, info)
    }

    /// From valid pairs (word, member) in any order.
    fn from_pairs(
        vocab_size: usize,
        mut pairs: Vec<(u32, u32)>,
        info: LexiconInfo,
    ) -> Result<Self, LexiconError> {
        pairs.sort_unstable();
        pairs.dedup();
        if u32::try_from(pairs.len()).is_err() {
            return Err(LexiconError::TooManyEntries { found: pairs.len() });
        }
        let mut offsets = vec![0u32; vocab_size + 1];
        for &(word, _) in &pairs {
            offsets[word as usize + 1] += 1;
        }
        for word in 0..vocab_size {
            offsets[word + 1] += offsets[word];
        }
        Ok(Self { offsets, members: pairs.into_iter().map(|(_, member)| member).collect(), info })
    }

    /// Number of ids in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.offsets.len() - 1
    }

    /// `V(w)`, ascending; empty for an id outside of the vocabulary.
    pub fn row(&self, w: u32) -> &[u32] {
        let w = w as usize;
        match (self.offsets.get(w), self.offsets.get(w + 1)) {
            (Some(&start), Some(&end)) => &self.members[start as usize..end as usize],
            _ => &[],
        }
    }

    /// Whether `r` is in `V(w)`.
    pub fn contains(&self, w: u32, r: u32) -> bool {
        self.row(w).binary_search(&r).is_ok()
    }

    /// Size of the largest row.
    pub fn width(&self) -> usize {
        self.offsets.windows(2).map(|o| (o[1] - o[0]) as usize).max().unwrap_or(0)
    }

    /// Number of members of all rows together.
    pub fn entries(&self) -> usize {
        self.members.len()
    }

    /// The words with a non-empty row, with their rows.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u32])> {
        (0..self.vocab_size() as u32).map(|w| (w, self.row(w))).filter(|(_, row)| !row.is_empty())
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        self.rows().flat_map(|(w, row)| row.iter().map(move |&r| (w, r)))
    }

    /// The symmetric closure: `r` in `V(w)` makes `w` a member of `V(r)`.
    ///
    /// # Panics
    /// If the closure has 2^32 entries or more.
    pub fn symmetric(self) -> Self {
        let pairs = self.pairs().flat_map(|(w, r)| [(w, r), (r, w)]).collect();
        let vocab_size = self.vocab_size();
        #[allow(clippy::expect_used)] // needs 16 GiB of entries before
        Self::from_pairs(vocab_size, pairs, self.info).expect("fewer than 2^32 entries")
    }

    /// All members of both lexicons; the information is this one's, with the other's note appended. Both must speak of
    /// the same vocabulary.
    pub fn union(&self, other: &Lexicon) -> Result<Lexicon, LexiconError> {
        other.check_vocabulary(self.vocab_size(), &self.info.vocabulary_sha256)?;
        let mut info = self.info.clone();
        if self.info.kind != other.info.kind {
            info.kind = format!("{}+{}", self.info.kind, other.info.kind);
        }
        info.note = format!("{}; united with {}: {}", self.info.note, other.info.kind, other.info.note);
        Self::from_pairs(self.vocab_size(), self.pairs().chain(other.pairs()).collect(), info)
    }

    /// Where it comes from.
    pub fn info(&self) -> &LexiconInfo {
        &self.info
    }

    /// SHA-256 of the vocabulary size and the rows (not of the information), in hexadecimal digits: equal for equal sets.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.offsets, &self.members] {
            hash.update((part.len() as u64).to_le_bytes());
            for &value in part {
                hash.update(value.to_le_bytes());
            }
        }
        hex(&hash.finalize())
    }

    /// Checks that the lexicon was made for the vocabulary in use. An empty `sha256` on either side means that it is not
    /// known; then the size alone is compared.
    pub fn check_vocabulary(&self, size: usize, sha256: &str) -> Result<(), LexiconError> {
        let own = &self.info.vocabulary_sha256;
        if self.vocab_size() != size || !(own.is_empty() || sha256.is_empty() || own == sha256) {
            return Err(LexiconError::WrongVocabulary {
                found_size: self.vocab_size(),
                found: own.clone(),
                expected_size: size,
                expected: sha256.to_owned(),
            });
        }
        Ok(())
    }
}
