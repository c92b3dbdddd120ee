//! Writing: one of our models becomes a folder that transformers loads.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use fn_core::files::write_atomic;
use fn_core::vocab::SpecialIds;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use super::error::HfError;
use super::names::{Layout, Role};
use super::{CONFIG_FILE, GENERATOR_FOLDER, WEIGHTS_FILE, config_json};
use crate::arch::{Arch, Family};
use crate::bert::BertForPreTraining;
use crate::config::{BertConfig, ElectraConfig};
use crate::electra::Electra;
use crate::params::{self, NamedTensor};

/// Name of the second bias of an output layer that is not tied; behind the head's.
pub(super) const COPIED_BIAS: &str = "decoder.bias";

/// Fields of `config.json` that the model itself does not determine.
#[derive(Debug, Clone, PartialEq)]
pub struct SaveOptions {
    /// Of the folder's own `config.json`.
    pub fields: Map<String, Value>,
    /// Of the generator's.
    pub generator_fields: Map<String, Value>,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self::with_pad(0)
    }
}

impl SaveOptions {
    /// A vocabulary whose padding piece has this id.
    pub fn with_pad(id: u32) -> Self {
        let fields: Map<String, Value> = [("pad_token_id".to_owned(), json!(id))].into_iter().collect();
        Self { generator_fields: fields.clone(), fields }
    }
}

impl SaveOptions {
    /// The ids of a vocabulary's special pieces, as far as transformers would else take those of another vocabulary for a model of `arch`:
    /// of every one the padding id, of ModernBERT's layers also `bos`, `eos`, `cls` and `sep`.
    pub fn with_special(arch: Arch, special: &SpecialIds) -> Self {
        let mut options = Self::with_pad(special.pad);
        if arch.is_modern() {
            let (first, last) = (special.cls, special.sep);
            for (key, id) in [("bos", first), ("cls", first), ("eos", last), ("sep", last)] {
                for fields in [&mut options.fields, &mut options.generator_fields] {
                    fields.insert(format!("{key}_token_id"), json!(id));
                }
            }
        }
        options
    }
}

/// Writes BERT as `BertForMaskedLM`: `config.json` and `model.safetensors` in `dir`, which is made if need be.
///
/// - Each file is replaced whole or not at all.
/// - The tied output matrix is not written a second time. A pooler is written where there is one.
pub fn save_bert(dir: &Path, model: &BertForPreTraining, config: &BertConfig) -> Result<(), HfError> {
    save_bert_with(dir, model, config, &SaveOptions::default())
}

/// [`save_bert`] with further fields for `config.json`.
pub fn save_bert_with(
    dir: &Path,
    model: &BertForPreTraining,
    config: &BertConfig,
    options: &SaveOptions,
) -> Result<(), HfError> {
    save_masked_lm(dir, Arch::Bert, model, config, options)
}

/// [`save_bert_with`] for any architecture that is pre-trained as a masked language model: `RobertaForMaskedLM` and so on.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_masked_lm(
    dir: &Path,
    arch: Arch,
    model: &BertForPreTraining,
    config: &BertConfig,
    options: &SaveOptions,
) -> Result<(), HfError> {
    let tensors = with_copied_bias(params::collect(model), arch.family(), "head.", config.untied_decoder);
    let class = arch.pretrained_class();
    let file = config_json::write(&config.encoder, arch, &class, config.untied_decoder, &options.fields);
    save(dir, Layout::new(arch.family(), Role::MaskedLm), tensors.iter(), &file)
}

/// Writes ELECTRA: the discriminator as `ElectraForPreTraining` in `dir`, the generator as `ElectraForMaskedLM` in
/// `dir/generator`. Each holds the embeddings that it computes with. Each file is replaced whole or not at all.
pub fn save_electra(dir: &Path, model: &Electra, config: &ElectraConfig) -> Result<(), HfError> {
    save_electra_with(dir, model, config, &SaveOptions::default())
}

/// [`save_electra`] with further fields for the two `config.json`.
pub fn save_electra_with(
    dir: &Path,
    model: &Electra,
    config: &ElectraConfig,
    options: &SaveOptions,
) -> Result<(), HfError> {
    save_replaced_token(dir, Arch::Electra, model, config, options)
}

/// [`save_electra_with`] for any architecture with generator and discriminator. With ModernBERT's layers the discriminator is written as
/// `ModernBertForTokenClassification` with the one label `replaced`, which computes the same, and the generator as
/// `ModernBertForMaskedLM`.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_replaced_token(
    dir: &Path,
    arch: Arch,
    model: &Electra,
    config: &ElectraConfig,
    options: &SaveOptions,
) -> Result<(), HfError> {
    let (family, untied) = (arch.family(), config.untied_decoder);
    let class = arch.pretrained_class();
    let fields = config_json::discriminator_fields(arch, config.sharing, &options.fields);
    // transformers does not ask whether a discriminator, which has no output layer, ties it.
    let text = config_json::write(&config.discriminator, arch, &class, false, &fields);
    let tensors = model.discriminator_tensors();
    save(dir, Layout::new(family, Role::Discriminator), tensors.iter(), &text)?;
    let (alone, class) = (arch.of_generator(), arch.generator_class().unwrap_or_default());
    let text = config_json::write(&config.generator, alone, &class, untied, &options.generator_fields);
    let tensors = params::collect(model);
    save(&dir.join(GENERATOR_FOLDER), Layout::new(family, Role::Generator), tensors.iter(), &text)
}

/// An output layer that is not tied has a bias of its own in transformers, beside the head's: both are written, equal.
fn with_copied_bias(
    mut tensors: Vec<NamedTensor>,
    family: Family,
    head: &str,
    untied: bool,
) -> Vec<NamedTensor> {
    if untied && family.files().decoder.copied_bias.is_some() {
        let bias = tensors.iter().find(|tensor| tensor.name == format!("{head}bias")).cloned();
        tensors.extend(bias.map(|bias| NamedTensor { name: format!("{head}{COPIED_BIAS}"), ..bias }));
    }
    tensors
}

pub(super) fn save<'a>(
    dir: &Path,
    layout: Layout,
    tensors: impl Iterator<Item = &'a NamedTensor>,
    config: &str,
) -> Result<(), HfError> {
    fs::create_dir_all(dir).map_err(HfError::io(dir, "make the folder"))?;
    let named: Vec<(String, Vec<usize>, Vec<f32>)> = tensors
        .filter_map(|tensor| {
            let (name, transposed) = layout.theirs(&tensor.name)?;
            Some(match (transposed, tensor.shape.as_slice()) {
                (true, &[rows, columns]) => {
                    (name, vec![columns, rows], transpose(&tensor.data, rows, columns))
                }
                _ => (name, tensor.shape.clone(), tensor.data.clone()),
            })
        })
        .collect();
    let path = dir.join(WEIGHTS_FILE);
    let refused = |error: safetensors::SafeTensorError| HfError::Damaged {
        path: path.clone(),
        reason: format!("the tensors cannot be written: {error}"),
    };
    let mut views = Vec::with_capacity(named.len());
    for (name, shape, data) in &named {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data)).map_err(refused)?;
        views.push((name.as_str(), view));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(refused)?;
    for (name, bytes) in [(WEIGHTS_FILE, bytes.as_slice()), (CONFIG_FILE, config.as_bytes())] {
        let path = dir.join(name);
        write_atomic(&path, bytes).map_err(HfError::io(&path, "write the file"))?;
    }
    Ok(())
}

/// `[rows, columns]` -> `[columns, rows]`
pub(crate) fn transpose(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| data[row * columns + column])).collect()
}
