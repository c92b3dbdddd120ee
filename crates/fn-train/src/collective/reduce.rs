//! Sums over ranks: of gradients, by reduce-scatter and all-gather, and of a few numbers.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use fn_models::params::host;

use super::{Collective, CollectiveError, Meeting, Slices, Wire, gather_equal, tree};
use crate::optim::{Gradients, Parameter, parameters};

/// Elements of a slice that are sent at a time: 4 MiB for each pair of ranks, so that buffers are small compared with the
/// gradients.
const BUCKET: usize = 1 << 20;

/// Where the ranks meet after they have computed their gradients: who is there first waits for the slowest.
pub const ARRIVAL: Meeting = Meeting::step("the gradients");

/// Sums the gradients of `model` over all ranks (all-reduce).
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
    wire: Wire,
) -> Result<Gradients, CollectiveError> {
    let world = ranks.world();
    if world == 1 {
        return Ok(mine);
    }
    let parameters = parameters(model);
    let reached = arrive(ranks, &parameters, &mine)?;
    let slices = Slices::new(parameters.iter().map(|p| p.elements), world);
    let mut flat = flatten(&parameters, mine);
    sum_slices(ranks, &mut flat, &slices, wire)?;
    gather_slices(ranks, Meeting::step("the sum of the gradients"), &mut flat, &slices, wire)?;

    let mut sum = Gradients::default();
    for (index, parameter) in parameters.into_iter().enumerate() {
        if reached[index] {
            let data = TensorData::new(flat[slices.tensor(index)].to_vec(), [parameter.elements]);
            sum.set(&parameter.path, Tensor::from_data(data, &parameter.device));
        }
    }
    Ok(sum)
}

/// Waits until all ranks have their gradients, and tells which parameters have one on any rank.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn arrive(
    ranks: &dyn Collective,
    parameters: &[Parameter],
    mine: &Gradients,
) -> Result<Vec<bool>, CollectiveError> {
    let reached: Vec<u8> = parameters.iter().map(|p| u8::from(mine.get(&p.path).is_some())).collect();
    let by_rank = gather_equal(ranks, ARRIVAL, &reached)?;
    Ok((0..parameters.len()).map(|index| by_rank.iter().any(|rank| rank.get(index) == Some(&1))).collect())
}

/// The gradients one after the other, on the host.
pub fn flatten(parameters: &[Parameter], mut gradients: Gradients) -> Vec<f32> {
    let mut flat = Vec::with_capacity(parameters.iter().map(|p| p.elements).sum());
    for parameter in parameters {
        // Taken, so that its memory is free before the next one is copied.
        match gradients.take(&parameter.path) {
            Some(gradient) => flat.extend(host(gradient)),
            // -0 is the neutral element: x + -0 is x for every x, also for -0.
            None => flat.resize(flat.len() + parameter.elements, -0.0),
        }
    }
    flat
}

