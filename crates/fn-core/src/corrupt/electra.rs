//! ELECTRA's generator: of the chosen tokens 85 % become `[MASK]`, 15 % stay, none becomes a random word.
//!
//! Random words are not needed: the generator's own samples make the discriminator distrust every token.

use super::Shares;

/// 85 / 0 / 15.
pub const SHARES: Shares = Shares { mask: 0.85, random: 0.0, keep: 0.15 };
