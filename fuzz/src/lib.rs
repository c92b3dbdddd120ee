//! What each fuzz target does with the bytes it is handed. A parser may refuse them with an error; it may not panic, hang, or
//! take memory that the bytes do not account for, and what it accepts must be consistent.

pub mod data;
#[cfg(feature = "models")]
pub mod models;
pub mod scratch;
