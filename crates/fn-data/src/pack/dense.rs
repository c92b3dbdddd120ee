//! Everything in a row.

use fn_core::vocab::SpecialIds;

use super::PackedRow;

/// Adds a document to the tokens of the row under way (`rest`) and cuts off full rows.
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
    let mut rows = Vec::new();
    while rest.len() >= room {
        let tail = rest.split_off(room);
        rows.push(PackedRow::one(special, rest));
        *rest = tail;
    }
    // A divider at the very beginning divides nothing.
    if rest.first() == Some(&special.sep) {
        rest.remove(0);
    }
    rows
}
