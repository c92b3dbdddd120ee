//! From text to training batches; labelled data of tasks; lexicons. This crate does not depend on Burn.
//!
//! The numbered modules are the stages from text to batches, in order. A *row* is one training sequence of fixed length. The
//! central type is [`loader::MaskedBatch`], a batch with masked positions in host memory. Its contents are a function of the
//! seed, the data and the number of the batch alone: threads and the layout on disk affect only the speed.
#![deny(missing_docs)]

pub mod error;
pub mod language;
pub mod lexicon;
pub mod loader; // 5  (seed, step) -> corrupted batches
pub mod mixture; // 4b several data sets with weights
pub mod names; // what was meant by a misspelt name
pub mod order; // 4  (seed, epoch, rank, world) -> which row comes when
pub mod pack; // 3  ids -> rows of a fixed length
pub mod perturb; // labelled data with typos, synonyms, other names, ...
pub mod shard; // 3b rows on disk: memory-mapped, checksummed
pub mod source; // 1  bytes -> documents
pub mod subword; // 2b the other kinds of vocabulary
pub mod synthetic; // 3c artificial rows, before text
pub mod task; // labelled data of GLUE, SQuAD and users' own tasks
pub mod tokenise; // 2  document -> ids
pub mod wordpiece; // 2b documents -> a vocabulary

pub use error::DataError;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
