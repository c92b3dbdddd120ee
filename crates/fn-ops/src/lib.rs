//! Tensor operations of transformer training, fused where a backend has a kernel for them.
#![deny(missing_docs)]

pub mod adamw;
pub mod composed;
mod noise;

pub use composed::*;
pub use noise::Noise;
