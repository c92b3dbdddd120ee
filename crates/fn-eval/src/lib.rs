//! Everything that is done with **one** pre-trained model: fine-tuning it, letting it predict, scoring what it predicts.
//!
//! The rule that separates this crate from `fn-study`: here a single model meets a task or a text; there, several
//! runs or judges are compared, or a model is asked what it learnt in pre-training. What both need (a mean over seeds, a
//! paired bootstrap, a table, the frame of a page) is here, because `fn-study` depends on this crate and never the other way.
//!
//! [`finetune`] trains an encoder on a task and measures it ([`finetune::fit`] is its loop), [`predictions`] are its files.
//! How good a fine-tuned model is say [`metrics`] (numbers of predictions and references), [`glue`] (which of them belong to
//! which task of GLUE, and their average) and [`squad`] (answers to questions); [`robust`] compares a score with that on
//! perturbed copies of the same examples. [`inspect`] shows what a pre-trained model predicts in a text.
#![deny(missing_docs)]

pub mod finetune;
pub mod glue;
pub mod inspect;
pub mod metrics;
pub mod page;
pub mod predictions;
pub mod robust;
pub mod squad;
pub mod stats;
pub mod table;

/// What goes wrong when results are read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
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

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
