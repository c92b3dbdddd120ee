#![doc = include_str!("../README.md")]
//!
//! # Why ids and not texts
//! A look-up set `V(w)` ([`lexicon`]) is a table on the device, so its verdict costs one gather and one comparison, and a training step
//! never waits for the host. The price is that a synonym must be one piece of the vocabulary. Judging decoded text on the host would
//! need a round trip per step.
#![deny(missing_docs)]

pub mod corrupt;
pub mod documented;
pub mod error;
pub mod files;
pub mod lexicon;
pub mod noise;
pub mod panics;
pub mod progress;
pub mod vocab;

#[cfg(feature = "tensor")]
pub mod batch;
#[cfg(feature = "tensor")]
pub mod correct;
#[cfg(feature = "tensor")]
pub mod judge;
#[cfg(feature = "tensor")]
pub mod loss;
#[cfg(feature = "tensor")]
mod permute;
#[cfg(feature = "tensor")]
pub mod sample;
#[cfg(feature = "tensor")]
pub mod stats;
#[cfg(feature = "tensor")]
pub mod student;

pub use error::{CoreError, config_error};
