//! Dense packing: the documents are concatenated and cut into rows, without padding.

use fn_core::vocab::SpecialIds;

use super::PackedRow;

/// Appends a document to `rest`, the tokens of the unfinished row, and returns the rows that become full.
pub(super) fn pack(
    sentences: &[Vec<u32>],
    rest: &mut Vec<u32>,
    length: usize,
    special: SpecialIds,
) -> Vec<PackedRow> {
    if sentences.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    if !rest.is_empty() {
        rest.push(special.sep);
    }
    rest.extend(sentences.iter().flatten());
    let room = length - 2;
    let full = rest.len() - rest.len() % room;
    let rows = rest[..full].chunks_exact(room).map(|tokens| PackedRow::one(special, tokens)).collect();
    rest.drain(..full);
    rows
}
