//! The losses: masked rows in, named terms out.

mod distance;
mod masked_lm;
mod parts;
mod replaced_token;
mod scatter;

pub use distance::{SentenceDistance, cosine_distance};
pub use masked_lm::{MaskedLm, MaskedLmOutput};
pub use parts::LossParts;
pub use replaced_token::{ReplacedToken, ReplacedTokenInput, ReplacedTokenOutput};
pub use scatter::{scatter_bool, scatter_rows, scatter_vectors};
