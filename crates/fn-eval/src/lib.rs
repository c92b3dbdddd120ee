//! Everything that is done with **one** pre-trained model: fine-tuning, prediction, scoring of predictions, inspection.
//!
//! How it differs from `fn-study`: here a single model is applied to a task or a text; there, several runs or judges are
//! compared, or a model is probed for what it learnt in pre-training. What both need (mean over seeds, paired bootstrap,
//! tables, the frame of an HTML page) is here, because `fn-study` depends on this crate and not the other way round.
//!
//! [`finetune`] trains an encoder on a task and evaluates it ([`finetune::fit`] is the training loop); [`predictions`] reads
//! and writes the files of its predictions. They are scored by [`metrics`] (accuracy, F1, correlations), [`glue`] (the metrics
//! of each task of GLUE, and their average) and [`squad`] (exact match and F1 of answers); [`robust`] compares a score with
//! that on perturbed copies of the same examples. [`inspect`] shows what a pre-trained model predicts in a text.
#![deny(missing_docs)]

pub mod finetune;
pub mod glue;
pub mod inspect;
pub mod lexicon;
pub mod metrics;
pub mod page;
pub mod predictions;
pub mod robust;
pub mod scored;
pub mod squad;
pub mod stats;
pub mod table;

/// Errors of scoring predictions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A metric is not defined for its arguments.
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

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
