//! Errors of reading and plotting the metrics of runs.

use std::path::PathBuf;

/// Error of reading or plotting the metrics of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line of `metrics.jsonl` is not a metrics record.
    #[error("{path}: line {line} is not a metrics record ({message}); was the file truncated or edited?")]
    Record {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// Message of the JSON parser.
        message: String,
    },
    /// No run has a finite value of this metric.
    #[error("no run has a finite value of `{metric}`; available: {known}")]
    NoValues {
        /// The metric asked for.
        metric: String,
        /// The available metrics.
        known: String,
    },
    /// The figure cannot be drawn.
    #[error("{path}: cannot draw: {message}")]
    Draw {
        /// The figure's file.
        path: PathBuf,
        /// Message of the plotting library.
        message: String,
    },
}
