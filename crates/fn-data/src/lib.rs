//! Text to batches, and lexicons. No Burn.
//!
//! The modules are the stages of the data's way, in order. The centre is [`loader::MaskedBatch`], which depends on a seed and a
//! number alone: whatever is behind it (threads, shards, compressed files) can only make it come sooner or later.
#![deny(missing_docs)]

pub mod error;
pub mod language;
pub mod lexicon;
pub mod loader; // 5  (seed, step) -> corrupted batches
pub mod order; // 4  (seed, epoch, rank, world) -> which row comes when
pub mod pack; // 3  ids -> rows of a fixed length
pub mod perturb; // labelled data with typos, synonyms, other names, ...
pub mod shard; // 3b rows on disk: memory-mapped, checksummed
pub mod source; // 1  bytes -> documents
pub mod synthetic; // 3c artificial rows, before text
pub mod task; // labelled data of GLUE, SQuAD and users' own tasks
pub mod tokenise; // 2  document -> ids
pub mod wordpiece; // 2b documents -> a vocabulary

pub use error::DataError;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
