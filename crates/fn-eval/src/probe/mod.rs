//! What a model knows before it is fine-tuned.
//!
//! The centre is [`Prober`], which scores what could stand in a gap; [`substitution`] asks it for an order of substitutes.

mod error;
mod lines;
mod score;
pub mod substitution;

pub use error::ProbeError;
pub use score::{Cloze, GAP, Prober, Scorer};
