//! Synonym-soft targets: a share of the target belongs to the words that would have fitted as well.
//!
//! ```text
//! q = (1 - epsilon) [v = w] + epsilon / |V(w)| [v in V(w)]          (V(w) empty: q = [v = w])
//! sum_v q_v (-ln p_v) = CE(z, w) + epsilon * (z_w - mean over V(w) of z_v)
//! ```

use burn::tensor::{Int, Tensor};

use crate::judge::DeviceLexicon;

/// What spreading adds to the cross entropy of a row: `[P, V]`, `[P]` -> `[P]`.
pub(crate) fn spread_excess(
    epsilon: f64,
    logits: Tensor<2>,
    gold: Tensor<1, Int>,
    lexicon: &DeviceLexicon,
) -> Tensor<1> {
    let members = lexicon.members(&gold);
    let empty = members.clone().lower_scalar(0);
    let present = empty.clone().bool_not().float();
    let count = present.clone().sum_dim(1);
    // Empty slots look anything up and then count 0. Differences first: they are exact for large logits.
    let member_logits = logits.clone().gather(1, members.mask_fill(empty, 0));
    let gold_logit = logits.gather(1, gold.unsqueeze_dim(1));
    let excess = (gold_logit - member_logits) * present;
    // Without a member the sum is 0, and so is the excess.
    let mean = excess.sum_dim(1) / count.clamp_min(1.0);
    mean.squeeze_dim::<1>(1) * epsilon as f32
}
