//! AdamW for any module.
//!
//! [`AdamW::step`] takes a model and its [`Gradients`] and returns the updated model. Moments are stored by the path of the
//! parameter instead of its id, so they can be restored by another process. If the global gradient norm is not finite, weights,
//! moments and the count of updates do not change.

mod adamw;
mod backward;
mod gradients;
mod groups;
mod sharded;
#[cfg(test)]
mod tests;

pub use adamw::{AdamW, AdamWConfig, Update};
pub use backward::Backward;
pub(crate) use backward::append;
pub use gradients::{Gradients, Parameter, parameters};
pub use groups::Groups;
pub use sharded::Updated;

/// Why optimiser state could not be loaded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptimError {
    /// A tensor that is not a moment of a parameter of this model.
    #[error(
        "the optimiser state holds `{name}`, which is not a moment of this model: it belongs to another model; \
         resume with the configuration that the checkpoint was written with"
    )]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A moment with another shape than its parameter.
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
    /// Only one of the two moments of a parameter.
    #[error(
        "the optimiser state holds `{present}` but not `{missing}`: the checkpoint is incomplete, use an earlier one"
    )]
    Half {
        /// The moment that exists.
        present: String,
        /// The moment that is missing.
        missing: String,
    },
    /// A moving average of the weights that lacks a parameter.
    #[error(
        "the moving average lacks `{name}`: it belongs to another model; resume with the configuration that the checkpoint was written with"
    )]
    NoAverage {
        /// The tensor that is missing.
        name: String,
    },
    /// Moments without updates, or updates without moments.
    #[error(
        "the optimiser state has {tensors} tensors after {updates} updates: the checkpoint is inconsistent, use an earlier one"
    )]
    Count {
        /// Number of tensors.
        tensors: usize,
        /// Number of updates.
        updates: u64,
    },
}
