//! Sums over ranks: of gradients, by reduce-scatter and all-gather, and of a few numbers.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use fn_models::params::host;

use super::{Collective, CollectiveError, Meeting, gather_equal, tree};
use crate::optim::{Gradients, parameters};

/// Elements of a slice that are sent at a time: 4 MiB for each pair of ranks, so that buffers are small compared with the
/// gradients.
const BUCKET: usize = 1 << 20;

/// Sums the gradients of `model`, and `values`, over all ranks (all-reduce).
///
/// The gradients are concatenated in the order of their paths and divided into one slice per rank. Each rank receives its slice
/// of all others (reduce-scatter), adds them in the [tree] of the ranks, and sends the sum to all (all-gather): every rank
/// sends and receives `2 (world - 1) / world` times the size of the gradients. A parameter without a gradient on any rank gets
/// none.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn sum_gradients<M: Module>(
    ranks: &dyn Collective,
    model: &M,
    mine: Gradients,
) -> Result<Gradients, CollectiveError> {
    let world = ranks.world();
    if world == 1 {
        return Ok(mine);
    }
    let parameters = parameters(model);
    let reached: Vec<u8> = parameters.iter().map(|p| u8::from(mine.get(&p.path).is_some())).collect();
    let reached_by = gather_equal(ranks, Meeting::step("the gradients"), &reached)?;
    let is_reached = |index: usize| reached_by.iter().any(|rank| rank.get(index) == Some(&1));

    let length: usize = parameters.iter().map(|p| p.elements).sum();
    let slice = length.div_ceil(world);
    let mut flat = Vec::with_capacity(slice * world);
    for parameter in &parameters {
        match mine.get(&parameter.path) {
            Some(gradient) => flat.extend(host(gradient.clone())),
            // -0 is the neutral element: x + -0 is x for every x, also for -0.
            None => flat.resize(flat.len() + parameter.elements, -0.0),
        }
    }
    drop(mine);
    flat.resize(slice * world, -0.0);
    sum_flat(ranks, &mut flat, slice)?;

    let mut sum = Gradients::default();
    let mut rest = flat.as_slice();
    for (index, parameter) in parameters.into_iter().enumerate() {
        let (values, after) = rest.split_at(parameter.elements);
        rest = after;
        if is_reached(index) {
            let data = TensorData::new(values.to_vec(), [parameter.elements]);
            sum.set(&parameter.path, Tensor::from_data(data, &parameter.device));
        }
    }
    Ok(sum)
}

/// Sums `flat`, one slice of `slice` elements for each rank, over the ranks.
fn sum_flat(ranks: &dyn Collective, flat: &mut [f32], slice: usize) -> Result<(), CollectiveError> {
    let (world, rank) = (ranks.world(), ranks.rank());
    let mut buffers = vec![vec![0f32; BUCKET.min(slice)]; world];
    for from in (0..slice).step_by(BUCKET) {
        let bucket = from..(from + BUCKET).min(slice);
        let length = bucket.len();
        let send: Vec<&[u8]> = flat.chunks(slice).map(|s| bytemuck::cast_slice(&s[bucket.clone()])).collect();
        let mut receive: Vec<&mut [u8]> =
            buffers.iter_mut().map(|b| bytemuck::cast_slice_mut(&mut b[..length])).collect();
        ranks.exchange(Meeting::step("the gradients"), &send, &mut receive)?;
        tree::sum_in_place(&mut buffers.iter_mut().map(|b| &mut b[..length]).collect::<Vec<_>>());
        let sum = &buffers[0][..length];
        let send = vec![bytemuck::cast_slice(sum); world];
        let mut receive: Vec<&mut [u8]> =
            flat.chunks_mut(slice).map(|s| bytemuck::cast_slice_mut(&mut s[bucket.clone()])).collect();
        ranks.exchange(Meeting::step("the sum of the gradients"), &send, &mut receive)?;
        debug_assert_eq!(flat.chunks(slice).nth(rank).map(|s| s[bucket].len()), Some(length));
    }
    Ok(())
}

/// Sums tensors of one element over the ranks, in place; one message for all of them.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn sum_values(ranks: &dyn Collective, mut values: Vec<&mut Tensor<1>>) -> Result<(), CollectiveError> {
    if ranks.world() == 1 || values.is_empty() {
        return Ok(());
    }
    let mine = host(Tensor::cat(values.iter().map(|value| (**value).clone()).collect(), 0));
    let all = gather_equal(ranks, Meeting::step("the losses"), bytemuck::cast_slice(&mine))?;
    let mut all: Vec<Vec<f32>> = all.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect();
    tree::sum_in_place(&mut all.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
    for (value, sum) in values.iter_mut().zip(&all[0]) {
        **value = Tensor::from_data(TensorData::new(vec![*sum], [1]), &value.device());
    }
    Ok(())
}
