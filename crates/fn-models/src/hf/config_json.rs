//! `config.json` of transformers <-> [`EncoderConfig`].

use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::HfError;
use super::files::read_json;
use crate::arch::Arch;
use crate::config::EncoderConfig;

/// A `config.json` is a few KB.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// A parsed `config.json`.
pub(crate) struct ModelFile {
    pub arch: Arch,
    pub config: EncoderConfig,
    /// First of `architectures`.
    pub architecture: Option<String>,
    /// Fields that say nothing about shapes or computation.
    pub other: Map<String, Value>,
}

/// Fields that [`write`] writes from the model itself.
const OWN: [&str; 15] = [
    "architectures",
    "attention_probs_dropout_prob",
    "dtype",
    "embedding_size",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "type_vocab_size",
    "vocab_size",
];

struct Fields<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn wrong(&self, field: &str, expected: impl Into<String>) -> HfError {
        let found = self.map.get(field).map_or_else(|| "missing".into(), Value::to_string);
        let found = if found.chars().count() > 80 { "something long".into() } else { found };
        HfError::Field { path: self.path.to_owned(), field: field.into(), found, expected: expected.into() }
    }
    /// A size; the default of transformers where it is left out.
    fn size(&self, field: &str, default: Option<usize>) -> Result<usize, HfError> {
        match (self.map.get(field), default) {
            (None, default) => default,
            (Some(value), _) => value.as_u64().and_then(|n| usize::try_from(n).ok()),
        }
        .ok_or_else(|| self.wrong(field, "a whole number"))
    }
    fn number(&self, field: &str, default: f64) -> Result<f64, HfError> {
        match self.map.get(field) {
            None => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| self.wrong(field, "a number")),
        }
    }
    /// The field is absent, null or this.
    fn must_be(&self, field: &str, wanted: &Value) -> Result<(), HfError> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(()),
            Some(found) if found == wanted => Ok(()),
            Some(_) => Err(self.wrong(field, wanted.to_string())),
        }
    }
}

/// Reads and checks a model of one of these architectures.
pub(crate) fn read(path: &Path, wanted: &[Arch]) -> Result<ModelFile, HfError> {
    let Value::Object(map) = read_json(path, MAX_CONFIG)? else {
        return Err(HfError::Json { path: path.to_owned(), message: "not a JSON object".into() });
    };
    let fields = Fields { path, map: &map };
    let arch = match map.get("model_type") {
        // The first BERT files have no model_type.
        None | Some(Value::Null) => wanted.iter().find(|&&arch| arch == Arch::Bert),
        Some(found) => wanted.iter().find(|arch| found == arch.model_type()),
    };
    let arch = *arch.ok_or_else(|| {
        let names: Vec<String> = wanted.iter().map(|arch| format!("\"{}\"", arch.model_type())).collect();
        fields.wrong("model_type", names.join(" or "))
    })?;
    fields.must_be("hidden_act", &json!("gelu"))?;
    fields.must_be("is_decoder", &json!(false))?;
    fields.must_be("add_cross_attention", &json!(false))?;
    fields.must_be("tie_word_embeddings", &json!(true))?;
    fields.must_be("position_embedding_type", &json!("absolute"))?;
    fields.must_be("pruned_heads", &json!({}))?;
    let hidden = fields.size("hidden_size", None)?;
    let embedding = match arch {
        Arch::Bert => hidden,
        Arch::Electra => fields.size("embedding_size", Some(128))?,
    };
    let config = EncoderConfig {
        vocab_size: fields.size("vocab_size", None)?,
        embedding_size: embedding,
        hidden_size: hidden,
        num_layers: fields.size("num_hidden_layers", None)?,
        num_heads: fields.size("num_attention_heads", None)?,
        intermediate_size: fields.size("intermediate_size", None)?,
        max_positions: fields.size("max_position_embeddings", Some(512))?,
        type_vocab: fields.size("type_vocab_size", Some(2))?,
        hidden_dropout: fields.number("hidden_dropout_prob", 0.1)?,
        attention_dropout: fields.number("attention_probs_dropout_prob", 0.1)?,
        layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
        init_std: fields.number("initializer_range", 0.02)?,
        modern: None,
    };
    config.validate().map_err(|source| HfError::Config { path: path.to_owned(), source })?;
    let architecture = map.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let architecture = architecture.map(str::to_owned);
    // `torch_dtype` is the old name of `dtype`: what we write is always f32.
    let other =
        map.into_iter().filter(|(key, _)| !OWN.contains(&key.as_str()) && key != "torch_dtype").collect();
    Ok(ModelFile { arch, config, architecture, other })
}

/// The text of a `config.json`: `other`, overruled by what the model determines; keys in order.
pub(crate) fn write(config: &EncoderConfig, arch: Arch, class: &str, other: &Map<String, Value>) -> String {
    let mut fields = json!({
        "architectures": [class],
        "attention_probs_dropout_prob": config.attention_dropout,
        "dtype": "float32",
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.hidden_dropout,
        "hidden_size": config.hidden_size,
        "initializer_range": config.init_std,
        "intermediate_size": config.intermediate_size,
        "layer_norm_eps": config.layer_norm_eps,
        "max_position_embeddings": config.max_positions,
        "model_type": arch.model_type(),
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "tie_word_embeddings": true,
        "type_vocab_size": config.type_vocab,
        "vocab_size": config.vocab_size,
    });
    if arch == Arch::Electra {
        fields["embedding_size"] = json!(config.embedding_size);
    }
    let mut sorted: std::collections::BTreeMap<&str, &Value> = other
        .iter()
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    if let Some(fields) = fields.as_object() {
        sorted.extend(fields.iter().map(|(key, value)| (key.as_str(), value)));
    }
    // A map with text keys always has a JSON form.
    serde_json::to_string_pretty(&sorted).unwrap_or_default() + "\n"
}
