//! Distributions over the vocabulary at the masked positions, used by judges for grades and by corrections as targets.

use std::rc::Rc;

use burn::tensor::{Int, Tensor};
use fn_ops as ops;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, MemoKey, Predictions};

/// A distribution over the vocabulary at each masked position, without gradient.
pub trait Teacher {
    /// Logits `[P, V]`, without gradient; None while there are none yet (a moving average before its first step).
    fn logits(&self, predictions: &Predictions<'_>) -> Option<Tensor<2>>;
}

impl<T: Teacher + ?Sized> Teacher for Rc<T> {
    fn logits(&self, predictions: &Predictions<'_>) -> Option<Tensor<2>> {
        (**self).logits(predictions)
    }
}

/// The distribution that a correction uses as target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherKind {
    /// The masked LM that is trained (ELECTRA: the generator), without a further forward pass.
    Generator,
    /// The masked LM of `correction.verifier`.
    Verifier,
}

/// The masked LM that made the predictions, whose logits are already computed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own;

impl Teacher for Own {
    fn logits(&self, predictions: &Predictions<'_>) -> Option<Tensor<2>> {
        Some(predictions.logits())
    }
}

/// A masked language model that can be asked about a batch, without gradient and without dropout.
pub trait MaskedModel {
    /// Logits `[P, V]` at the masked positions when the model reads `ids` `[B, L]`; None while there is no model yet (a moving average
    /// before its first step).
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>>;
}

impl<M: MaskedModel + ?Sized> MaskedModel for std::sync::Arc<M> {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        (**self).masked_logits(ids, batch)
    }
}

/// Another masked LM, which reads each sequence with *all* its masked positions masked, so that it sees neither the original nor the prediction.
/// It reads a batch once, however often it is asked.
pub struct Reading<M> {
    model: M,
    mask: u32,
    key: MemoKey,
}

impl<M: MaskedModel> Reading<M> {
    /// Reads with `model`; `mask` is the id of its `[MASK]`.
    pub fn new(model: M, mask: u32) -> Self {
        Self { model, mask, key: MemoKey::unique() }
    }

    /// The masked language model.
    pub fn model(&self) -> &M {
        &self.model
    }
}

impl<M: MaskedModel> Teacher for Reading<M> {
    fn logits(&self, predictions: &Predictions<'_>) -> Option<Tensor<2>> {
        let batch = predictions.batch;
        batch.memo.get_or_try_compute(self.key, || {
            self.model.masked_logits(batch.masked(self.mask), batch).map(Tensor::inner)
        })
    }
}

/// `-ln p(id)` in the distributions `logits` `[P, V]`: `[P]` -> `[P]`.
pub(crate) fn surprise(logits: &Tensor<2>, ids: &Tensor<1, Int>) -> Tensor<1> {
    ops::cross_entropy_rows(logits.clone(), ids.clone().inner())
}
