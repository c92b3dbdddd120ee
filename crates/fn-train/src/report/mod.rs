//! Progress reports: to a file that survives resume, to TensorBoard, to the terminal.
//!
//! One [`Reporter`] per place, [`Reporters`] for several. Numbers are passed on as they are: a NaN is written as `"NaN"`,
//! never left out and never replaced by a mean.

mod jsonl;
mod meter;
mod plain;
mod tensorboard;
#[cfg(test)]
mod tests;

pub use jsonl::JsonLines;
pub use meter::Meter;
pub use plain::{PlainLines, evaluation_line};
pub use tensorboard::TensorBoard;

use std::io;
use std::path::{Path, PathBuf};

use fn_core::stats::FalseNegativeStats;

/// What one optimiser step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// The loss of the step.
    pub loss: f64,
    /// Its terms, which add up to it.
    pub terms: Vec<(String, f64)>,
    /// Wrong predictions and false negatives among the masked rows.
    pub counts: FalseNegativeStats,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Whether the update was left out because the norm was not finite.
    pub skipped: bool,
    /// Tokens of this step, without padding.
    pub tokens: u64,
    /// Tokens since the start of the run.
    pub tokens_seen: u64,
    /// Wall time of this step.
    pub seconds: f64,
    /// Part of it spent waiting for data.
    pub waited: f64,
}

/// Receives the progress reports of a run.
pub trait Reporter {
    /// A step whose values were read from the device.
    ///
    /// # Errors
    /// When it cannot be written.
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError>;

    /// A step without a report, for the throughput. `step` steps are done.
    ///
    /// # Errors
    /// When it cannot be written.
    fn tick(&mut self, step: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        let _ = (step, tokens, seconds);
        Ok(())
    }

    /// Held-out metrics, by name, after `step` steps.
    ///
    /// # Errors
    /// When they cannot be written.
    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError>;

    /// The checkpoint of `step` was written. What was reported before must not be lost now.
    ///
    /// # Errors
    /// When earlier reports cannot be made safe.
    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        let _ = (step, path);
        Ok(())
    }

    /// The run is resumed from the checkpoint of `step`: what an earlier process reported of later steps is void.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        let _ = (step, path);
        Ok(())
    }

    /// A sentence for the user.
    ///
    /// # Errors
    /// When it cannot be written.
    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        let _ = text;
        Ok(())
    }
}

/// Several reporters; each report goes to all of them, in order.
#[derive(Default)]
pub struct Reporters<'a>(Vec<Box<dyn Reporter + 'a>>);

impl<'a> Reporters<'a> {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn push(&mut self, reporter: impl Reporter + 'a) {
        self.0.push(Box::new(reporter));
    }

    /// One more.
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
}

/// Metrics that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The system refused a file operation.
    #[error(
        "{path}: cannot {action}: {source}; check that the run directory exists, may be written to and has room",
        path = .path.display()
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
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
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl ReportError {
    /// Whether the disk was too full (exit code 5).
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::disk::is_out_of_space(source))
    }

    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
