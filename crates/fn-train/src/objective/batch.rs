//! Copies a batch of the loader to the device.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::batch::{Batch, Memo};
use fn_data::loader::MaskedBatch;
use fn_models::Inputs;
use fn_ops::Documents;

/// A [`MaskedBatch`] on the device.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// Input of the model: corrupted ids, segments and attention mask.
    pub inputs: Inputs,
    /// Input of judges and losses: original ids and the masked positions.
    pub batch: Batch,
}

impl DeviceBatch {
    /// Copies `batch` to `device`.
    pub fn new(batch: &MaskedBatch, device: &Device) -> Self {
        let shape = [batch.batch, batch.length];
        let positions = [batch.positions.len()];
        let attention = floats(&batch.attention, shape, device);
        let segments = ids(&batch.token_type, shape, device);
        let documents = batch.documents.as_ref().map(|starts| Documents::new(starts.clone(), batch.length));
        Self {
            inputs: Inputs {
                ids: ids(&batch.input, shape, device),
                token_type: segments.clone(),
                mask: batch.padded.then(|| attention.clone()),
                documents: documents.clone(),
                cuts: None,
            },
            batch: Batch {
                original: ids(&batch.original, shape, device),
                segments,
                attention,
                padded: batch.padded,
                positions: ids(&batch.positions, positions, device),
                gold: ids(&batch.gold, positions, device),
                weight: floats(&batch.weight, positions, device),
                documents,
                memo: Memo::default(),
            },
        }
    }
}

/// The input of a model with `ids` `[B, L]` in place of the batch's own, without autodiff if `ids` are.
pub(super) fn inputs(ids: Tensor<2, Int>, batch: &Batch) -> Inputs {
    Inputs {
        ids,
        token_type: batch.segments.clone(),
        mask: batch.padded.then(|| batch.attention.clone()),
        documents: batch.documents.clone(),
        cuts: None,
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
