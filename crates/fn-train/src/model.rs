//! The model of a run: before its first step, and as a checkpoint holds it.

use burn::tensor::Device;
use fn_models::hf::LoadReport;
use fn_models::{Pretrained, params};

use crate::checkpoint::LoadedCheckpoint;
use crate::config::ModelConfig;
use crate::error::TrainError;

/// The model before the first step: that of the folder `init`, with a report of what was read, or a new one for a tokenizer of
/// `pieces`, drawn from `seed`.
///
/// # Errors
/// A folder that cannot be read; sizes that no such model can have.
pub fn initial(
    config: &ModelConfig,
    pieces: usize,
    seed: u64,
    device: &Device,
) -> Result<(Pretrained, Option<LoadReport>), TrainError> {
    match &config.init {
        Some(folder) => {
            let (model, report) = Pretrained::open_as(config.arch, folder, device)?;
            Ok((model, Some(report)))
        }
        None => {
            let model =
                Pretrained::fresh(config.arch, config.encoder(pieces), config.generator(), seed, device)?;
            Ok((model, None))
        }
    }
}

/// The model of a checkpoint of a run with this configuration. Its weights are taken out of `loaded`.
///
/// # Errors
/// A checkpoint of another model; a folder `init`, which says how large the model is, that cannot be read any more.
pub fn of_checkpoint(
    config: &ModelConfig,
    loaded: &mut LoadedCheckpoint,
    device: &Device,
) -> Result<Pretrained, TrainError> {
    let (model, _) = initial(config, loaded.vocab_size()?, 0, device)?;
    Ok(params::load(model, &mut |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some))?)
}
