//! Pre-training: configuration, objectives, optimiser, schedule, training loop, checkpoints, reports.
//!
//! The main guarantee: **a run that was stopped, by a signal, by `kill -9` or by a full disk, resumes to the same result as a
//! run that was never stopped**, bit for bit on the CPU. It rests on one design decision: there is no state of a random
//! generator. All random numbers are functions of (seed, step), so a checkpoint only holds [`checkpoint::TrainState`], the
//! weights and the moments.
#![deny(missing_docs)]

pub mod bench;
pub mod card;
pub mod checkpoint;
pub mod collective;
pub mod config;
pub mod descent;
pub mod device;
pub mod disk;
pub mod error;
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
#[path = "no_faults.rs"]
mod faults;
pub mod guard;
pub mod heldout;
pub mod lock;
pub mod machine;
pub mod model;
pub mod objective;
pub mod optim;
pub mod out_of_memory;
pub mod parity;
pub mod pretraining;
pub mod preview;
pub mod report;
pub mod rundir;
pub mod schedule;
pub mod session;
pub mod stop;
pub mod texts;
pub mod training_loop;

pub use error::TrainError;
pub use fn_models::params::NamedTensor;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
