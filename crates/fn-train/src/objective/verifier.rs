//! Masked language models that a verifier reads with: a frozen one from a folder, or a moving average of the one that is trained.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::Batch;
use fn_core::judge::MaskedModel;
use fn_models::hf::{self, Head, HfError};
use fn_models::params::{self, NamedTensor};
use fn_models::{BertForPreTraining, Electra, Family, Inputs};
use fn_ops::Noise;

use super::batch;

/// A model with a masked-LM head, on the plain device.
#[derive(Clone)]
pub enum Reader {
    /// BERT.
    Bert(Box<BertForPreTraining>),
    /// The generator of an ELECTRA.
    Electra(Box<Electra>),
}

impl Reader {
    /// Loads a Hugging Face folder of a BERT with its masked-LM head, or of an ELECTRA, whose generator is taken. `device` is plain.
    ///
    /// # Errors
    /// A folder that cannot be read; a model without a masked-LM head.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, HfError> {
        let (model, head, report) = match hf::read_encoder(dir)?.0 {
            Family::Bert => {
                let (model, _, report) = hf::load_bert(dir, device)?;
                (Self::Bert(Box::new(model)), Head::MaskedLm, report)
            }
            Family::Electra => {
                let (model, _, report) = hf::load_electra(dir, device)?;
                (Self::Electra(Box::new(model)), Head::Generator, report)
            }
        };
        // A head with fresh initial values would judge at random.
        if !report.has(head) {
            return Err(HfError::Absent { folder: dir.to_owned(), wanted: "masked-LM head" });
        }
        Ok(model)
    }

    /// Rows of its token-embedding table.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(model) => model.word_embedding().dims()[0],
            Self::Electra(model) => model.word_embedding().dims()[0],
        }
    }

    fn averaged(self, other: &Self, decay: f64) -> Self {
        match (self, other) {
            (Self::Bert(a), Self::Bert(b)) => Self::Bert(Box::new(params::moving_average(*a, b, decay))),
            (Self::Electra(a), Self::Electra(b)) => {
                Self::Electra(Box::new(params::moving_average(*a, b, decay)))
            }
            (own, _) => own,
        }
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        match self {
            Self::Bert(model) => params::collect(&**model),
            Self::Electra(model) => params::collect(&**model),
        }
    }

    fn filled(self, lookup: &mut params::Lookup<'_, Infallible>) -> Self {
        let Ok(filled) = match self {
            Self::Bert(model) => params::load(*model, lookup).map(|model| Self::Bert(Box::new(model))),
            Self::Electra(model) => params::load(*model, lookup).map(|model| Self::Electra(Box::new(model))),
        };
        filled
    }

    /// `[P, V]`
    fn logits(&self, inputs: &Inputs, positions: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::Bert(model) => model.masked_logits(inputs, positions, &Noise::none()),
            Self::Electra(model) => model.generator_logits(inputs, positions, &Noise::none()),
        }
    }
}

impl MaskedModel for Reader {
    fn masked_logits(&self, ids: Tensor<2, Int>, of: &Batch) -> Option<Tensor<2>> {
        let inputs = batch::inputs(ids, of);
        let inputs = Inputs {
            ids: inputs.ids,
            token_type: inputs.token_type.inner(),
            mask: inputs.mask.map(Tensor::inner),
        };
        Some(self.logits(&inputs, of.positions.clone().inner()))
    }
}

/// Tensors of a moving average in a checkpoint are named so.
const PREFIX: &str = "verifier.";

/// A moving average of the model that is trained: after each step `decay * average + (1 - decay) * model`.
pub struct MovingAverage {
    decay: f64,
    /// None until the first model is seen.
    model: Mutex<Option<Reader>>,
}

impl MovingAverage {
    /// Keeps the share `decay` of itself at each step, 0..1.
    pub fn new(decay: f64) -> Self {
        Self { decay, model: Mutex::new(None) }
    }

    /// Moves towards `model`. The first one is taken as it is.
    pub(super) fn follow(&self, model: Reader) {
        let mut average = self.locked();
        *average = Some(match average.take() {
            Some(old) => old.averaged(&model, self.decay),
            None => model,
        });
    }

    /// What a checkpoint must hold to go on with the same average.
    pub(super) fn tensors(&self) -> Vec<NamedTensor> {
        let tensors = self.locked().as_ref().map(Reader::tensors).unwrap_or_default();
        tensors.into_iter().map(|t| NamedTensor { name: format!("{PREFIX}{}", t.name), ..t }).collect()
    }

    /// Takes its own [`tensors`](Self::tensors) out of those of a checkpoint; `like` is a model of the same shape. Tensors that are not
    /// there stay those of `like`.
    pub(super) fn restore(&self, like: Reader, tensors: &mut Vec<NamedTensor>) {
        let (mine, others) = std::mem::take(tensors).into_iter().partition(|t| t.name.starts_with(PREFIX));
        *tensors = others;
        let mut mine: BTreeMap<String, NamedTensor> =
            Vec::into_iter(mine).map(|t: NamedTensor| (t.name[PREFIX.len()..].to_owned(), t)).collect();
        let lookup = &mut |name: &str, shape: &[usize]| {
            Ok(mine.remove(name).filter(|tensor| tensor.shape == shape).map(|tensor| tensor.data))
        };
        *self.locked() = Some(like.filled(lookup));
    }

    /// A panic elsewhere does not make the average wrong.
    fn locked(&self) -> MutexGuard<'_, Option<Reader>> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MaskedModel for MovingAverage {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        self.locked().as_ref()?.masked_logits(ids, batch)
    }
}
