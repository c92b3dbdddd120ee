//! Sequences of different lengths into batches with as little padding as the order allows.

use burn::tensor::{Device, Tensor, TensorData};
use fn_data::order::Order;
use fn_models::Inputs;

/// Batches that are sorted by length together: large enough to save padding, small enough to leave the order random.
const POOL: usize = 64;

/// One tokenised sequence or pair, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.
    pub ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it; as long as `ids`.
    pub token_type: Vec<u32>,
}

impl Sequence {
    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Sequences as tensors, padded to the longest of them.
#[derive(Debug, Clone)]
pub struct TaskBatch {
    /// Ids (0 where padded), segments and mask, `[B, L]`.
    pub inputs: Inputs,
    /// L.
    pub length: usize,
}

impl TaskBatch {
    /// Copies `sequences` to `device`.
    pub fn new<'a>(sequences: impl Iterator<Item = &'a Sequence>, device: &Device) -> Self {
        let sequences: Vec<&Sequence> = sequences.collect();
        let length = sequences.iter().map(|s| s.len()).max().unwrap_or(0).max(1);
        let shape = [sequences.len(), length];
        let (mut ids, mut types, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in &sequences {
            let padding = length - sequence.len();
            ids.extend(sequence.ids.iter().map(|&id| id as i32));
            types.extend(sequence.token_type.iter().map(|&t| t as i32));
            mask.extend(std::iter::repeat_n(1.0f32, sequence.len()));
            ids.resize(ids.len() + padding, 0);
            types.resize(types.len() + padding, 0);
            mask.resize(mask.len() + padding, 0.0);
        }
        let padded = mask.contains(&0.0);
        Self {
            inputs: Inputs {
                ids: Tensor::from_data(TensorData::new(ids, shape), device),
                token_type: Tensor::from_data(TensorData::new(types, shape), device),
                mask: padded.then(|| Tensor::from_data(TensorData::new(mask, shape), device)),
            },
            length,
        }
    }
}

/// The batches of one epoch: every example exactly once, an order that is a function of (seed, epoch), examples of like
/// length together.
pub fn plan(lengths: &[usize], batch: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let batch = batch.max(1);
    let order = Order::new(fn_core::noise::mix(&[seed, epoch, 0xba7c4]), lengths.len());
    let order: Vec<usize> = (0..order.len()).map(|k| order.index(k)).collect();
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for pool in order.chunks(batch * POOL) {
        let mut pool = pool.to_vec();
        pool.sort_by_key(|&i| lengths[i]);
        batches.extend(pool.chunks(batch).map(<[usize]>::to_vec));
    }
    // Long and short batches mixed again.
    let order = Order::new(fn_core::noise::mix(&[seed, epoch, 0x0bde2]), batches.len());
    (0..order.len()).map(|k| std::mem::take(&mut batches[order.index(k)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_comes_once_an_epoch_and_the_order_is_that_of_seed_and_epoch() {
        let lengths: Vec<usize> = (0..1003).map(|i| 3 + (i * 7919) % 60).collect();
        let first = plan(&lengths, 8, 1, 0);
        let mut seen: Vec<usize> = first.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1003).collect::<Vec<_>>());
        assert_eq!(first, plan(&lengths, 8, 1, 0));
        assert_ne!(first, plan(&lengths, 8, 1, 1));
        assert_ne!(first, plan(&lengths, 8, 2, 0));
    }

    #[test]
    fn batches_hold_little_padding() {
        let lengths: Vec<usize> = (0..4096).map(|i| 3 + (i * 7919) % 120).collect();
        let padded: usize = plan(&lengths, 16, 1, 0)
            .iter()
            .map(|b| b.len() * b.iter().map(|&i| lengths[i]).max().unwrap())
            .sum();
        let real: usize = lengths.iter().sum();
        assert!(padded as f64 / (real as f64) < 1.05, "{padded} for {real}");
    }

    #[test]
    fn padding_is_masked_and_a_batch_without_any_has_no_mask() {
        let device = Device::flex();
        let sequence = |n: u32| Sequence { ids: (1..=n).collect(), token_type: vec![1; n as usize] };
        let (a, b) = (sequence(3), sequence(2));
        let batch = TaskBatch::new([&a, &b].into_iter(), &device);
        let mask = batch.inputs.mask.unwrap().into_data();
        assert_eq!(mask.iter::<f32>().collect::<Vec<_>>(), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        let ids = batch.inputs.ids.into_data();
        assert_eq!(ids.iter::<i32>().collect::<Vec<_>>(), [1, 2, 3, 1, 2, 0]);
        assert!(TaskBatch::new([&a, &a].into_iter(), &device).inputs.mask.is_none());
    }
}
