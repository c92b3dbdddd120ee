//! What can be wrong with labelled data: one variant per cause.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Longest piece of a foreign text that is repeated in a message, in characters.
const QUOTED: usize = 60;

/// Why labelled data cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The file itself cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file without a single row.
    #[error("{path}: not one row in there; is it the right file, and was it fetched whole?")]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Columns from which no example can be made.
    #[error("{path}: the columns are {found}, expected {expected}; is it a file of this task?")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The first line, or the names of the columns.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A line with too few or too many columns.
    #[error(
        "{path}: line {line} has {found} columns, expected {expected}; mend the line, a tab within a text must become a blank"
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
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
        /// What it may be.
        expected: String,
    },
    /// A value of a kind that cannot be used.
    #[error("{path}: line {line}: `{column}` is {found}, expected {expected}; mend or remove this row")]
    Value {
        /// The file.
        path: PathBuf,
        /// Line or row, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// Text that is not the JSON that it should be.
    #[error("{path}: line {line}: {message}; expected {expected}; was the file fetched whole?")]
    Json {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        message: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A Parquet file that cannot be used.
    #[error("{path}: after row {row}: {message}; fetch the file again")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The last good row, counted from 1.
        row: u64,
        /// What is wrong.
        message: String,
    },
    /// More than is held in memory.
    #[error("{path}: more than {limit} {what}; cut the file into parts")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// Data without labels where some are needed.
    #[error(
        "{path}: {missing} of {rows} rows have no label, expected all of them to; train and measure on a labelled file (train or dev)"
    )]
    Unlabelled {
        /// The file.
        path: PathBuf,
        /// Rows without a label.
        missing: u64,
        /// Rows.
        rows: u64,
    },
    /// Ids of a development set that are not in the data.
    #[error(
        "{path}: {missing} of the {expected} listed pairs are not in the training file, the first is {first}; do the two files belong together?"
    )]
    Ids {
        /// The list.
        path: PathBuf,
        /// Pairs that were not found.
        missing: usize,
        /// Pairs that are listed.
        expected: usize,
        /// The first that was not found.
        first: String,
    },
    /// A description of a task that cannot be used.
    #[error(
        "{path}: {message}; expected e.g. `kind = \"classify\"`, `first = \"text\"`, `label = \"label\"`, `labels = [\"no\", \"yes\"]`"
    )]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Lengths that leave no room for the text.
    #[error(
        "a sequence of {found} ids is too short, expected at least {least}; choose a larger maximum length"
    )]
    Length {
        /// The chosen length.
        found: usize,
        /// The least that will do.
        least: usize,
    },
    /// A number that must be at least 1.
    #[error("{what} is 0, expected at least 1; choose a larger number")]
    Zero {
        /// What was chosen.
        what: &'static str,
    },
    /// An answer that is not where it should be.
    #[error(
        "{path}: question {id}: the answer {found} does not stand at character {start} of its context; mend `answer_start`, or read with problems counted instead of refused"
    )]
    Answer {
        /// The file.
        path: PathBuf,
        /// The question.
        id: String,
        /// The answer.
        found: String,
        /// Where it should stand, in characters from 0.
        start: u64,
    },
    /// A paragraph without text.
    #[error(
        "{path}: article {article}, paragraph {paragraph}: the context is empty, expected some text; remove the paragraph, or read with problems counted instead of refused"
    )]
    EmptyContext {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        article: usize,
        /// Counted from 1.
        paragraph: usize,
    },
    /// An id that two questions share.
    #[error(
        "{path}: two questions have the id {id}, expected one; rename or remove the second, or read with problems counted instead of refused"
    )]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// Logits that do not belong to the windows.
    #[error(
        "{what} {found}, expected {expected}; give one row of start and end logits for each window, in order"
    )]
    Logits {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A logit that is no number.
    #[error(
        "window {window}: a logit is not finite at position {position}, expected a number; did the training diverge?"
    )]
    NotFinite {
        /// Counted from 0.
        window: usize,
        /// Counted from 0.
        position: usize,
    },
}

impl TaskError {
    pub(super) fn layout(path: &Path, found: &str, expected: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), found: quoted(found), expected: expected.into() }
    }
}

/// The beginning of a foreign text, safe to print.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED).collect();
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("{cut:?}{more}")
}
