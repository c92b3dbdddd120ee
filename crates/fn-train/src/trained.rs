//! A model with its heads of pre-training, from a Hugging Face folder or from a checkpoint.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{self, Head, HfError, SaveOptions};
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, Family, params};
use fn_ops::Noise;

use crate::checkpoint::{CheckpointError, LoadedCheckpoint};
use crate::config::{Arch, RunConfig};
use crate::objective::DeviceBatch;

/// Why a pre-trained model cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainedError {
    /// A folder in the Hugging Face format that cannot be read.
    #[error(transparent)]
    Model(#[from] HfError),
    /// A checkpoint that cannot be read, or of another model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Sizes that do not fit together.
    #[error(transparent)]
    Shape(#[from] fn_models::ConfigError),
    /// A folder with an encoder only: a head with fresh initial values predicts noise.
    #[error(
        "{path}: found no weights of a masked-LM head or of a replaced-token head, expected one of them; probe the model as it \
         was pre-trained, not a fine-tuned one"
    )]
    NoHead {
        /// The model's folder.
        path: PathBuf,
    },
    /// A checkpoint without a token table.
    #[error("{path}: there is no token table in this checkpoint")]
    NoTokenTable {
        /// The checkpoint's folder.
        path: PathBuf,
    },
    /// A model for another vocabulary or for shorter sequences.
    #[error(
        "{path}: this model has {found} {what}, the run needs {expected}; give one with the run's own vocabulary and length"
    )]
    DoesNotFit {
        /// The model's folder.
        path: PathBuf,
        /// `pieces` or `positions`.
        what: &'static str,
        /// How many the model has.
        found: usize,
        /// How many are needed.
        expected: usize,
    },
}

/// A model of either kind and its sizes.
pub enum Trained {
    /// With its masked-LM head.
    Bert(Box<BertForPreTraining>, BertConfig),
    /// With its generator.
    Electra(Box<Electra>, ElectraConfig),
}

impl Trained {
    /// Reads a Hugging Face folder.
    ///
    /// # Errors
    /// A folder that cannot be read, or that has no masked-LM head.
    pub fn open(dir: &Path, device: &Device) -> Result<Self, TrainedError> {
        let (model, report, head) = match hf::read_encoder(dir)?.0 {
            Family::Bert => {
                let (model, shape, report) = hf::load_bert(dir, device)?;
                (Self::Bert(Box::new(model), shape), report, Head::MaskedLm)
            }
            Family::Electra => {
                let (model, shape, report) = hf::load_electra(dir, device)?;
                (Self::Electra(Box::new(model), shape), report, Head::Generator)
            }
        };
        // A head with fresh initial values predicts noise.
        if !report.has(head) {
            return Err(TrainedError::NoHead { path: dir.to_owned() });
        }
        Ok(model)
    }

    /// The model of a checkpoint of a run with this configuration. Its weights are taken out of `loaded`.
    ///
    /// # Errors
    /// A checkpoint of another model; a model to start from that is gone.
    pub fn of_checkpoint(
        config: &RunConfig,
        loaded: &mut LoadedCheckpoint,
        device: &Device,
    ) -> Result<Self, TrainedError> {
        let (model, vocab_size) = (&config.model, vocabulary(loaded)?);
        Ok(match model.arch {
            Arch::Electra => {
                let shape = match &model.init {
                    Some(folder) => hf::load_electra(folder, device)?.1,
                    None => ElectraConfig::new(
                        model.encoder(vocab_size),
                        model.generator_width,
                        model.generator_depth,
                    ),
                };
                shape.validate()?;
                Self::Electra(Box::new(fill(Electra::init(&shape, 0, device), loaded)?), shape)
            }
            Arch::Bert => {
                let shape = match &model.init {
                    Some(folder) => hf::load_bert(folder, device)?.1,
                    None => BertConfig::new(model.encoder(vocab_size)),
                };
                shape.validate()?;
                Self::Bert(Box::new(fill(BertForPreTraining::init(&shape, 0, device), loaded)?), shape)
            }
        })
    }

    /// Writes it in the Hugging Face format.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, out: &Path, options: &SaveOptions) -> Result<(), HfError> {
        match self {
            Self::Bert(model, shape) => hf::save_bert_with(out, model, shape, options),
            Self::Electra(model, shape) => hf::save_electra_with(out, model, shape, options),
        }
    }

    /// What it predicts at the masked rows, `[P, V]`.
    pub fn masked_logits(&self, batch: &DeviceBatch) -> Tensor<2> {
        match self {
            Self::Bert(model, _) => model.masked_logits(&batch.inputs, batch.rows.clone(), &Noise::none()),
            Self::Electra(model, _) => {
                model.generator_logits(&batch.inputs, batch.rows.clone(), &Noise::none())
            }
        }
    }
}

/// The vocabulary that a checkpoint was trained on.
///
/// # Errors
/// There is no token table in it.
pub fn vocabulary(loaded: &LoadedCheckpoint) -> Result<usize, TrainedError> {
    loaded
        .model
        .get("embeddings.word.weight")
        .and_then(|(shape, _)| shape.first().copied())
        .ok_or_else(|| TrainedError::NoTokenTable { path: loaded.path.clone() })
}

/// Refuses a folder whose model cannot read sequences of `length` of this tokenizer.
///
/// # Errors
/// Too few pieces, too few positions; a folder that cannot be read.
pub fn check_fits(dir: &Path, tokenizer: &TextTokenizer, length: usize) -> Result<(), TrainedError> {
    let shape = hf::read_encoder(dir)?.1;
    let wrong =
        |what, found, expected| Err(TrainedError::DoesNotFit { path: dir.to_owned(), what, found, expected });
    if shape.vocab_size < tokenizer.size() {
        return wrong("pieces", shape.vocab_size, tokenizer.size());
    }
    if shape.max_positions < length {
        return wrong("positions", shape.max_positions, length);
    }
    Ok(())
}

fn fill<M: Module>(model: M, loaded: &mut LoadedCheckpoint) -> Result<M, CheckpointError> {
    params::load(model, &mut |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some))
}
