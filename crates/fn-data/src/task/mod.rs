//! Labelled data of downstream tasks: files to examples to features to batches.
//!
//! [`glue`] knows the tasks of GLUE and their files, [`spec`] a user's own ones; both give [`TaskData`]. [`features`] makes
//! sequences and batches of them. [`squad`] reads questions and answers, cuts windows, and turns logits into text.

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

/// Line numbers of skipped lines that a report holds.
const PLACES: usize = 20;

/// What is to be predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// The number of a class.
    Class(u32),
    /// A score.
    Score(f64),
    /// The number of the tag of each word.
    Tags(Vec<u32>),
}

/// One row of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Its place among the examples of the file, counted from 0.
    pub index: usize,
    /// The id that the file gives it; parts are joined by `-`.
    pub id: Option<String>,
    /// The sentence, or the first of two; for tags, the words with a blank between them.
    pub first: String,
    /// The second sentence.
    pub second: Option<String>,
    /// None in test sets whose labels are not public.
    pub label: Option<Label>,
}

/// What was met while a file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// The file.
    pub path: PathBuf,
    /// Examples.
    pub rows: u64,
    /// Examples that have a label.
    pub labelled: u64,
    /// Lines skipped because they have the wrong number of columns.
    pub broken: u64,
    /// The first of them, counted from 1.
    pub broken_lines: Vec<u64>,
    /// Rows skipped because the annotators did not agree (`-` in MNLI).
    pub undecided: u64,
    /// Examples with a sentence in which there is no text.
    pub empty_sentences: u64,
    /// Blank lines, which are skipped.
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

    /// What a user should know, one sentence each; empty if nothing was left out.
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
    /// What was met.
    pub report: ReadReport,
    /// Where they stand in it; None for a file without lines of text, and for a part of the examples of a file.
    pub places: Option<Places>,
}

impl TaskData {
    /// Fails unless each example has a label: what training and measuring need.
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
