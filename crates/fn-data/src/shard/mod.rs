//! Prepared data sets on disk: memory-mapped, with checksums, in a cache whose key is a hash of the inputs.
//!
//! A prepared data set is a folder `<cache>/<key>/` with `manifest.json`, `shard-00000.safetensors`, ... and
//! `counts.safetensors`. The key is the hash of everything that the rows depend on: the bytes of the corpus, the vocabulary,
//! packing, length and seed. So a stale data set is never used, and an existing one is reused.
//!
//! | tensor of a shard | shape | type |
//! |---|---|---|
//! | `tokens` | `[rows, length]`, padded | u16, or u32 for vocabularies over 65,536 |
//! | `used` | `[rows]`, ids that are not padding | u16 |
//! | `second` | `[rows]`, where segment B begins | u16 |

mod dataset;
mod format;
mod parts;
mod prepare;
mod writer;

pub use dataset::Dataset;
pub use format::{Manifest, ShardEntry, token_counts};
pub use parts::tokenise_part;
pub use prepare::{Begun, Claimed, PrepareConfig, PreparedData, Progress, begin, prepare};

#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod tests;
