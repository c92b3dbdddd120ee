//! Questions about pre-training that one fine-tuned model does not answer: several runs side by side, several judges, what a
//! model learnt before any fine-tuning.
//!
//! [`study`] is a comparison of arms over seeds: its description, and the table and page made of finished runs. [`stats`] says
//! whether a difference is more than noise. [`runs`] reads `metrics.jsonl` of a run back, [`curves`] draws it, so pictures can
//! be made again from a run directory long after the weights are gone. [`probe`] asks a pre-trained model without
//! fine-tuning it. [`process`] runs jobs and reads what they report, [`lease`] keeps two processes from working
//! on one run.
#![deny(missing_docs)]

pub mod corpus;
pub mod curves;
mod error;
pub mod exam;
pub mod lease;
pub mod probe;
pub mod process;
pub mod quickstart;
pub mod runs;
pub mod side_by_side;
pub mod stats;
pub mod study;
pub mod sweep;
pub mod truth;

pub use error::RecordError;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
