//! The training step around model and loss: optimiser, schedule, guard, checkpoints, reports.
//!
//! The centre is a promise: **a run that was stopped, by a signal, by `kill -9` or by a full disk, goes on as if nothing
//! had happened.** It rests on one decision: nothing is random. Every choice is a function of (seed, step), so
//! [`checkpoint::TrainState`], the weights and the moments are all there is to remember.
#![deny(missing_docs)]

pub mod bench;
pub mod card;
pub mod checkpoint;
pub mod collective;
pub mod config;
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
pub mod parity;
pub mod pretraining;
pub mod preview;
pub mod report;
pub mod rundir;
pub mod schedule;
pub mod session;
pub mod stop;
pub mod training_loop;

pub use error::TrainError;
pub use fn_models::params::NamedTensor;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
