//! The losses: logits at the masked positions in, named terms out.

mod distance;
mod masked_lm;
mod parts;
mod replaced_token;
mod scatter;

pub use distance::cosine_distance;
pub use masked_lm::{MaskedLm, MaskedLmConfig, MaskedLmOutput};
pub use parts::LossParts;
pub use replaced_token::{ReplacedToken, ReplacedTokenConfig, ReplacedTokenOutput};
pub use scatter::{scatter_bool, scatter_floats, scatter_ids, scatter_vectors};
