//! Random order of some positions of a batch, on the device.

use burn::tensor::{Bool, Distribution, Int, Tensor};

/// The place of each of `among` `[P]` when they are brought into random order: `[P]`, 0 to their number less one; those outside of
/// `among` come after them. The order comes from the device's generator.
pub(crate) fn random_ranks(among: &Tensor<1, Bool>) -> Tensor<1, Int> {
    let [p] = among.dims();
    let device = among.device();
    // Each draws a key. Keys are ranked by comparing all pairs: P is some thousands at most, and sorting would wait for the device.
    let key = Tensor::<1>::random([p], Distribution::Uniform(0.0, 1.0), &device);
    let key = key.mask_fill(among.clone().bool_not(), 2.0);
    let own = key.clone().unsqueeze_dim::<2>(1).expand([p, p]);
    let other = key.unsqueeze_dim::<2>(0).expand([p, p]);
    // Equal keys are ranked by index.
    let smaller = other.clone().lower(own.clone()).bool_or(other.equal(own).bool_and(before(among)));
    smaller.int().sum_dim(1).squeeze_dim::<1>(1)
}

/// A random permutation of the positions `among` `[P]`: from which position each takes its value, `[P]`; the others take their own.
pub(crate) fn random_sources(among: &Tensor<1, Bool>) -> Tensor<1, Int> {
    let [p] = among.dims();
    let index = Tensor::<1, Int>::arange(0..p as i64, &among.device());
    // The position of the n-th of them, then the n drawn for each.
    let others = among.clone().unsqueeze_dim::<2>(0).expand([p, p]);
    let place = before(among).bool_and(others).int().sum_dim(1).squeeze_dim::<1>(1);
    let own = index.clone().mask_fill(among.clone().bool_not(), 0);
    let nth = index.zeros_like().scatter(0, place, own, burn::tensor::IndexingUpdateOp::Add);
    index.mask_where(among.clone(), nth.select(0, random_ranks(among)))
}

/// Whether column j stands before row i, `[P, P]`.
fn before(like: &Tensor<1, Bool>) -> Tensor<2, Bool> {
    let [p] = like.dims();
    let index = Tensor::<1, Int>::arange(0..p as i64, &like.device());
    let own = index.clone().unsqueeze_dim::<2>(1).expand([p, p]);
    index.unsqueeze_dim::<2>(0).expand([p, p]).lower(own)
}
