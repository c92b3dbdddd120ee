//! Analyses that need more than one fine-tuned model: comparisons of runs, of judges of false negatives, and of what a
//! model learnt before any fine-tuning.
//!
//! [`study`] compares arms over seeds: its description, and the table and page made from finished runs. [`stats`] tests
//! whether a difference is more than noise. [`runs`] reads `metrics.jsonl` of a run, [`curves`] plots it, so figures can
//! be made again from a run directory long after the weights are gone. [`probe`] evaluates a pre-trained model without
//! fine-tuning it, [`babylm`] with the measures of the BabyLM challenge. [`process`] runs jobs and reads what they report, [`lease`] keeps two processes from working
//! on one run.
#![deny(missing_docs)]

pub mod babylm;
pub mod corpus;
pub mod curves;
pub mod doctor;
pub mod dose;
mod error;
pub mod exam;
pub mod lease;
pub mod probe;
pub mod process;
pub mod quickstart;
pub mod reading;
pub mod runs;
pub mod side_by_side;
pub mod speed;
pub mod stats;
pub mod study;
pub mod sweep;
pub mod truth;

pub use error::RecordError;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
