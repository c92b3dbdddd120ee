//! Labelled data of downstream tasks: from files to examples, token sequences and batches.
//!
//! [`glue`] reads the tasks of GLUE, [`spec`] tasks that are described in a TOML file; both return [`TaskData`]. [`features`]
//! tokenises it and makes batches. [`squad`] reads questions and answers, splits contexts into windows, and decodes logits into
//! answers.

mod copy;
pub mod error;
pub mod features;
pub mod glue;
mod input;
mod read;
mod record;
pub mod spec;
pub mod squad;

use std::path::{Path, PathBuf};

pub use copy::Places;
pub use error::TaskError;
pub use glue::{GlueTask, Split};
pub use spec::{TaskKind, TaskSpec};

/// Number of skipped lines whose line numbers are in a report.
const PLACES: usize = 20;

/// The label of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// Index of a class.
    Class(u32),
    /// A score.
    Score(f64),
    /// Index of the tag of each word.
    Tags(Vec<u32>),
}

/// An example of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Index among the examples of the file, counted from 0.
    pub index: usize,
    /// Id in the file; if it has several parts, they are joined by `-`.
    pub id: Option<String>,
    /// The sentence, or the first of two; for tags, the words with a blank between them.
    pub first: String,
    /// The second sentence.
    pub second: Option<String>,
    /// The label; None in test sets whose labels are not public.
    pub label: Option<Label>,
}

/// Statistics of reading a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// The file.
    pub path: PathBuf,
    /// Number of examples.
    pub rows: u64,
    /// Number of examples with a label.
    pub labelled: u64,
    /// Number of lines that were skipped because they have the wrong number of columns.
    pub broken: u64,
    /// Line numbers of the first of them, counted from 1.
    pub broken_lines: Vec<u64>,
    /// Number of rows that were skipped because the annotators did not agree (`-` in MNLI).
    pub undecided: u64,
    /// Number of examples with an empty sentence.
    pub empty_sentences: u64,
    /// Number of blank lines, which are skipped.
    pub blank: u64,
}

impl ReadReport {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    fn add_broken(&mut self, line: u64) {
        self.broken += 1;
        if self.broken_lines.len() < PLACES {
            self.broken_lines.push(line);
        }
    }

    /// Warnings for the user, one sentence each; empty if nothing was skipped.
    pub fn warnings(&self) -> Vec<String> {
        let path = self.path.display();
        let mut out = Vec::new();
        if self.broken > 0 {
            let lines: Vec<String> = self.broken_lines.iter().map(u64::to_string).collect();
            let more = if self.broken > lines.len() as u64 { ", ..." } else { "" };
            let lines = lines.join(", ");
            out.push(format!(
                "{path}: {} lines have the wrong number of columns and were skipped (lines {lines}{more})",
                self.broken
            ));
        }
        if self.undecided > 0 {
            out.push(format!("{path}: {} rows without an agreed label were skipped", self.undecided));
        }
        if self.empty_sentences > 0 {
            out.push(format!("{path}: {} rows have an empty sentence; they are kept", self.empty_sentences));
        }
        out
    }
}

/// The examples of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskData {
    /// In the order of the file.
    pub examples: Vec<Example>,
    /// Statistics of reading the file.
    pub report: ReadReport,
    /// Positions of the sentences in the file; None if the file is not text, or if these are a part of its examples.
    pub places: Option<Places>,
}

impl TaskData {
    /// Checks that each example has a label, as training and evaluation require.
    ///
    /// # Errors
    /// [`TaskError::Unlabelled`].
    pub fn require_labels(&self) -> Result<(), TaskError> {
        let (rows, labelled) = (self.examples.len() as u64, self.report.labelled);
        if labelled == rows {
            return Ok(());
        }
        Err(TaskError::Unlabelled { path: self.report.path.clone(), missing: rows - labelled, rows })
    }
}

#[cfg(test)]
mod tests;
