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

use crate::optim::OptimError;

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
            documents: batch.documents.clone(),
        };
        Some(self.0.masked_logits(&inputs, batch.positions.clone().inner(), &Noise::none()))
    }
}

/// Prefix of the tensors of the average in a checkpoint that a verifier reads with.
const OF_VERIFIER: &str = "verifier.";
/// Prefix of the tensors of the average in a checkpoint that is evaluated and exported.
const OF_WEIGHTS: &str = "average.";

/// A moving average of the trained model: after each step `decay * average + (1 - decay) * model`.
pub struct MovingAverage {
    decay: f64,
    prefix: &'static str,
    /// None before the first update.
    model: Mutex<Option<Reader>>,
}

impl MovingAverage {
    /// An average with this decay, 0..1, for a verifier.
    pub fn new(decay: f64) -> Self {
        Self { decay, prefix: OF_VERIFIER, model: Mutex::new(None) }
    }

    /// An average with this decay, 0..1, that is evaluated and exported beside the weights.
    pub fn of_weights(decay: f64) -> Self {
        Self { prefix: OF_WEIGHTS, ..Self::new(decay) }
    }

    /// The average, on the plain device; None before the first update.
    pub fn model(&self) -> Option<Pretrained> {
        self.locked().as_ref().map(|reader| reader.0.clone())
    }

    /// Removes the tensors of an average of the weights from those of a checkpoint, and returns them by the parameter's path.
    pub fn taken_from(tensors: &mut Vec<NamedTensor>) -> BTreeMap<String, NamedTensor> {
        taken(OF_WEIGHTS, tensors)
    }

    /// Goes on from the tensors of a checkpoint, or where it has none, from `model`.
    ///
    /// # Errors
    /// Tensors of another model.
    pub fn resume(
        &self,
        model: &Pretrained,
        mut tensors: BTreeMap<String, NamedTensor>,
    ) -> Result<(), OptimError> {
        if tensors.is_empty() {
            self.follow(Reader::of(model));
            return Ok(());
        }
        let average = params::load(model.valid(), &mut |name: &str, shape: &[usize]| {
            let named = || format!("{}{name}", self.prefix);
            match tensors.remove(name) {
                Some(tensor) if tensor.shape == shape => Ok(Some(tensor.data)),
                Some(tensor) => {
                    Err(OptimError::Shape { name: named(), found: tensor.shape, expected: shape.to_vec() })
                }
                None => Err(OptimError::NoAverage { name: named() }),
            }
        })?;
        *self.locked() = Some(Reader(average));
        Ok(())
    }

    /// Updates the average with `model`; the first update copies it.
    pub(crate) fn follow(&self, model: Reader) {
        let mut average = self.locked();
        *average = Some(match average.take() {
            Some(Reader(old)) => Reader(params::moving_average(old, &model.0, self.decay)),
            None => model,
        });
    }

    /// The tensors of the average for a checkpoint.
    pub(crate) fn tensors(&self) -> Vec<NamedTensor> {
        let tensors = self.locked().as_ref().map(|model| params::collect(&model.0)).unwrap_or_default();
        tensors.into_iter().map(|t| NamedTensor { name: format!("{}{}", self.prefix, t.name), ..t }).collect()
    }

    /// Restores the average from the tensors of a checkpoint and removes its own [`tensors`](Self::tensors) from them; missing
    /// tensors are taken from `like`, a model of the same shape.
    pub(super) fn restore(&self, like: Reader, tensors: &mut Vec<NamedTensor>) {
        let mut mine = taken(self.prefix, tensors);
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

/// Removes the tensors with this prefix and returns them by the rest of their name.
fn taken(prefix: &str, tensors: &mut Vec<NamedTensor>) -> BTreeMap<String, NamedTensor> {
    let (mine, others) = std::mem::take(tensors).into_iter().partition(|t| t.name.starts_with(prefix));
    *tensors = others;
    Vec::into_iter(mine).map(|t: NamedTensor| (t.name[prefix.len()..].to_owned(), t)).collect()
}

impl MaskedModel for MovingAverage {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        self.locked().as_ref()?.masked_logits(ids, batch)
    }
}
