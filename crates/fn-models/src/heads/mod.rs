//! Heads of pre-training, and BERT's pooler.

pub mod masked_lm;
pub mod pooler;
pub mod replaced;

pub use masked_lm::MaskedLmHead;
pub use pooler::Pooler;
pub use replaced::ReplacedTokenHead;
