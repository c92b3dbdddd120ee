//! Zero-shot probes: what a model knows before it is fine-tuned.
//!
//! [`Prober`] scores candidates for a masked position: [`olmpics`] picks the best of several choices,
//! [`substitution`] ranks substitutes of a word. [`pairs`] measures the token embeddings instead. [`Prober::log_likelihoods`] scores whole
//! sentences, [`replaced`] asks a discriminator about replacements that people have labelled. [`false_negatives`] lets a run's
//! model predict masked tokens, and judges flag false negatives among its errors.

mod error;
pub mod false_negatives;
mod likelihood;
pub(crate) mod lines;
pub mod olmpics;
pub mod pairs;
pub mod replaced;
mod score;
pub mod substitution;

pub use error::ProbeError;
pub use likelihood::Likelihood;
pub use lines::files;
pub use score::{Cloze, GAP, Prober, Scorer};
