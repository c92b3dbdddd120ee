//! Sums over ranks: of a vector, by reduce-scatter and all-gather, and of a few numbers.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use fn_models::params::host;

use super::{Collective, CollectiveError, Meeting, Slices, Wire, gather_equal, tree};

/// Elements of a slice that are sent at a time: 4 MiB for each pair of ranks, so that buffers are small compared with the
/// gradients.
const PIECE: usize = 1 << 20;

/// Sums `flat` over the ranks, each rank its own slice of it (reduce-scatter): it receives the slice from all others and adds them in the
/// [tree] of the ranks. The other slices are left as they are.
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
    let mut parts = vec![Vec::new(); world];
    for piece in pieces(slices, world) {
        let sent: Vec<Vec<u8>> = piece.iter().map(|part| encoded(wire, &flat[part.clone()])).collect();
        let mine = piece[rank].clone();
        let meeting = Meeting::step("its part of the gradients");
        let send: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let received = swap(ranks, meeting, &send, vec![mine.len() * wire.bytes(); world])?;
        for (part, bytes) in parts.iter_mut().zip(&received) {
            part.resize(mine.len(), 0.0);
            wire.decode(bytes, part);
        }
        tree::sum_in_place(&mut parts.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        // What is kept is what could be sent on, whether or not it is.
        wire.round(&mut parts[0]);
        flat[mine].copy_from_slice(&parts[0]);
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
    for piece in pieces(slices, world) {
        let mine = encoded(wire, &flat[piece[rank].clone()]);
        let lengths = piece.iter().map(|part| part.len() * wire.bytes()).collect();
        let received = swap(ranks, meeting, &vec![mine.as_slice(); world], lengths)?;
        for (r, bytes) in received.iter().enumerate().filter(|(r, _)| *r != rank) {
            wire.decode(bytes, &mut flat[piece[r].clone()]);
        }
    }
    Ok(())
}

/// All slices in pieces of at most [`PIECE`] elements: of each rank's slice where the piece lies, empty where the slice has ended.
fn pieces(slices: &Slices, world: usize) -> impl Iterator<Item = Vec<Range<usize>>> + use<> {
    let all: Vec<Range<usize>> = (0..world).map(|rank| slices.of(rank)).collect();
    let largest = all.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    (0..largest).step_by(PIECE).map(move |from| {
        let clipped = |slice: &Range<usize>| {
            let start = (slice.start + from).min(slice.end);
            start..(start + PIECE).min(slice.end)
        };
        all.iter().map(clipped).collect()
    })
}

/// Sends `send[j]` to rank `j` and receives `lengths[j]` bytes of it.
fn swap(
    ranks: &dyn Collective,
    meeting: Meeting,
    send: &[&[u8]],
    lengths: Vec<usize>,
) -> Result<Vec<Vec<u8>>, CollectiveError> {
    let mut received: Vec<Vec<u8>> = lengths.into_iter().map(|length| vec![0; length]).collect();
    let mut receive: Vec<&mut [u8]> = received.iter_mut().map(Vec::as_mut_slice).collect();
    ranks.exchange(meeting, send, &mut receive)?;
    Ok(received)
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
