//! What came out of the runs: scores, tables and curves.
//!
//! The centre is [`runs::RunRecord`], the `metrics.jsonl` of one run read back. Tables ([`table`]) and pictures ([`curves`])
//! are made from records alone, so they can be made again from a run directory long after the weights are gone.
//!
//! [`finetune`] trains an encoder on a task and measures it, [`predictions`] are its files, [`stats`] says what differences are
//! worth.
//!
//! How good a fine-tuned model is say [`metrics`] (numbers of predictions and references), [`glue`] (which of them belong to
//! which task of GLUE, and their average) and [`squad`] (answers to questions).

pub mod curves;
pub mod finetune;
pub mod glue;
pub mod metrics;
pub mod page;
pub mod predictions;
pub mod probe;
pub mod robust;
pub mod runs;
pub mod squad;
pub mod stats;
pub mod study;
pub mod table;

/// What goes wrong when results are read or drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of `metrics.jsonl` is not a record.
    #[error("{path}: line {line} is not a metrics record ({message}); was the file cut or edited?")]
    Record {
        /// The file.
        path: std::path::PathBuf,
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
        path: std::path::PathBuf,
        /// What the drawing library says.
        message: String,
    },
    /// A metric is not defined for what it was given.
    #[error(transparent)]
    Metric(#[from] metrics::MetricError),
    /// A file of predictions cannot be used.
    #[error(transparent)]
    Predictions(#[from] predictions::PredictionError),
    /// A task of GLUE cannot be scored.
    #[error(transparent)]
    Glue(#[from] glue::GlueError),
    /// Answers to questions cannot be scored.
    #[error(transparent)]
    Squad(#[from] squad::SquadError),
}
