//! What can be wrong with a lexicon.

use std::path::PathBuf;

/// A lexicon that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LexiconError {
    /// The file cannot be opened, read or written.
    #[error("{path}: cannot {action} the lexicon: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any lexicon that we can write.
    #[error("{path}: {found} bytes are too many for a lexicon (at most {limit}); is this another file?")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The file's header or a tensor is missing or broken, or it is no lexicon.
    #[error("{path}: no valid lexicon: {what}; build it again with `fnlm lexicon build`")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The content does not match the checksum in the header.
    #[error(
        "{path}: the lexicon was changed after it was written (SHA-256 {found}, expected {expected}); build it again \
         with `fnlm lexicon build`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Checksum of what was read.
        found: String,
        /// Checksum in the header.
        expected: String,
    },
    /// A row names an id that the vocabulary does not have.
    #[error(
        "the lexicon's row of word {word} holds id {id}, but the vocabulary ends at {last}; build it from this \
         vocabulary",
        last = vocab_size.saturating_sub(1)
    )]
    IdOutOfRange {
        /// Whose row.
        word: u32,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A grade that is none.
    #[error(
        "the lexicon grades id {id} in the row of word {word} with {grade}; grades are above 0 and at most 1 (leave out \
         what has grade 0)"
    )]
    GradeOutOfRange {
        /// Whose row.
        word: u32,
        /// The member.
        id: u32,
        /// Its grade.
        grade: f32,
    },
    /// More words than a lexicon may have.
    #[error("a vocabulary of {found} pieces is larger than the {limit} that a lexicon may have")]
    VocabularyTooLarge {
        /// Size of the vocabulary.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// More members than 32 bits can count.
    #[error("{found} entries are more than a lexicon can hold (2^32 - 1); take fewer neighbours per word")]
    TooManyEntries {
        /// Number of members.
        found: usize,
    },
    /// The lexicon speaks of another vocabulary.
    #[error(
        "the lexicon was made for a vocabulary of {found_size} pieces (SHA-256 {found}), but the one in use has \
         {expected_size} ({expected}); build the lexicon again with this tokenizer"
    )]
    WrongVocabulary {
        /// Size of the lexicon's vocabulary.
        found_size: usize,
        /// Its hash.
        found: String,
        /// Size of the vocabulary in use.
        expected_size: usize,
        /// Its hash.
        expected: String,
    },
}
