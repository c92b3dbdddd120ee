//! Progress reports: to `metrics.jsonl`, to TensorBoard, to the terminal.
//!
//! Each destination is a [`Reporter`]; [`Reporters`] combines several. Numbers are written unchanged: a NaN is written as
//! `"NaN"`, not omitted and not replaced by a mean.

mod jsonl;
mod meter;
mod plain;
mod tensorboard;
#[cfg(test)]
mod tests;

pub use jsonl::{JsonLines, WARNINGS};
pub use meter::Meter;
pub use plain::{PlainLines, evaluation_line, slowest};
pub use tensorboard::TensorBoard;

use std::io;
use std::path::{Path, PathBuf};

use fn_core::stats::FalseNegativeStats;

/// Values of one optimiser step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Number of the step, counted from 1.
    pub step: u64,
    /// Training loss of the step.
    pub loss: f64,
    /// The terms of the loss, which add up to it.
    pub terms: Vec<(String, f64)>,
    /// Counts of wrong predictions and false negatives among the masked positions.
    pub counts: FalseNegativeStats,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Whether the update was skipped because the norm was not finite.
    pub skipped: bool,
    /// Tokens of this step, without padding.
    pub tokens: u64,
    /// Tokens since the start of the run.
    pub tokens_seen: u64,
    /// Wall time of this step, in seconds.
    pub seconds: f64,
    /// Part of it that was spent waiting for data, in seconds.
    pub waited: f64,
}

/// Receives the progress reports of a run.
pub trait Reporter {
    /// Reports a step whose values were read from the device.
    ///
    /// # Errors
    /// When it cannot be written.
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError>;

    /// Of several ranks, before a step is reported: the seconds that each of them computed since the last reported step, without waiting
    /// for others.
    ///
    /// # Errors
    /// When it cannot be written.
    fn ranks(&mut self, seconds: &[f64]) -> Result<(), ReportError> {
        let _ = seconds;
        Ok(())
    }

    /// Counts a step that is not reported, for the throughput. `step` is its number.
    ///
    /// # Errors
    /// When it cannot be written.
    fn tick(&mut self, step: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        let _ = (step, tokens, seconds);
        Ok(())
    }

    /// Reports held-out metrics, by name, after `step` steps.
    ///
    /// # Errors
    /// When they cannot be written.
    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError>;

    /// Called after the checkpoint of `step` was written. Earlier reports must be durable when this returns.
    ///
    /// # Errors
    /// When earlier reports cannot be synced.
    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        let _ = (step, path);
        Ok(())
    }

    /// Called when the run is resumed from the checkpoint of `step`: earlier reports of later steps must be removed.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        let _ = (step, path);
        Ok(())
    }

    /// Reports a message for the user.
    ///
    /// # Errors
    /// When it cannot be written.
    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        let _ = text;
        Ok(())
    }

    /// Reports that something looks wrong, with the likely cause and the next step.
    ///
    /// # Errors
    /// When it cannot be written.
    fn warning(&mut self, text: &str) -> Result<(), ReportError> {
        self.notice(&format!("warning: {text}"))
    }
}

/// Several reporters; each report goes to all of them, in order.
#[derive(Default)]
pub struct Reporters<'a>(Vec<Box<dyn Reporter + 'a>>);

impl<'a> Reporters<'a> {
    /// No reporters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a reporter.
    pub fn push(&mut self, reporter: impl Reporter + 'a) {
        self.0.push(Box::new(reporter));
    }

    /// Adds a reporter and returns the collection.
    pub fn with(mut self, reporter: impl Reporter + 'a) -> Self {
        self.push(reporter);
        self
    }

    fn each(
        &mut self,
        mut tell: impl FnMut(&mut dyn Reporter) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        self.0.iter_mut().try_for_each(|reporter| tell(reporter.as_mut()))
    }
}

impl Reporter for Reporters<'_> {
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError> {
        self.each(|r| r.step(report))
    }

    fn ranks(&mut self, seconds: &[f64]) -> Result<(), ReportError> {
        self.each(|r| r.ranks(seconds))
    }

    fn tick(&mut self, step: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.each(|r| r.tick(step, tokens, seconds))
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.each(|r| r.evaluation(step, metrics))
    }

    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.each(|r| r.saved(step, path))
    }

    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.each(|r| r.resumed(step, path))
    }

    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        self.each(|r| r.notice(text))
    }

    fn warning(&mut self, text: &str) -> Result<(), ReportError> {
        self.each(|r| r.warning(text))
    }
}

/// Why reports could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file operation failed.
    #[error(
        "{path}: cannot {action}: {source}; check that the run directory exists and is writable, and that the disk is not full",
        path = .path.display()
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line in the middle of the file that is not a record.
    #[error(
        "{path}: line {line} is not a record of this program: {reason}; move the file away, then run the same command again",
        path = .path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl ReportError {
    /// Whether the cause is a full disk (exit code 5).
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::disk::is_out_of_space(source))
    }

    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
