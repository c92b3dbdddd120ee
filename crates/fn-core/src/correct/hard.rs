//! Hard Correction: a row whose prediction is a synonym of the gold word teaches nothing.
//!
//! ```text
//! L = -(1/N) sum_k [ r_k = w_k  or  r_k not in V(w_k) ] ln p(w_k)
//! ```
//! `w` = [`Rows::gold`](crate::ids::Rows), `r` = `Rows::predicted`, `V(w)` = [`Lexicon::row`](crate::lexicon::Lexicon::row).
//! The first alternative keeps the gold word itself. `N` is [`Normalise`].

use burn::tensor::{Bool, Tensor};

use super::Normalise;
use crate::ids::guarded;

/// Weight of every row after shielding: `[P]`, `[P]` -> `[P]`.
pub(crate) fn kept_weight(weight: Tensor<1>, shielded: Tensor<1, Bool>) -> Tensor<1> {
    weight.mask_fill(shielded, 0.0)
}

/// `N`, never 0: with every row shielded (or no row at all) the loss is 0 / 1.
pub(crate) fn denominator(normalise: Normalise, weight: Tensor<1>, kept: Tensor<1>) -> Tensor<1> {
    guarded(match normalise {
        Normalise::All => weight.sum(),
        Normalise::Kept => kept.sum(),
    })
}
