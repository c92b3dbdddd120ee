//! The masked language models of a verifier: a frozen one from a folder, or a moving average of the trained one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::Batch;
use fn_core::judge::MaskedModel;
use fn_models::hf::HfError;
use fn_models::params::{self, NamedTensor};
use fn_models::{Inputs, Pretrained};
use fn_ops::Noise;

/// The masked LM of a verifier, without autodiff. For ELECTRA it is the generator.
#[derive(Clone)]
pub struct Reader(Pretrained);

impl Reader {
    /// A copy of `model`, without autodiff.
    pub fn of(model: &Pretrained) -> Self {
        Self(model.valid())
    }

    /// Loads a Hugging Face folder. `device` is without autodiff.
    ///
    /// # Errors
    /// A folder that cannot be read; a model without a masked-LM head.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, HfError> {
        Ok(Self(Pretrained::open_masked_lm(dir, device)?.0))
    }

    /// Number of rows of the token embedding.
    pub fn vocab_size(&self) -> usize {
        self.0.encoder().vocab_size
    }
}

impl MaskedModel for Reader {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        let inputs = Inputs {
            ids,
            token_type: batch.segments.clone().inner(),
            mask: batch.padded.then(|| batch.attention.clone().inner()),
            documents: None,
        };
        Some(self.0.masked_logits(&inputs, batch.positions.clone().inner(), &Noise::none()))
    }
}

/// Prefix of the tensors of a moving average in a checkpoint.
const PREFIX: &str = "verifier.";

/// A moving average of the trained model: after each step `decay * average + (1 - decay) * model`.
pub struct MovingAverage {
    decay: f64,
    /// None before the first update.
    model: Mutex<Option<Reader>>,
}

impl MovingAverage {
    /// An average with this decay, 0..1.
    pub fn new(decay: f64) -> Self {
        Self { decay, model: Mutex::new(None) }
    }

    /// Updates the average with `model`; the first update copies it.
    pub(super) fn follow(&self, model: Reader) {
        let mut average = self.locked();
        *average = Some(match average.take() {
            Some(Reader(old)) => Reader(params::moving_average(old, &model.0, self.decay)),
            None => model,
        });
    }

    /// The tensors of the average for a checkpoint.
    pub(super) fn tensors(&self) -> Vec<NamedTensor> {
        let tensors = self.locked().as_ref().map(|model| params::collect(&model.0)).unwrap_or_default();
        tensors.into_iter().map(|t| NamedTensor { name: format!("{PREFIX}{}", t.name), ..t }).collect()
    }

    /// Restores the average from the tensors of a checkpoint and removes its own [`tensors`](Self::tensors) from them; missing
    /// tensors are taken from `like`, a model of the same shape.
    pub(super) fn restore(&self, like: Reader, tensors: &mut Vec<NamedTensor>) {
        let (mine, others) = std::mem::take(tensors).into_iter().partition(|t| t.name.starts_with(PREFIX));
        *tensors = others;
        let mut mine: BTreeMap<String, NamedTensor> =
            Vec::into_iter(mine).map(|t: NamedTensor| (t.name[PREFIX.len()..].to_owned(), t)).collect();
        let Ok(model) = params::load(like.0, &mut |name: &str, shape: &[usize]| {
            Ok::<_, Infallible>(mine.remove(name).filter(|t| t.shape == shape).map(|tensor| tensor.data))
        });
        *self.locked() = Some(Reader(model));
    }

    /// Locks the average; a poisoned lock is ignored, because a panic elsewhere does not invalidate the average.
    fn locked(&self) -> MutexGuard<'_, Option<Reader>> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MaskedModel for MovingAverage {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        self.locked().as_ref()?.masked_logits(ids, batch)
    }
}
