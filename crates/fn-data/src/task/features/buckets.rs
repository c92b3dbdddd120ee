//! Length bucketing: batches of sequences of similar length.

use fn_core::noise::{Use, mix};

use super::super::{Label, TaskError};
use super::Features;
use crate::order::Order;

/// Maximum number of batches that are sorted by length together: enough to save padding, few enough to keep the order random.
const POOL: usize = 50;
/// Minimum number of pools of an epoch. In a single pool, each epoch would have batches of the same examples.
const POOLS: usize = 8;

/// The batches of an epoch: each example once, in an order that is a function of (seed, epoch).
///
/// Examples are shuffled and divided into pools of at most 50 batches and an eighth of the epoch; each pool is sorted by length
/// and cut into batches. Then the batches are shuffled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    seed: u64,
    batch: usize,
}

impl Buckets {
    /// Batches of `batch` examples; the last one of an epoch may be smaller.
    ///
    /// # Errors
    /// A batch size of 0.
    pub fn new(seed: u64, batch: usize) -> Result<Self, TaskError> {
        if batch == 0 {
            return Err(TaskError::Zero { what: "the size of a batch" });
        }
        Ok(Self { seed, batch })
    }

    /// Indices of the examples of each batch of an epoch, given the length of each sequence.
    pub fn epoch(&self, lengths: &[usize], epoch: u64) -> Vec<Vec<usize>> {
        if lengths.is_empty() {
            return Vec::new();
        }
        // The epoch is mixed into the seed, because `epoch * rows` may overflow.
        let order = Order::new(mix(&[self.seed, Use::Order as u64, epoch, 0]), lengths.len());
        let shuffled: Vec<usize> = (0..order.len()).map(|k| order.index(k)).collect();
        let count = lengths.len().div_ceil(self.batch);
        let pool = (count / POOLS).clamp(1, POOL);
        let mut batches: Vec<Vec<usize>> = Vec::with_capacity(count);
        for pool in shuffled.chunks(self.batch.saturating_mul(pool)) {
            let mut pool = pool.to_vec();
            pool.sort_by_key(|&row| lengths[row]);
            batches.extend(pool.chunks(self.batch).map(<[usize]>::to_vec));
        }
        let order = Order::new(mix(&[self.seed, Use::Order as u64, epoch, 1]), batches.len());
        (0..order.len()).map(|k| std::mem::take(&mut batches[order.index(k)])).collect()
    }

    /// Indices of the examples of each batch in the order of the file, for evaluation.
    pub fn in_order(&self, rows: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..rows).collect();
        all.chunks(self.batch).map(<[usize]>::to_vec).collect()
    }
}

/// A batch of sequences, padded to the longest of them; all matrices are `[rows, length]` in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Indices of the examples.
    pub rows: Vec<usize>,
    /// Length of the longest sequence.
    pub length: usize,
    /// Ids, padded with `[PAD]`.
    pub ids: Vec<u32>,
    /// Token types, padded with 0.
    pub token_types: Vec<u32>,
    /// Attention mask: false for padding.
    pub mask: Vec<bool>,
    /// Labels of the examples.
    pub labels: Vec<Option<Label>>,
}

impl Batch {
    /// Makes a batch of the sequences with the indices `rows`; indices out of range are ignored.
    pub fn new(features: &[Features], rows: &[usize], pad: u32) -> Self {
        let chosen = || rows.iter().filter_map(|&row| Some((row, features.get(row)?)));
        let length = chosen().map(|(_, f)| f.ids.len()).max().unwrap_or(0);
        let mut batch =
            Self { rows: vec![], length, ids: vec![], token_types: vec![], mask: vec![], labels: vec![] };
        for (row, features) in chosen() {
            batch.rows.push(row);
            let end = batch.rows.len() * length;
            batch.ids.extend_from_slice(&features.ids);
            batch.mask.resize(batch.ids.len(), true);
            batch.token_types.extend_from_slice(&features.token_types);
            batch.ids.resize(end, pad);
            batch.mask.resize(end, false);
            batch.token_types.resize(end, 0);
            batch.labels.push(features.label.clone());
        }
        batch
    }
}
