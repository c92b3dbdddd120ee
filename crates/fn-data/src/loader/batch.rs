//! A batch of masked rows.

use fn_core::corrupt::{Corruptor, Key};

use crate::pack::PackedRow;

/// One batch in host memory.
///
/// Shapes: B batch size, L sequence length, P = B x maximum number of masked positions of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedBatch {
    /// Number of the micro-batch since the start of the run.
    pub micro_batch: u64,
    /// Batch size B.
    pub batch: usize,
    /// Sequence length L.
    pub length: usize,
    /// Corrupted ids, `[B * L]`, padded.
    pub input: Vec<u32>,
    /// Ids before corruption, `[B * L]`, padded.
    pub original: Vec<u32>,
    /// 0 in segment A and padding, 1 in segment B, `[B * L]`.
    pub token_type: Vec<u32>,
    /// 1 for a token, 0 for padding, `[B * L]`.
    pub attention: Vec<f32>,
    /// Whether there is any padding.
    pub padded: bool,
    /// Flat index `b * L + l` of each masked position, `[P]`; 0 where `weight` is 0.
    pub positions: Vec<u32>,
    /// Original id at each masked position, `[P]`; the padding id where `weight` is 0.
    pub gold: Vec<u32>,
    /// 1 for a masked position, 0 for the padding up to P, `[P]`.
    pub weight: Vec<f32>,
    /// Where documents begin in each row, ascending, where rows hold several that do not attend to each other: B lists.
    pub documents: Option<Vec<Vec<usize>>>,
}

impl MaskedBatch {
    /// Corrupts `rows` (each with its number in the global batch) into micro-batch `micro_batch`; `rate` is the share of masked tokens.
    pub(super) fn make(
        corruptor: &Corruptor,
        seed: u64,
        micro_batch: u64,
        length: usize,
        rate: f64,
        separates_documents: bool,
        rows: impl ExactSizeIterator<Item = (PackedRow, u64)>,
    ) -> Self {
        let batch = rows.len();
        let special = corruptor.vocab().special;
        let most = corruptor.max_predictions_at(length, rate);
        let mut out = Self {
            micro_batch,
            batch,
            length,
            input: vec![special.pad; batch * length],
            original: vec![special.pad; batch * length],
            token_type: vec![0; batch * length],
            attention: vec![0.0; batch * length],
            padded: false,
            positions: vec![0; batch * most],
            gold: vec![special.pad; batch * most],
            weight: vec![0.0; batch * most],
            documents: separates_documents.then(Vec::new),
        };
        for (b, (row, number)) in rows.enumerate() {
            if let Some(documents) = &mut out.documents {
                documents.push(row.document_starts(special.cls));
            }
            let used = row.ids.len();
            let corrupted =
                corruptor.corrupt_at(&row.ids, Key { seed, step: micro_batch, row: number }, rate);
            let start = b * length;
            out.original[start..start + used].copy_from_slice(&row.ids);
            out.input[start..start + used].copy_from_slice(&corrupted.input);
            out.attention[start..start + used].fill(1.0);
            out.token_type[start + usize::from(row.second).min(used)..start + used].fill(1);
            out.padded |= used < length;
            let slots = b * most..(b + 1) * most;
            for (slot, (&position, &gold)) in slots.zip(corrupted.positions.iter().zip(&corrupted.gold)) {
                out.positions[slot] = start as u32 + position;
                out.gold[slot] = gold;
                out.weight[slot] = 1.0;
            }
        }
        out
    }
}
