//! Batches of sequences that are about as long as each other.

use fn_core::noise::{Use, mix};

use super::super::{Label, TaskError};
use super::Features;
use crate::order::Order;

/// Most batches that are sorted by length together: enough to save padding, few enough to stay random.
const POOL: usize = 50;
/// Pools of an epoch at least. In a single pool, which rows meet in a batch would be the same in each epoch.
const POOLS: usize = 8;

/// The batches of an epoch: each example once, and their order a function of (seed, epoch) alone.
///
/// Examples are shuffled and taken in pools of at most 50 batches and an eighth of the epoch; within a pool the sequences of a
/// batch are neighbours in length. Then the batches are shuffled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    seed: u64,
    batch: usize,
}

impl Buckets {
    /// Batches of `batch` examples; the last of an epoch may have fewer.
    ///
    /// # Errors
    /// An empty batch.
    pub fn new(seed: u64, batch: usize) -> Result<Self, TaskError> {
        if batch == 0 {
            return Err(TaskError::Zero { what: "the size of a batch" });
        }
        Ok(Self { seed, batch })
    }

    /// Examples of each batch of an epoch, given the length of each sequence.
    pub fn epoch(&self, lengths: &[usize], epoch: u64) -> Vec<Vec<usize>> {
        if lengths.is_empty() {
            return Vec::new();
        }
        // The epoch is mixed into the seed, as `epoch * rows` may not fit.
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

    /// Examples of each batch in the order of the file, for measuring.
    pub fn in_order(&self, rows: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..rows).collect();
        all.chunks(self.batch).map(<[usize]>::to_vec).collect()
    }
}

/// Sequences padded to the longest of them; all matrices are `[rows, length]`, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which examples these are.
    pub rows: Vec<usize>,
    /// Columns.
    pub length: usize,
    /// Ids, `[PAD]` behind each sequence.
    pub ids: Vec<u32>,
    /// Token types, 0 behind each sequence.
    pub token_types: Vec<u32>,
    /// Whether there is a token.
    pub mask: Vec<bool>,
    /// Labels of the examples.
    pub labels: Vec<Option<Label>>,
}

impl Batch {
    /// Pads the chosen ones of all sequences; rows that do not exist are left out.
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
