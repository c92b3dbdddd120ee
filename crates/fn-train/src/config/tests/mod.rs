//! Which configurations are accepted, and how they are read.

mod layers;
mod mixture;
mod values;
