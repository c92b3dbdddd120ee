//! Look-up sets: for every word `w` of the vocabulary the words `V(w)` that may stand in its place.
//!
//! Every entry has a grade in (0, 1]: how well the member stands for the word, 1 for as good as the word itself. Lexicons that only say
//! yes or no have grade 1 throughout and store none.
//!
//! A [`Lexicon`] is plain data made elsewhere (from WordNet, from word vectors, or at random as a placebo). Here it is
//! kept valid, compared with its vocabulary, counted, and brought to disk and back (`file.rs`).

mod error;
mod file;
mod stats;

pub use error::LexiconError;
pub use file::MAX_VOCABULARY;
pub use stats::{GradeStats, LexiconStats};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::hex;

/// Where a lexicon comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LexiconInfo {
    /// What made it: `wordnet`, `vectors`, `placebo`, `planted`, ...
    pub kind: String,
    /// SHA-256 of the vocabulary that its ids belong to.
    pub vocabulary_sha256: String,
    /// Options and source, for the reader.
    pub note: String,
}

/// The look-up sets `V(w)` of a whole vocabulary, as compressed sparse rows.
///
/// Invariants: every set ascends strictly, every member is below [`vocab_size`](Self::vocab_size), and **no set holds its
/// own word**: `w` in `V(w)` would make every correct prediction a false negative. Grades are above 0 and at most 1.
///
/// ```
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// let lexicon = Lexicon::from_rows(10, [(7, vec![9, 8, 7, 9])], LexiconInfo::default())?;
/// assert_eq!(lexicon.row(7), [8, 9]); // sorted, once each, without the word itself
/// assert!(lexicon.contains(7, 9) && !lexicon.contains(9, 7));
/// assert!(lexicon.symmetric().contains(9, 7));
///
/// let graded = Lexicon::from_graded_rows(10, [(7, vec![(9, 0.75), (8, 0.5)])], LexiconInfo::default())?;
/// assert_eq!((graded.grade(7, 9), graded.grade(7, 8), graded.grade(7, 1)), (0.75, 0.5, 0.0));
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Lexicon {
    /// `vocab_size + 1` ascending offsets into `members`.
    offsets: Vec<u32>,
    members: Vec<u32>,
    /// The grade of each member; empty if all are 1.
    grades: Vec<f32>,
    info: LexiconInfo,
}

/// No grade is NaN.
impl Eq for Lexicon {}

impl Lexicon {
    /// Builds a lexicon from sets in any order. Sets of the same word are united, members sorted and made unique, and the
    /// word itself is dropped from its set; an id outside of the vocabulary is an error. Every entry has grade 1.
    pub fn from_rows(
        vocab_size: usize,
        rows: impl IntoIterator<Item = (u32, Vec<u32>)>,
        info: LexiconInfo,
    ) -> Result<Self, LexiconError> {
        let graded =
            |(word, members): (u32, Vec<u32>)| (word, members.into_iter().map(|id| (id, 1.0)).collect());
        Self::from_graded_rows(vocab_size, rows.into_iter().map(graded), info)
    }

    /// As [`from_rows`](Self::from_rows), with the grade of every member. Of the grades given for one entry the highest counts.
    ///
    /// # Errors
    /// An id outside of the vocabulary; a grade that is not above 0 and at most 1.
    pub fn from_graded_rows(
        vocab_size: usize,
        rows: impl IntoIterator<Item = (u32, Vec<(u32, f32)>)>,
        info: LexiconInfo,
    ) -> Result<Self, LexiconError> {
        if vocab_size > MAX_VOCABULARY {
            return Err(LexiconError::VocabularyTooLarge { found: vocab_size, limit: MAX_VOCABULARY });
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (word, members) in rows {
            if word as usize >= vocab_size {
                return Err(LexiconError::IdOutOfRange { word, id: word, vocab_size });
            }
            for (id, grade) in members {
                if id as usize >= vocab_size {
                    return Err(LexiconError::IdOutOfRange { word, id, vocab_size });
                }
                check_grade(word, id, grade)?;
                if id != word {
                    entries.push((word, id, grade));
                }
            }
        }
        Self::from_entries(vocab_size, entries, info)
    }

    /// From valid entries in any order.
    fn from_entries(
        vocab_size: usize,
        mut entries: Vec<Entry>,
        info: LexiconInfo,
    ) -> Result<Self, LexiconError> {
        // The highest grade of an entry comes first and stays.
        entries.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.total_cmp(&a.2)));
        entries.dedup_by_key(|entry| (entry.0, entry.1));
        if u32::try_from(entries.len()).is_err() {
            return Err(LexiconError::TooManyEntries { found: entries.len() });
        }
        let mut offsets = vec![0u32; vocab_size + 1];
        for &(word, ..) in &entries {
            offsets[word as usize + 1] += 1;
        }
        for word in 0..vocab_size {
            offsets[word + 1] += offsets[word];
        }
        let graded = entries.iter().any(|entry| entry.2 < 1.0);
        let grades = if graded { entries.iter().map(|entry| entry.2).collect() } else { Vec::new() };
        Ok(Self {
            offsets,
            members: entries.into_iter().map(|(_, member, _)| member).collect(),
            grades,
            info,
        })
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

