//! What goes wrong when records of runs are read or drawn.

use std::path::PathBuf;

/// Why a run cannot be read or drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of `metrics.jsonl` is not a record.
    #[error("{path}: line {line} is not a metrics record ({message}); was the file cut or edited?")]
    Record {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the JSON reader says.
        message: String,
    },
    /// No run has a value of this metric.
    #[error("no run has a finite value of `{metric}`; known: {known}")]
    NoValues {
        /// The metric asked for.
        metric: String,
        /// The metrics there are.
        known: String,
    },
    /// The picture cannot be drawn.
    #[error("{path}: cannot draw: {message}")]
    Draw {
        /// The picture.
        path: PathBuf,
        /// What the drawing library says.
        message: String,
    },
}
