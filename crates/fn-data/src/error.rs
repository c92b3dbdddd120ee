//! What can be wrong with text, vocabularies and shards: one variant per cause.

use std::io;
use std::path::{Path, PathBuf};

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system refused a file operation.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is named but not there.
    #[error("{path}: there is no such file or folder; check the path")]
    Missing {
        /// What was named.
        path: PathBuf,
    },
    /// Bytes that are no UTF-8.
    #[error(
        "{path}: line {line} is neither UTF-8 nor UTF-16 with its mark; convert the file first, e.g. `iconv -f latin1 -t utf-8`"
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
    },
    /// A compressed file that ends too early or is damaged.
    #[error(
        "{path}: the compressed data is cut or damaged after {bytes} bytes of text ({message}); fetch the file again"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Text that could be read.
        bytes: u64,
        /// What the decoder said.
        message: String,
    },
    /// A line that is too long to hold.
    #[error(
        "{path}: line {line} has more than {limit} bytes; put a line break after each sentence or paragraph"
    )]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The limit.
        limit: u64,
    },
    /// A file of a kind that is not read.
    #[error("{path}: {reason}; read are .txt, .jsonl and .parquet, each also .gz, .zst or .xz")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A compressed file that takes more memory to unpack than is given to it.
    #[error("{path}: unpacking it takes more than {limit_mib} MiB of memory, the limit; {again}")]
    DecoderMemory {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_mib: u64,
        /// What to do.
        again: &'static str,
    },
    /// A row of a Parquet file that is no text.
    #[error("{path}: row {row} is not UTF-8")]
    ParquetRow {
        /// The file.
        path: PathBuf,
        /// Counted from 1, without those that are null.
        row: u64,
    },
    /// Sources without a single document.
    #[error("{path}: no text in there; a document is one or more lines that are not blank")]
    Empty {
        /// The first source.
        path: PathBuf,
    },
    /// A line of JSON that cannot be used.
    #[error(
        "{path}: line {line}: {message}; expected an object with a text field `{field}` (another field: `--json-field`, or `data.json_field` of a configuration)"
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The field that holds the text.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// A Parquet file that cannot be used.
    #[error(
        "{path}: {message}; expected a text column `{column}` (another column: `--parquet-column`, or `data.parquet_column` of a configuration)"
    )]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The column that holds the text.
        column: String,
        /// What is wrong.
        message: String,
    },
    /// A vocabulary or tokenizer file that cannot be used.
    #[error("{path}: {message}; expected a WordPiece vocabulary with [PAD], [UNK], [CLS], [SEP] and [MASK]")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A setting of a tokenizer that would give other ids than ours.
    #[error(
        "{path}: {message}; if ids by BERT's own rules are wanted, put vocab.txt into a folder without this file, or correct it"
    )]
    TokenizerSetting {
        /// The file.
        path: PathBuf,
        /// The setting, what was found and expected.
        message: String,
    },
    /// A word that is no piece of the vocabulary.
    #[error(
        "`{word}` is not one piece of this vocabulary but {found} ({pieces}); lexicons hold single pieces only, try another word"
    )]
    NotOnePiece {
        /// The word.
        word: String,
        /// How many pieces it is.
        found: usize,
        /// They themselves.
        pieces: String,
    },
    /// A vocabulary could not be trained.
    #[error("training a vocabulary failed: {message}")]
    Training {
        /// What the library said.
        message: String,
    },
    /// A prepared data set that is not as it was written.
    #[error(
        "{path}: damaged: {message}; remove this folder and run the same command again, it will be made anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        message: String,
    },
    /// A row that does not fit.
    #[error("row {row} has {found} ids or a segment outside of them, at most {expected} ids fit")]
    Row {
        /// Its number.
        row: usize,
        /// Its ids.
        found: usize,
        /// Ids per row.
        expected: usize,
    },
    /// A data set without rows.
    #[error(
        "there is not one row to train on; is the text long enough for the vocabulary and the row length?"
    )]
    NoRows,
    /// Artificial rows that cannot be made.
    #[error(transparent)]
    Synthetic(#[from] crate::synthetic::SyntheticError),
    /// A thread that reads or makes batches died.
    #[error(
        "a data thread ended unexpectedly; run the same command again, and report this if it happens twice"
    )]
    LoaderDied,
    /// A stop was requested.
    #[error("stopped on request")]
    Stopped,
}

impl DataError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { path, action, source },
        }
    }

    /// Whether it is about one line or row, and others may be better.
    pub(crate) fn is_bad_line(&self) -> bool {
        matches!(
            self,
            Self::NotUtf8 { .. } | Self::LineTooLong { .. } | Self::Json { .. } | Self::ParquetRow { .. }
        )
    }

    /// Whether the disk was too full.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
    }
}
