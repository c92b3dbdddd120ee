//! Extractive question answering: SQuAD 1.1 and 2.0.
//!
//! [`read`] parses the official JSON, [`windows`] splits long contexts into overlapping sequences with start and end positions,
//! and [`decode`] turns logits into substrings of the context, in the formats of the official result files.

pub mod decode;
mod read;
mod window;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub use read::{Problems, read, text};
pub use window::{Target, Window, WindowOptions, windows};

/// A reference answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Its byte range in the context.
    pub bytes: Range<usize>,
}

/// A question about a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Id, unique in the data.
    pub id: String,
    /// Text of the question.
    pub text: String,
    /// Reference answers with a correct position; empty if the question is impossible, or if the file has no answers.
    pub answers: Vec<Answer>,
    /// Whether the context holds no answer (SQuAD 2.0).
    pub impossible: bool,
}

/// A paragraph and its questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    /// Title of its article.
    pub title: Arc<str>,
    /// Text of the paragraph.
    pub context: String,
    /// The questions.
    pub questions: Vec<Question>,
}

/// What was met while a file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SquadReport {
    /// The file.
    pub path: PathBuf,
    /// Number of paragraphs that are kept.
    pub paragraphs: u64,
    /// Number of questions that are kept.
    pub questions: u64,
    /// Number of impossible questions among them.
    pub impossible: u64,
    /// Number of answers that were skipped because they are empty or do not occur at their `answer_start`.
    pub misplaced_answers: u64,
    /// Ids of the first 20 questions with such an answer.
    pub misplaced_ids: Vec<String>,
    /// Number of answers to impossible questions, which are skipped.
    pub answers_of_impossible: u64,
    /// Number of paragraphs without text, which are skipped with their questions.
    pub empty_contexts: u64,
    /// Number of questions with a duplicate id, which are skipped.
    pub duplicate_ids: u64,
}

impl SquadReport {
    /// What a user should know, one sentence each; empty if nothing was left out.
    pub fn warnings(&self) -> Vec<String> {
        let path = self.path.display();
        let first = self.misplaced_ids.join(", ");
        [
            (
                self.misplaced_answers,
                format!("answers do not occur at their `answer_start`, first in questions {first}"),
            ),
            (self.answers_of_impossible, "answers belong to questions marked impossible".to_owned()),
            (self.empty_contexts, "paragraphs have no text".to_owned()),
            (self.duplicate_ids, "questions have the id of another".to_owned()),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{path}: {count} {what}; left out"))
        .collect()
    }
}

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SquadData {
    /// In the order of the file.
    pub paragraphs: Vec<Paragraph>,
    /// Statistics of reading the file.
    pub report: SquadReport,
}

#[cfg(test)]
mod tests;
