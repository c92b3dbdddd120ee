//! A batch of the loader as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_data::loader::MaskedBatch;
use fn_models::Inputs;

/// A [`MaskedBatch`] on the device.
///
/// Shapes: B batch, L length, P masked rows of the whole batch.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// What the model sees: corrupted ids, segments and padding.
    pub inputs: Inputs,
    /// Ids before corruption, `[B, L]`.
    pub original: Tensor<2, Int>,
    /// 1 for a token, 0 for padding, `[B, L]`.
    pub attention: Tensor<2>,
    /// Flat position `b * L + l` of each masked row, `[P]`.
    pub rows: Tensor<1, Int>,
    /// Original id at each masked row, `[P]`.
    pub gold: Tensor<1, Int>,
    /// 1 for a masked row, 0 for padding of the rows, `[P]`.
    pub weight: Tensor<1>,
    /// `[B, L]`.
    pub shape: [usize; 2],
}

impl DeviceBatch {
    /// Copies `batch` to `device`.
    pub fn new(batch: &MaskedBatch, device: &Device) -> Self {
        let shape = [batch.batch, batch.length];
        let attention = floats(&batch.attention, shape, device);
        Self {
            inputs: Inputs {
                ids: ids(&batch.input, shape, device),
                token_type: ids(&batch.token_type, shape, device),
                mask: batch.padded.then(|| attention.clone()),
            },
            original: ids(&batch.original, shape, device),
            attention,
            rows: ids(&batch.rows, [batch.rows.len()], device),
            gold: ids(&batch.gold, [batch.gold.len()], device),
            weight: floats(&batch.weight, [batch.weight.len()], device),
            shape,
        }
    }
}

/// Vocabularies and flat positions fit 31 bits: both are bounded when data is prepared.
fn ids<const D: usize>(values: &[u32], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn floats<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}
