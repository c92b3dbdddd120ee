//! The layer of the configuration that a model folder determines: `--from FOLDER`.

use std::path::Path;

use fn_data::tokenise::has_tokenizer;
use fn_models::hf;

use super::layers::{Origin, Setting};
use super::{Arch, ConfigError};

/// Preset below a model folder, where no other is named.
pub(super) const PRESET: &str = "continued";

/// Length of the rows, in tokens, unless the model takes fewer.
const LENGTH: usize = 128;

/// The architecture that later layers ask for, if they do. A value that is none is refused elsewhere.
pub(super) fn asked(settings: &[Setting]) -> Option<Arch> {
    let of_arch = |setting: &Setting| match setting.key == "model.arch" {
        true => setting.value.clone().try_into().ok(),
        false => None,
    };
    settings.iter().rev().find_map(of_arch)
}

/// Architecture, objective, tokenizer and lengths of a Hugging Face folder, or of the `model/` of a run directory. `asked`: the
/// architecture that it shall become, if that is said (`model.arch`).
///
/// # Errors
/// No model that can be read. Only the descriptions are read, not the weights.
pub(super) fn folder_layer(folder: &Path, asked: Option<Arch>) -> Result<Vec<Setting>, ConfigError> {
    let folder = hf::model_folder(folder);
    let wrong = |error: hf::HfError| ConfigError::Model { path: folder.clone(), message: error.to_string() };
    let (arch, encoder) = hf::read_encoder(&folder).map_err(wrong)?;
    let origin = Origin::Model { path: folder.clone() };
    let path = folder.display().to_string();
    let detects = asked.unwrap_or(arch).has_discriminator();
    let scheme = if detects { "electra" } else { "bert" };
    let name = serde_json::to_value(arch).ok().and_then(|name| name.as_str().map(str::to_owned));
    let mut settings: Vec<(&str, toml::Value)> = vec![
        ("model.init", path.clone().into()),
        ("model.arch", name.unwrap_or_default().into()),
        ("corruption.scheme", scheme.into()),
        ("data.length", (LENGTH.min(encoder.max_positions) as i64).into()),
    ];
    // Of a masked language model: tied.
    let sharing = hf::read_sharing(&folder).map_err(wrong)?;
    settings.push(("model.embedding_sharing", sharing.name().into()));
    if encoder.type_vocab == 1 {
        settings.push(("data.packing", "dense".into()));
    }
    if has_tokenizer(&folder) {
        settings.push(("data.tokenizer", path.into()));
    }
    let setting =
        |(key, value): (&str, toml::Value)| Setting { key: key.to_owned(), value, origin: origin.clone() };
    Ok(settings.into_iter().map(setting).collect())
}

/// What is about to be trained, for people.
pub(super) fn objective(arch: Arch) -> &'static str {
    match arch.has_discriminator() {
        true => "replaced-token detection",
        false => "masked language modelling",
    }
}
