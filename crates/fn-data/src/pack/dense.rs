//! Dense packing: the documents are concatenated and cut into rows, without padding.

use super::PackedRow;
use crate::tokenise::Frame;

/// Appends a document to `rest`, the tokens of the unfinished row, and returns the rows that become full.
pub(super) fn pack(
    sentences: &[Vec<u32>],
    rest: &mut Vec<u32>,
    length: usize,
    frame: &Frame,
) -> Vec<PackedRow> {
    if sentences.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    if !rest.is_empty() {
        rest.push(frame.sep());
    }
    rest.extend(sentences.iter().flatten());
    let room = length - frame.added_to_single();
    let full = rest.len() - rest.len() % room;
    let rows = rest[..full].chunks_exact(room).map(|tokens| PackedRow::one(frame, tokens)).collect();
    rest.drain(..full);
    rows
}
