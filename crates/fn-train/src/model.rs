//! The model of a run: initialised, or loaded from a checkpoint.

use burn::tensor::Device;
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::LoadReport;
use fn_models::{Pretrained, params};

use crate::checkpoint::LoadedCheckpoint;
use crate::config::{ModelConfig, RunConfig};
use crate::error::TrainError;
use crate::objective::MovingAverage;
use crate::optim::OptimError;

/// The model before the first step: loaded from the folder `init`, with a report of the tensors that were read, or initialised
/// at random from `seed` for a vocabulary of `pieces` whose padding piece has the id `pad`.
///
/// # Errors
/// A folder that cannot be read; sizes that do not fit together.
pub fn initial(
    config: &ModelConfig,
    pieces: usize,
    pad: u32,
    seed: u64,
    device: &Device,
) -> Result<(Pretrained, Option<LoadReport>), TrainError> {
    match &config.init {
        Some(folder) => {
            let (model, report) =
                Pretrained::open_as(config.arch, Some(config.embedding_sharing), folder, device)?;
            Ok((model, Some(report)))
        }
        None => {
            let encoder = config.encoder(pieces, pad);
            let model = Pretrained::fresh(config.arch, encoder, config.generator(), seed, device)?;
            Ok((model, None))
        }
    }
}

/// The model before the first step for the tokenizer of the run.
///
/// # Errors
/// As [`initial`]; a vocabulary, a length or a padding id that does not fit the model.
pub fn for_tokenizer(
    config: &RunConfig,
    tokenizer: &TextTokenizer,
    device: &Device,
) -> Result<(Pretrained, Option<LoadReport>), TrainError> {
    let (pieces, pad) = (tokenizer.size(), tokenizer.special().pad);
    let (model, report) = initial(&config.model, pieces, pad, config.seed, device)?;
    // Ids or positions beyond the model's embeddings would be read out of bounds.
    model.encoder().check_fit(pieces, config.data.length)?;
    model.encoder().check_padding(pad)?;
    Ok((model, report))
}

/// The model from a checkpoint of a run with this configuration. Its weights are removed from `loaded`.
///
/// # Errors
/// A checkpoint of another model; a folder `init`, which defines the size of the model, that can no longer be read.
pub fn of_checkpoint(
    config: &ModelConfig,
    loaded: &mut LoadedCheckpoint,
    device: &Device,
) -> Result<Pretrained, TrainError> {
    let (model, _) = initial(config, loaded.vocab_size()?, loaded.pad(config.max_positions), 0, device)?;
    Ok(params::load(model, &mut |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some))?)
}

/// The moving average of the weights (`average.decay`) from such a checkpoint, in place of the weights. It is removed from `loaded`.
///
/// # Errors
/// As [`of_checkpoint`]; [`TrainError::NoAverage`] for a checkpoint without one.
pub fn average_of_checkpoint(
    config: &ModelConfig,
    loaded: &mut LoadedCheckpoint,
    device: &Device,
) -> Result<Pretrained, TrainError> {
    let model = of_checkpoint(config, loaded, device)?;
    let mut tensors = MovingAverage::taken_from(&mut loaded.optim);
    if tensors.is_empty() {
        return Err(TrainError::NoAverage { path: loaded.path.clone() });
    }
    params::load(model, &mut |name: &str, shape: &[usize]| {
        let found = tensors.remove(name).filter(|tensor| tensor.shape == shape);
        let found = found.ok_or_else(|| OptimError::NoAverage { name: name.to_owned() })?;
        Ok(Some(found.data))
    })
}