    /// The members of `V(w)` with their grades, ascending by id.
    pub fn graded_row(&self, w: u32) -> impl Iterator<Item = (u32, f32)> {
        let start = self.offsets.get(w as usize).map_or(0, |&start| start as usize);
        let grade = move |k: usize| self.grades.get(start + k).copied().unwrap_or(1.0);
        self.row(w).iter().enumerate().map(move |(k, &member)| (member, grade(k)))
    }

    /// The grade of `r` in the place of `w`: above 0 and at most 1 for a member of `V(w)`, else 0.
    pub fn grade(&self, w: u32, r: u32) -> f32 {
        match self.row(w).binary_search(&r) {
            Ok(place) => self.grades.get(self.offsets[w as usize] as usize + place).copied().unwrap_or(1.0),
            Err(_) => 0.0,
        }
    }

    /// Whether any entry has a grade below 1.
    pub fn is_graded(&self) -> bool {
        !self.grades.is_empty()
    }

    /// Whether `r` is in `V(w)`.
    pub fn contains(&self, w: u32, r: u32) -> bool {
        self.row(w).binary_search(&r).is_ok()
    }

    /// Size of the largest set.
    pub fn width(&self) -> usize {
        self.offsets.windows(2).map(|o| (o[1] - o[0]) as usize).max().unwrap_or(0)
    }

    /// Number of members of all sets together.
    pub fn entries(&self) -> usize {
        self.members.len()
    }

    /// The words with a non-empty set, with their sets.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u32])> {
        (0..self.vocab_size() as u32).map(|w| (w, self.row(w))).filter(|(_, row)| !row.is_empty())
    }

    fn all_entries(&self) -> impl Iterator<Item = Entry> {
        self.rows().flat_map(|(w, _)| self.graded_row(w).map(move |(r, grade)| (w, r, grade)))
    }

    /// The symmetric closure: `r` in `V(w)` makes `w` a member of `V(r)`. Of the grades of both directions the higher one counts.
    ///
    /// # Panics
    /// If the closure has 2^32 entries or more.
    pub fn symmetric(self) -> Self {
        let entries = self.all_entries().flat_map(|(w, r, grade)| [(w, r, grade), (r, w, grade)]).collect();
        let vocab_size = self.vocab_size();
        #[allow(clippy::expect_used)] // needs 16 GiB of entries before
        Self::from_entries(vocab_size, entries, self.info).expect("fewer than 2^32 entries")
    }

    /// All members of both lexicons, each with its higher grade; the information is this one's, with the other's note appended. Both
    /// must speak of the same vocabulary.
    pub fn union(&self, other: &Lexicon) -> Result<Lexicon, LexiconError> {
        other.check_vocabulary(self.vocab_size(), &self.info.vocabulary_sha256)?;
        let mut info = self.info.clone();
        if self.info.kind != other.info.kind {
            info.kind = format!("{}+{}", self.info.kind, other.info.kind);
        }
        info.note = format!("{}; united with {}: {}", self.info.note, other.info.kind, other.info.note);
        Self::from_entries(self.vocab_size(), self.all_entries().chain(other.all_entries()).collect(), info)
    }

    /// Where it comes from.
    pub fn info(&self) -> &LexiconInfo {
        &self.info
    }

    /// SHA-256 of the vocabulary size, the rows and their grades (not of the information), in hexadecimal digits: equal for equal
    /// sets. Grades count only where one is below 1.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.offsets, &self.members] {
            hash.update((part.len() as u64).to_le_bytes());
            for &value in part {
                hash.update(value.to_le_bytes());
            }
        }
        for grade in &self.grades {
            hash.update(grade.to_le_bytes());
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

/// Word, member, grade.
type Entry = (u32, u32, f32);

fn check_grade(word: u32, id: u32, grade: f32) -> Result<(), LexiconError> {
    match grade > 0.0 && grade <= 1.0 {
        true => Ok(()),
        false => Err(LexiconError::GradeOutOfRange { word, id, grade }),
    }
}
