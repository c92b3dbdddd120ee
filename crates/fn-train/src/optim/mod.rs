//! AdamW over any module, by parameter path.
//!
//! [`AdamW::step`] takes a model and its [`Gradients`] and gives the model back, updated. Moments are kept and saved under
//! the parameter's path, never under an id, so they survive a restart. The norm of all gradients is read once per step;
//! if it is not finite, weights, moments and the count of updates stay as they are, byte for byte.

mod adamw;
mod gradients;
mod groups;
#[cfg(test)]
mod tests;

pub use adamw::{AdamW, AdamWConfig, Update};
pub use gradients::{Gradients, Parameter, parameters};
pub use groups::Groups;

/// Optimiser state that does not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptimError {
    /// A tensor that is no moment of any parameter of this model.
    #[error(
        "the optimiser state holds `{name}`, which is no moment of this model: it belongs to another model; \
         resume with the configuration that the checkpoint was written with"
    )]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A moment whose shape is not its parameter's.
    #[error(
        "the moment `{name}` has shape {found:?}, its parameter has {expected:?}: it belongs to another model; \
         resume with the configuration that the checkpoint was written with"
    )]
    Shape {
        /// Its name.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape of the parameter.
        expected: Vec<usize>,
    },
    /// One of the two moments of a parameter without the other.
    #[error(
        "the optimiser state holds `{present}` but not `{missing}`: the checkpoint is incomplete, use an earlier one"
    )]
    Half {
        /// The moment found.
        present: String,
        /// The moment missing.
        missing: String,
    },
    /// Moments without updates, or updates without moments.
    #[error(
        "the optimiser state has {tensors} tensors after {updates} updates: the checkpoint is inconsistent, use an earlier one"
    )]
    Count {
        /// Tensors found.
        tensors: usize,
        /// Updates that the state claims.
        updates: u64,
    },
}
