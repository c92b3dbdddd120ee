//! Sequences of different lengths as one batch of tensors.

use burn::tensor::{Device, Tensor, TensorData};
use fn_models::Inputs;

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
    /// L, the length of the longest sequence of the batch.
    pub length: usize,
}

impl TaskBatch {
    /// Pads `sequences` to one length and copies them to `device`.
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
                documents: None,
                cuts: None,
            },
            length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
