//! Errors of reading text, vocabularies and prepared data: one variant for each cause.

use std::io;
use std::path::{Path, PathBuf};

/// Why data could not be read or prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file operation failed.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A path that does not exist.
    #[error("{path}: there is no such file or folder; check the path")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Bytes that are not UTF-8.
    #[error(
        "{path}: line {line} is neither UTF-8 nor UTF-16 with a byte order mark; convert the file first, e.g. `iconv -f latin1 -t utf-8`, \
         or with `-f utf-16le` where every second byte is zero, `-f utf-32le` where three of four are"
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
    },
    /// A compressed file that is truncated or damaged.
    #[error(
        "{path}: the compressed data is truncated or damaged after {bytes} bytes of text ({message}); download the file again"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes of text that were read before the error.
        bytes: u64,
        /// Message of the decoder.
        message: String,
    },
    /// A line that is longer than the limit.
    #[error(
        "{path}: line {line} has more than {limit} bytes; put a line break after each sentence or paragraph"
    )]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A file in a format that is not supported.
    #[error(
        "{path}: {reason}; supported are .txt, .jsonl and .parquet, each also compressed (.gz, .zst or .xz)"
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Why it is not supported.
        reason: String,
    },
    /// A compressed file whose decoder needs more memory than the limit.
    #[error("{path}: decompressing it needs more memory than the limit of {limit_mib} MiB; {again}")]
    DecoderMemory {
        /// The file.
        path: PathBuf,
        /// The limit, in MiB.
        limit_mib: u64,
        /// What to do.
        again: &'static str,
    },
    /// A value of a Parquet file that is not UTF-8.
    #[error("{path}: row {row} is not UTF-8")]
    ParquetRow {
        /// The file.
        path: PathBuf,
        /// Number of the row, counted from 1 among the rows that are not null.
        row: u64,
    },
    /// Sources without a single document.
    #[error("{path}: contains no text; a document is one or more lines that are not blank")]
    Empty {
        /// The first source.
        path: PathBuf,
    },
    /// A line that is not a JSON object with the text field.
    #[error(
        "{path}: line {line}: {message}; expected an object with a text field `{field}` (another field: `--json-field`, or `data.json_field` of a configuration)"
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
        /// The field that holds the text.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// A Parquet file that cannot be read, or that lacks the text column.
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
    /// A vocabulary or tokenizer file that is not a valid WordPiece vocabulary.
    #[error("{path}: {message}; expected a WordPiece vocabulary with [PAD], [UNK], [CLS], [SEP] and [MASK]")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A `tokenizer.json` of another kind that cannot be used.
    #[error("{path}: {message}")]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A setting beside a `tokenizer.json` that contradicts it, or that is not supported.
    #[error("{path}: {message}; correct or remove the setting")]
    TokenizerRules {
        /// The file.
        path: PathBuf,
        /// The setting, what was found and expected.
        message: String,
    },
    /// A SentencePiece model without a `tokenizer.json`.
    #[error(
        "{path}: a SentencePiece model, which is read as tokenizer.json only; convert it once with Python: \
         `transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)` (packages transformers, sentencepiece and \
         protobuf), where FOLDER also holds the model's config.json"
    )]
    SentencePiece {
        /// The file.
        path: PathBuf,
    },
    /// A tokenizer that the model was not trained with.
    #[error(transparent)]
    WrongTokenizer(#[from] crate::tokenise::WrongTokenizer),
    /// A setting of a tokenizer that is not supported and would change token ids.
    #[error(
        "{path}: {message}; to tokenize by the rules of BERT, put vocab.txt into a folder without this file, or correct it"
    )]
    TokenizerSetting {
        /// The file.
        path: PathBuf,
        /// The setting, what was found and expected.
        message: String,
    },
    /// A word that is split into several pieces.
    #[error(
        "`{word}` is not one piece of this vocabulary but {found} ({pieces}); lexicons hold single pieces only, try another word"
    )]
    NotOnePiece {
        /// The word.
        word: String,
        /// Number of pieces.
        found: usize,
        /// The pieces.
        pieces: String,
    },
    /// A vocabulary could not be trained.
    #[error("training a vocabulary failed: {message}")]
    Training {
        /// Message of the `tokenizers` crate.
        message: String,
    },
    /// A prepared data set that was changed or truncated.
    #[error(
        "{path}: damaged: {message}; remove this folder and run the same command again to prepare the data anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        message: String,
    },
    /// A row (training sequence) that is too long, or whose segment B begins outside of it.
    #[error(
        "row {row} has {found} ids, at most {expected} are allowed, or its segment B begins outside of it"
    )]
    Row {
        /// Number of the row.
        row: usize,
        /// Ids of the row.
        found: usize,
        /// Maximum number of ids of a row.
        expected: usize,
    },
    /// Rows of several documents for a tokenizer whose documents begin and end with the same piece.
    #[error(
        "the packing `documents` needs a piece that only begins documents, and this tokenizer begins and ends them with the same one \
         (id {id}); use `data.packing=dense`"
    )]
    NoDocumentStart {
        /// Id of the piece.
        id: u32,
    },
    /// Masking of whole words with a vocabulary whose pieces do not show where words begin.
    #[error(
        "`corruption.unit=whole-word` needs pieces that show where a word begins (`##`, `Ġ`, `▁`, `</w>`), and those of this tokenizer bear no mark: \
         each piece would count as a word; use `corruption.unit=token`, or train a tokenizer with `fnlm tokenizer train`"
    )]
    NoWordMarks,
    /// A data set without rows.
    #[error("the data set has no training sequences; is the text long enough for the sequence length?")]
    NoRows,
    /// Data sets of a mixture with rows of different lengths.
    #[error(
        "source {source_number} of the mixture has rows of {found} tokens, the first one of {expected}; prepare all with the same \
         `data.length`"
    )]
    Lengths {
        /// Number of the source, from 1.
        source_number: usize,
        /// Length of its rows.
        found: usize,
        /// Length of the rows of the first source.
        expected: usize,
    },
    /// A weight of a mixture that cannot be used.
    #[error(transparent)]
    Weight(#[from] crate::mixture::WeightError),
    /// Shards that were made with another tokenizer, or of another length.
    #[error(
        "{path}: these shards have {what} {found}, this configuration has {expected}; prepare them anew with `fnlm data prepare`"
    )]
    OtherShards {
        /// Folder of the shards.
        path: PathBuf,
        /// In what they differ.
        what: &'static str,
        /// What they have.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// A configuration of synthetic sequences that is not possible.
    #[error(transparent)]
    Synthetic(#[from] crate::synthetic::SyntheticError),
    /// A worker thread that reads data or makes batches panicked.
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

    /// Whether the error concerns a single line or row, so that reading can continue with the next one.
    pub(crate) fn is_bad_line(&self) -> bool {
        matches!(
            self,
            Self::NotUtf8 { .. } | Self::LineTooLong { .. } | Self::Json { .. } | Self::ParquetRow { .. }
        )
    }

    /// Whether the cause is a full disk.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
    }
}