/// Sums `flat` over the ranks, each rank its own slice of it (reduce-scatter). The other slices are left as they are.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn sum_slices(
    ranks: &dyn Collective,
    flat: &mut [f32],
    slices: &Slices,
    wire: Wire,
) -> Result<(), CollectiveError> {
    let (world, rank) = (ranks.world(), ranks.rank());
    let largest = (0..world).map(|r| slices.of(r).len()).max().unwrap_or(0);
    let mut parts = vec![Vec::new(); world];
    for from in (0..largest).step_by(BUCKET) {
        let bucket = |r: usize| clipped(slices.of(r), from);
        let sent: Vec<Vec<u8>> = (0..world).map(|r| encoded(wire, &flat[bucket(r)])).collect();
        let length = bucket(rank).len();
        let mut received = vec![vec![0u8; length * wire.bytes()]; world];
        let send: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let mut receive: Vec<&mut [u8]> = received.iter_mut().map(Vec::as_mut_slice).collect();
        ranks.exchange(Meeting::step("its part of the gradients"), &send, &mut receive)?;
        for (part, bytes) in parts.iter_mut().zip(&received) {
            part.resize(length, 0.0);
            wire.decode(bytes, part);
        }
        tree::sum_in_place(&mut parts.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        // What is kept is what could be sent on, whether or not it is.
        wire.round(&mut parts[0]);
        flat[bucket(rank)].copy_from_slice(&parts[0]);
    }
    Ok(())
}

/// Gives every rank the slices of all others (all-gather).
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn gather_slices(
    ranks: &dyn Collective,
    meeting: Meeting,
    flat: &mut [f32],
    slices: &Slices,
    wire: Wire,
) -> Result<(), CollectiveError> {
    let (world, rank) = (ranks.world(), ranks.rank());
    let largest = (0..world).map(|r| slices.of(r).len()).max().unwrap_or(0);
    for from in (0..largest).step_by(BUCKET) {
        let bucket = |r: usize| clipped(slices.of(r), from);
        let mine = encoded(wire, &flat[bucket(rank)]);
        let mut received: Vec<Vec<u8>> =
            (0..world).map(|r| vec![0u8; bucket(r).len() * wire.bytes()]).collect();
        let mut receive: Vec<&mut [u8]> = received.iter_mut().map(Vec::as_mut_slice).collect();
        ranks.exchange(meeting, &vec![mine.as_slice(); world], &mut receive)?;
        for (r, bytes) in received.iter().enumerate().filter(|(r, _)| *r != rank) {
            wire.decode(bytes, &mut flat[bucket(r)]);
        }
    }
    Ok(())
}

/// Brings the parts of one tensor from the ranks that hold them to rank 0; the others get nothing. `mine` is the caller's slice.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn collect_tensor(
    ranks: &dyn Collective,
    meeting: Meeting,
    mine: &[f32],
    slices: &Slices,
    tensor: usize,
) -> Result<Vec<f32>, CollectiveError> {
    let (world, first) = (ranks.world(), ranks.is_first());
    let part = |r: usize| slices.parts(r).find(|part| part.tensor == tensor);
    let of_mine = part(ranks.rank()).map_or(&[] as &[f32], |part| &mine[part.at]);
    let mut send: Vec<&[u8]> = vec![&[]; world];
    send[0] = bytemuck::cast_slice(of_mine);
    let mut whole = vec![0f32; if first { slices.tensor(tensor).len() } else { 0 }];
    let mut rest = whole.as_mut_slice();
    let mut receive: Vec<&mut [u8]> = Vec::with_capacity(world);
    for r in 0..world {
        let length = if first { part(r).map_or(0, |part| part.elements.len()) } else { 0 };
        let (now, after) = rest.split_at_mut(length);
        receive.push(bytemuck::cast_slice_mut(now));
        rest = after;
    }
    ranks.exchange(meeting, &send, &mut receive)?;
    drop(receive);
    Ok(whole)
}

/// The bucket of a slice that begins `from` elements after its start; empty if it is shorter.
fn clipped(slice: std::ops::Range<usize>, from: usize) -> std::ops::Range<usize> {
    let start = (slice.start + from).min(slice.end);
    start..(start + BUCKET).min(slice.end)
}

fn encoded(wire: Wire, values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * wire.bytes());
    wire.encode(values, &mut bytes);
    bytes
}

/// Sums tensors of one element over the ranks, in place; one message for all of them. `note` goes along with it, equally long on all
/// ranks, and is returned for each rank.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn sum_values(
    ranks: &dyn Collective,
    mut values: Vec<&mut Tensor<1>>,
    note: &[f64],
) -> Result<Vec<Vec<f64>>, CollectiveError> {
    if ranks.world() == 1 || values.is_empty() {
        return Ok(vec![note.to_vec()]);
    }
    let mine = host(Tensor::cat(values.iter().map(|value| (**value).clone()).collect(), 0));
    let mut message: Vec<u8> = bytemuck::cast_slice(&mine).to_vec();
    let numbers = message.len();
    message.extend_from_slice(bytemuck::cast_slice(note));
    let all = gather_equal(ranks, Meeting::step("the losses"), &message)?;
    let notes = all.iter().map(|bytes| bytemuck::pod_collect_to_vec(&bytes[numbers..])).collect();
    let mut all: Vec<Vec<f32>> =
        all.iter().map(|bytes| bytemuck::pod_collect_to_vec(&bytes[..numbers])).collect();
    tree::sum_in_place(&mut all.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
    for (value, sum) in values.iter_mut().zip(&all[0]) {
        **value = Tensor::from_data(TensorData::new(vec![*sum], [1]), &value.device());
    }
    Ok(notes)
}
