//! Errors of reading labelled data: one variant for each cause.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Maximum length of a quotation from a file in a message, in characters.
const QUOTED: usize = 60;

/// Why labelled data could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The file itself cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file without a single row.
    #[error("{path}: contains no rows; is it the right file, and was it downloaded completely?")]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// The columns are not those of the task.
    #[error("{path}: the columns are {found}, expected {expected}; is it a file of this task?")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The first line, or the names of the columns.
        found: String,
        /// The columns that are needed.
        expected: String,
    },
    /// A line with too few or too many columns.
    #[error(
        "{path}: line {line} has {found} columns, expected {expected}; correct the line: a tab within a text must be replaced by a blank"
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// Number, counted from 1.
        line: u64,
        /// Columns of the line.
        found: usize,
        /// Columns of the file.
        expected: usize,
    },
    /// A label that the task does not have.
    #[error("{path}: line {line}: the label is {found}, expected {expected}; is it a file of this task?")]
    Label {
        /// The file.
        path: PathBuf,
        /// Line or row, counted from 1.
        line: u64,
        /// The label.
        found: String,
        /// The possible labels.
        expected: String,
    },
    /// A value of the wrong type.
    #[error("{path}: line {line}: `{column}` is {found}, expected {expected}; correct or remove this row")]
    Value {
        /// The file.
        path: PathBuf,
        /// Line or row, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The value.
        found: String,
        /// The expected type.
        expected: &'static str,
    },
    /// Text that is not JSON of the expected structure.
    #[error("{path}: line {line}: {message}; expected {expected}; was the file downloaded completely?")]
    Json {
        /// The file.
        path: PathBuf,
        /// Number, counted from 1.
        line: u64,
        /// What is wrong.
        message: String,
        /// The expected structure.
        expected: &'static str,
    },
    /// A Parquet file that cannot be read.
    #[error("{path}: after row {row}: {message}; download the file again")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The last good row, counted from 1.
        row: u64,
        /// What is wrong.
        message: String,
    },
    /// A file that is larger than the limit for what is held in memory.
    #[error("{path}: more than {limit} {what}; split the file into parts")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is limited, e.g. `rows`.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Examples without labels where labels are needed.
    #[error(
        "{path}: {missing} of {rows} rows have no label, expected a label for each; train and evaluate on a labelled file (train or dev)"
    )]
    Unlabelled {
        /// The file.
        path: PathBuf,
        /// Number of rows without a label.
        missing: u64,
        /// Number of rows.
        rows: u64,
    },
    /// Ids of a development set that are not in the data.
    #[error(
        "{path}: {missing} of the {expected} listed pairs are not in the training file, the first is {first}; do the two files belong together?"
    )]
    Ids {
        /// The list.
        path: PathBuf,
        /// Number of pairs that were not found.
        missing: usize,
        /// Number of pairs in the list.
        expected: usize,
        /// The first pair that was not found.
        first: String,
    },
    /// An invalid task description.
    #[error(
        "{path}: {message}; expected e.g. `kind = \"classify\"`, `first = \"text\"`, `label = \"label\"`, `labels = [\"no\", \"yes\"]`"
    )]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A maximum length without room for text.
    #[error("a maximum length of {found} ids is too short, expected at least {least}; choose a larger one")]
    Length {
        /// The chosen length.
        found: usize,
        /// The smallest possible length.
        least: usize,
    },
    /// A number that must be at least 1.
    #[error("{what} is 0, expected at least 1; choose a larger number")]
    Zero {
        /// What is 0.
        what: &'static str,
    },
    /// An answer that does not occur at its `answer_start`.
    #[error(
        "{path}: question {id}: the answer {found} does not occur at character {start} of its context; correct `answer_start`, or read with `Problems::Count`"
    )]
    Answer {
        /// The file.
        path: PathBuf,
        /// The question.
        id: String,
        /// The answer.
        found: String,
        /// Its `answer_start`, in characters from 0.
        start: u64,
    },
    /// A paragraph without text.
    #[error(
        "{path}: article {article}, paragraph {paragraph}: the context is empty, expected some text; remove the paragraph, or read with `Problems::Count`"
    )]
    EmptyContext {
        /// The file.
        path: PathBuf,
        /// Number, counted from 1.
        article: usize,
        /// Number, counted from 1.
        paragraph: usize,
    },
    /// An id that two questions share.
    #[error(
        "{path}: two questions have the id {id}, expected one; rename or remove the second, or read with `Problems::Count`"
    )]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// Logits whose number is not that of the windows or ids.
    #[error(
        "{what} {found}, expected {expected}; give one row of start and end logits for each window, in order"
    )]
    Logits {
        /// What was counted.
        what: &'static str,
        /// The number of them.
        found: usize,
        /// The number that is expected.
        expected: usize,
    },
    /// A logit that is NaN or infinite.
    #[error(
        "window {window}: a logit is not finite at position {position}, expected a number; did the training diverge?"
    )]
    NotFinite {
        /// Index, counted from 0.
        window: usize,
        /// Index, counted from 0.
        position: usize,
    },
}

impl TaskError {
    pub(super) fn layout(path: &Path, found: &str, expected: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), found: quoted(found), expected: expected.into() }
    }
}

/// The beginning of a text from a file, escaped for printing.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED).collect();
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("{cut:?}{more}")
}
