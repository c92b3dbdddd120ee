//! (essay follows)
#![deny(missing_docs)]

pub mod corrupt;
pub mod error;
pub mod lexicon;
pub mod noise;
pub mod vocab;

pub use error::{CoreError, config_error};
