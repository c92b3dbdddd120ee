//! Errors of reading and scoring answers.

use std::path::PathBuf;

/// Why answers could not be read or scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SquadError {
    /// A file cannot be read.
    #[error("{path}: cannot read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is not JSON of the expected shape.
    #[error("{path}: line {line}, column {column}: {message}; expected {expected}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// Column number, counted from 1.
        column: usize,
        /// Message of the JSON parser, without line and column.
        message: String,
        /// The expected structure of the file.
        expected: &'static str,
    },
    /// A file of questions without questions.
    #[error(
        "{path}: found no questions, expected at least 1 under data/paragraphs/qas; is it the right file?"
    )]
    NoQuestions {
        /// The file.
        path: PathBuf,
    },
    /// Two questions have the same id.
    #[error("{path}: found question id `{id}` twice, expected ids to be unique; were files joined?")]
    DuplicateQuestion {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// `is_impossible` contradicts the references.
    #[error(
        "{path}: question `{id}` has `is_impossible` = {is_impossible} and {answers} answers, expected answers if \
         and only if it is possible; correct the file"
    )]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// The question.
        id: String,
        /// Value of `is_impossible`.
        is_impossible: bool,
        /// Number of references.
        answers: usize,
    },
    /// A question without references, which the rules of 1.1 do not allow.
    #[error(
        "question `{id}` has no answers, expected at least 1 by the rules of SQuAD 1.1; score by those of 2.0"
    )]
    NoReferences {
        /// The question.
        id: String,
    },
    /// No question has a prediction, so there is nothing to average.
    #[error(
        "none of {questions} questions has a prediction (the first is `{first}`; {predictions} predictions for other \
         ids); are the predictions for this file?"
    )]
    NothingScored {
        /// Number of questions.
        questions: usize,
        /// Id of the first question.
        first: String,
        /// Number of predictions, all for other questions.
        predictions: usize,
    },
    /// Two values for the same id.
    #[error("found id `{id}` twice, expected one value for each id; write the predictions anew")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// A question with a prediction, but without a no-answer score.
    #[error(
        "question `{id}` has a prediction and no no-answer score, expected both; write both from the same run"
    )]
    MissingScore {
        /// The question.
        id: String,
    },
    /// A no-answer score or the threshold is NaN.
    #[error("no-answer scores: found NaN {place}, expected a number; did the model diverge?")]
    NotANumber {
        /// `as the threshold`, or the question.
        place: String,
    },
}
