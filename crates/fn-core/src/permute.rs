//! Order of the positions of a batch, on the device.

use burn::tensor::{Bool, Device, Distribution, IndexingUpdateOp, Int, Tensor};

/// The place of each key in ascending order, `[P]` -> `[P]`; equal keys are ranked by index. All pairs are compared: P is some thousands at
/// most, and sorting would wait for the device.
pub(crate) fn ranks(keys: Tensor<1>) -> Tensor<1, Int> {
    let [p] = keys.dims();
    let before = before(p, &keys.device());
    let own = keys.clone().unsqueeze_dim::<2>(1).expand([p, p]);
    let other = keys.unsqueeze_dim::<2>(0).expand([p, p]);
    let smaller = other.clone().lower(own.clone()).bool_or(other.equal(own).bool_and(before));
    smaller.int().sum_dim(1).squeeze_dim::<1>(1)
}

/// The place of each of `among` `[P]` when they are brought into random order: `[P]`, 0 to their number less one; those outside of
/// `among` come after them. The order comes from the device's generator.
pub(crate) fn random_ranks(among: &Tensor<1, Bool>) -> Tensor<1, Int> {
    let keys = Tensor::<1>::random(among.dims(), Distribution::Uniform(0.0, 1.0), &among.device());
    ranks(keys.mask_fill(among.clone().bool_not(), 2.0))
}

/// A random permutation of the positions `among` `[P]`: from which position each takes its value, `[P]`; the others take their own.
pub(crate) fn random_sources(among: &Tensor<1, Bool>) -> Tensor<1, Int> {
    let [p] = among.dims();
    let index = Tensor::<1, Int>::arange(0..p as i64, &among.device());
    // The position of the n-th of them, then the n drawn for each.
    let others = among.clone().unsqueeze_dim::<2>(0).expand([p, p]);
    let place = before(p, &among.device()).bool_and(others).int().sum_dim(1).squeeze_dim::<1>(1);
    let own = index.clone().mask_fill(among.clone().bool_not(), 0);
    let nth = index.zeros_like().scatter(0, place, own, IndexingUpdateOp::Add);
    index.mask_where(among.clone(), nth.select(0, random_ranks(among)))
}

/// Whether column j stands before row i, `[P, P]`.
fn before(p: usize, device: &Device) -> Tensor<2, Bool> {
    let index = Tensor::<1, Int>::arange(0..p as i64, device);
    let own = index.clone().unsqueeze_dim::<2>(1).expand([p, p]);
    index.unsqueeze_dim::<2>(0).expand([p, p]).lower(own)
}
