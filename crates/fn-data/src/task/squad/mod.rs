//! Questions whose answers are spans of a text: SQuAD 1.1 and 2.0.
//!
//! [`read`] takes the official JSON, [`windows`] cuts long contexts into overlapping sequences with a start and an end token,
//! and [`decode`] turns the logits of these back into pieces of the context, in the shapes of the official result files.

pub mod decode;
mod read;
mod window;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub use read::{Problems, read, text};
pub use window::{Target, Window, WindowOptions, windows};

/// An answer that a person gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Where it stands in the context, in bytes.
    pub bytes: Range<usize>,
}

/// A question about a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Unique in the data.
    pub id: String,
    /// The question.
    pub text: String,
    /// Answers that stand where they should; none if the question is impossible, or if the file has none.
    pub answers: Vec<Answer>,
    /// Whether the context holds no answer (SQuAD 2.0).
    pub impossible: bool,
}

/// A text and what is asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    /// The article that it is from.
    pub title: Arc<str>,
    /// The text.
    pub context: String,
    /// The questions.
    pub questions: Vec<Question>,
}

/// What was met while a file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SquadReport {
    /// The file.
    pub path: PathBuf,
    /// Paragraphs that are kept.
    pub paragraphs: u64,
    /// Questions that are kept.
    pub questions: u64,
    /// Of these, impossible ones.
    pub impossible: u64,
    /// Answers that do not stand at their place in the context, or are empty; left out.
    pub misplaced_answers: u64,
    /// Ids of questions with such an answer, the first 20.
    pub misplaced_ids: Vec<String>,
    /// Answers of impossible questions; left out.
    pub answers_of_impossible: u64,
    /// Paragraphs without text; left out with their questions.
    pub empty_contexts: u64,
    /// Questions whose id came before; left out.
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
                format!("answers do not stand at their `answer_start`, first in questions {first}"),
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
    /// What was met.
    pub report: SquadReport,
}

#[cfg(test)]
mod tests;
