//! Errors of reading WordNet.

use fn_core::lexicon::LexiconError;
use std::path::PathBuf;

/// Why WordNet could not be read, or a lexicon not be built from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WordNetError {
    /// A file is missing or cannot be read.
    #[error("{path}: {source}; a WordNet 3.x folder holds index.* and data.* for noun, verb, adj and adv")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is larger than the files of any WordNet.
    #[error("{path} has {found} bytes, the limit is {limit}: this is not a WordNet file")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A line is not UTF-8.
    #[error("{path}:{line}: not UTF-8 text; the file is damaged, unpack it again")]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
    },
    /// A line does not have the format of the WordNet documentation (`wndb`).
    #[error("{path}:{line}: found {found:?}, expected {expected}; the file is damaged, unpack it again")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// The text that was found, shortened.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Two synsets of one file have the same number.
    #[error("{path}:{line}: synset {offset:08} occurs twice; the file is damaged, unpack it again")]
    Twice {
        /// The file.
        path: PathBuf,
        /// Number of the second line, counted from 1.
        line: usize,
        /// The number.
        offset: u32,
    },
    /// A line refers to a synset that does not exist.
    #[error(
        "{path}:{line}: synset {offset:08} is not in {target}; the files are of different WordNet versions or truncated"
    )]
    Dangling {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// The number.
        offset: u32,
        /// The file where it should be.
        target: String,
    },
    /// No entries: the vocabulary and WordNet have no word in common.
    #[error(
        "none of the {pieces} pieces of the vocabulary has an entry with these options; \
         WordNet needs a vocabulary of lower-case whole words"
    )]
    NothingFound {
        /// Size of the vocabulary.
        pieces: usize,
    },
    /// An option is out of range.
    #[error("lexicon option {field} is {found}; it must be {expected}")]
    Option {
        /// The option.
        field: &'static str,
        /// Its value.
        found: String,
        /// The allowed range.
        expected: &'static str,
    },
    /// The finished table is not a valid lexicon.
    #[error(transparent)]
    Lexicon(#[from] LexiconError),
}
