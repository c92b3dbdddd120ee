//! BERT: of the chosen tokens 80 % become `[MASK]`, 10 % a random word, 10 % stay.
//!
//! The unchanged ones and the random ones make the model distrust every token, since at fine-tuning there is no `[MASK]`.

use super::Shares;

/// 80 / 10 / 10.
pub const SHARES: Shares = Shares { mask: 0.8, random: 0.1, keep: 0.1 };
