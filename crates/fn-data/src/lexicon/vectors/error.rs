//! Every way in which files of word vectors can be wrong.

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
        /// What the system said.
        source: std::io::Error,
    },
    /// The name does not tell the format.
    #[error(
        "{path}: unknown format; name it *.txt, *.vec (GloVe or word2vec text, also .gz), *.npy or *.safetensors"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// `.npy` and `.safetensors` hold no words.
    #[error("{path} holds numbers only; name the file with its words (*.txt, one a line, or *.parquet)")]
    WordsMissing {
        /// The file.
        path: PathBuf,
    },
    /// A line has another number of values than the first one.
    #[error(
        "{path}:{line}: found {found} values, expected {expected}; the file is cut or mixes two sets of vectors"
    )]
    Dimension {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Values on this line.
        found: usize,
        /// Values on the first line, or named by the header.
        expected: usize,
    },
    /// A value is no number.
    #[error("{path}:{line}: value {column} is {found:?}, expected a number")]
    NoNumber {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Which value, from 1.
        column: usize,
        /// What stands there, shortened.
        found: String,
    },
    /// A value is NaN or infinite.
    #[error("{path}: row {row} (word {word:?}): value {column} is {found}; the vectors are damaged")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Row, from 1 (the line in text files).
        row: usize,
        /// The word of this row.
        word: String,
        /// Which value, from 1.
        column: usize,
        /// The value.
        found: f32,
    },
    /// The file ends early, or goes on after its end.
    #[error(
        "{path}: found {found} {unit}, expected {expected}; the file is cut or not the one that its header describes"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A header cannot be read.
    #[error("{path}: bad header: found {found}, expected {expected}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What stands there, shortened.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// A line is not UTF-8, or far too long.
    #[error("{path}:{line}: {problem}")]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The words file is no readable Parquet file, or has no column of text.
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
