//! What a model knows before it is fine-tuned.
//!
//! The centre is [`Prober`], which scores what could stand in a gap: [`olmpics`] asks it which choice fits best,
//! [`substitution`] for an order of substitutes. [`pairs`] looks at the token table instead. [`false_negatives`] lets a run's
//! model predict masked words, and judges flag its errors.

mod error;
pub mod false_negatives;
mod lines;
pub mod olmpics;
pub mod pairs;
mod score;
pub mod substitution;

pub use error::ProbeError;
pub use score::{Cloze, GAP, Prober, Scorer};
