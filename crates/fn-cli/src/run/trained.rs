//! A model with its heads of pre-training, from a Hugging Face folder or from a checkpoint.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{self, Head, SaveOptions};
use fn_models::{Arch, BertConfig, BertForPreTraining, Electra, ElectraConfig, params};
use fn_ops::Noise;
use fn_study::probe::ProbeError;
use fn_train::checkpoint::LoadedCheckpoint;
use fn_train::config::RunConfig;
use fn_train::objective::DeviceBatch;

use crate::error::CliError;

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
    /// A folder that cannot be read, or that has no masked-LM head (3).
    pub fn open(dir: &Path, device: &Device) -> Result<Self, CliError> {
        let (model, report, head) = match hf::read_encoder(dir).map_err(CliError::input_from)?.0 {
            Arch::Bert => {
                let (model, shape, report) = hf::load_bert(dir, device).map_err(CliError::input_from)?;
                (Self::Bert(Box::new(model), shape), report, Head::MaskedLm)
            }
            Arch::Electra => {
                let (model, shape, report) = hf::load_electra(dir, device).map_err(CliError::input_from)?;
                (Self::Electra(Box::new(model), shape), report, Head::Generator)
            }
        };
        // A head with fresh initial values predicts noise.
        if !report.has(head) {
            return Err(ProbeError::NoHead { path: dir.to_owned() }.into());
        }
        Ok(model)
    }

    /// The model of a checkpoint of a run with this configuration. Its weights are taken out of `loaded`.
    ///
    /// # Errors
    /// A checkpoint of another model; a model to start from that is gone (3).
    pub fn of_checkpoint(
        config: &RunConfig,
        loaded: &mut LoadedCheckpoint,
        device: &Device,
    ) -> Result<Self, CliError> {
        let (model, vocab_size) = (&config.model, vocabulary(loaded)?);
        Ok(match model.arch {
            Arch::Electra => {
                let shape = match &model.init {
                    Some(folder) => hf::load_electra(folder, device).map_err(CliError::input_from)?.1,
                    None => ElectraConfig::new(
                        model.encoder(vocab_size),
                        model.generator_width,
                        model.generator_depth,
                    ),
                };
                shape.validate().map_err(CliError::input_from)?;
                Self::Electra(Box::new(fill(Electra::init(&shape, 0, device), loaded)?), shape)
            }
            Arch::Bert => {
                let shape = match &model.init {
                    Some(folder) => hf::load_bert(folder, device).map_err(CliError::input_from)?.1,
                    None => BertConfig::new(model.encoder(vocab_size)),
                };
                shape.validate().map_err(CliError::input_from)?;
                Self::Bert(Box::new(fill(BertForPreTraining::init(&shape, 0, device), loaded)?), shape)
            }
        })
    }

    /// Writes it in the Hugging Face format.
    ///
    /// # Errors
    /// The disk (1, 5).
    pub fn save(&self, out: &Path, options: &SaveOptions) -> Result<(), CliError> {
        match self {
            Self::Bert(model, shape) => hf::save_bert_with(out, model, shape, options),
            Self::Electra(model, shape) => hf::save_electra_with(out, model, shape, options),
        }
        .map_err(CliError::failed_from)
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
/// There is no token table in it (3).
pub fn vocabulary(loaded: &LoadedCheckpoint) -> Result<usize, CliError> {
    loaded.model.get("embeddings.word.weight").and_then(|(shape, _)| shape.first().copied()).ok_or_else(
        || CliError::input(format!("{}: there is no token table in this checkpoint", loaded.path.display())),
    )
}

/// Refuses a folder whose model cannot read sequences of `length` of this tokenizer.
///
/// # Errors
/// Too few pieces, too few positions; a folder that cannot be read (3).
pub fn check_fits(dir: &Path, tokenizer: &TextTokenizer, length: usize) -> Result<(), CliError> {
    let shape = hf::read_encoder(dir).map_err(CliError::input_from)?.1;
    let wrong = |what: &str, found: usize, expected: usize| {
        Err(CliError::input(format!(
            "{}: this model has {found} {what}, the run needs {expected}; give one with the run's own vocabulary and length",
            dir.display()
        )))
    };
    if shape.vocab_size < tokenizer.size() {
        return wrong("pieces", shape.vocab_size, tokenizer.size());
    }
    if shape.max_positions < length {
        return wrong("positions", shape.max_positions, length);
    }
    Ok(())
}

fn fill<M: Module>(model: M, loaded: &mut LoadedCheckpoint) -> Result<M, CliError> {
    params::load(model, &mut |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some))
        .map_err(CliError::input_from)
}
