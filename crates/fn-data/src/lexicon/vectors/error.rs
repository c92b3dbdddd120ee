//! Errors of reading word vectors.

use fn_core::lexicon::LexiconError;
use std::path::PathBuf;

/// Why word vectors could not be read, or a lexicon not be built from them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// A file is missing or cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The format cannot be determined from the file name.
    #[error(
        "{path}: unknown format; name it *.txt, *.vec (GloVe or word2vec text, also .gz), *.npy or *.safetensors"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// `.npy` and `.safetensors` files contain no words, so a file with the words is needed.
    #[error("{path} holds numbers only; name the file with its words (*.txt, one a line, or *.parquet)")]
    WordsMissing {
        /// The file.
        path: PathBuf,
    },
    /// A line has another number of values than the first one.
    #[error(
        "{path}:{line}: found {found} values, expected {expected}; the file is truncated or mixes two sets of vectors"
    )]
    Dimension {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// Values on this line.
        found: usize,
        /// Values on the first line, or the number in the header.
        expected: usize,
    },
    /// A value is not a number.
    #[error("{path}:{line}: value {column} is {found:?}, expected a number")]
    NoNumber {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// Number of the value in its row, counted from 1.
        column: usize,
        /// The text that was found, shortened.
        found: String,
    },
    /// A value is NaN or infinite.
    #[error("{path}: row {row} (word {word:?}): value {column} is {found}; the vectors are damaged")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Number of the row, counted from 1 (the line in text files).
        row: usize,
        /// The word of this row.
        word: String,
        /// Number of the value in its row, counted from 1.
        column: usize,
        /// The value.
        found: f32,
    },
    /// The file is shorter or longer than its header says.
    #[error(
        "{path}: found {found} {unit}, expected {expected}; the file is truncated or does not match its header"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The number that was found.
        found: u64,
        /// The number that was expected.
        expected: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// A header cannot be read.
    #[error("{path}: bad header: found {found}, expected {expected}")]
    Header {
        /// The file.
        path: PathBuf,
        /// The text that was found, shortened.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A line is not UTF-8, or far too long.
    #[error("{path}:{line}: {problem}")]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file of words is not a readable Parquet file, or has no column of text.
    #[error("{path}: {problem}; expected a Parquet file with a column of words")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No word of the file is a piece of the vocabulary.
    #[error(
        "{path}: none of its {words} words is a whole-word piece of the vocabulary; the vocabulary must be lower-case"
    )]
    NothingFound {
        /// The file.
        path: PathBuf,
        /// Words in the file.
        words: u64,
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
