//! `config.json` of transformers <-> [`EncoderConfig`].

use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::HfError;
use super::family::Keys;
use super::files::read_json;
use super::{modern_json, unknown};
use crate::activation::Activation;
use crate::arch::{Arch, Family};
use crate::config::EncoderConfig;
use crate::electra::EmbeddingSharing;

/// A `config.json` is a few KB.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// A parsed `config.json`.
pub(crate) struct ModelFile {
    pub arch: Arch,
    pub config: EncoderConfig,
    /// First of `architectures`.
    pub architecture: Option<String>,
    /// Whether the output layer of its masked LM has a matrix of its own.
    pub untied: bool,
    /// What a discriminator shares with its generator.
    pub sharing: EmbeddingSharing,
    /// Whether it is a discriminator under the name of a tagger, as transformers has no class for it.
    pub is_discriminator: bool,
    /// Dropout in the head of a classifier, and of a tagger where the family has one for both.
    pub classifier_dropout: f64,
    /// Dropout before the head that finds answers, where the family has its own.
    pub spans_dropout: Option<f64>,
    /// Fields that say nothing about shapes or computation.
    pub other: Map<String, Value>,
    /// What a user should know about how it was read.
    pub notes: Vec<String>,
}

/// Fields that [`write`] writes for every family, beside those of [`Keys::all`].
const OWN: [&str; 4] = ["architectures", "dtype", "tie_word_embeddings", "vocab_size"];

/// Key of an architecture that shares its `model_type` with another one, and its value; transformers keeps keys that it does not know.
const PRETRAINING: &str = "pretraining";
const REPLACED_TOKENS: &str = "replaced-token-detection";
/// Key of what a discriminator shares with its generator; absent: all embeddings.
const SHARING: &str = "embedding_sharing";
/// Name of the one label of a discriminator under the name of a tagger.
const REPLACED: &str = "replaced";

pub(super) struct Fields<'a> {
    path: &'a Path,
    pub map: &'a Map<String, Value>,
}

impl Fields<'_> {
    pub fn wrong(&self, field: &str, expected: impl Into<String>) -> HfError {
        let found = self.map.get(field).map_or_else(|| "missing".into(), Value::to_string);
        let found = if found.chars().count() > 80 { "something long".into() } else { found };
        HfError::Field { path: self.path.to_owned(), field: field.into(), found, expected: expected.into() }
    }
    /// A size; the default of transformers where it is left out.
    pub fn size(&self, field: &str, default: Option<usize>) -> Result<usize, HfError> {
        match (self.map.get(field), default) {
            (None, default) => default,
            (Some(value), _) => value.as_u64().and_then(|n| usize::try_from(n).ok()),
        }
        .ok_or_else(|| self.wrong(field, "a whole number"))
    }
    pub fn number(&self, field: &str, default: Option<f64>) -> Result<f64, HfError> {
        match self.map.get(field) {
            None => default,
            Some(value) => value.as_f64(),
        }
        .ok_or_else(|| self.wrong(field, "a number"))
    }
    /// A yes or no; absent and null are the default.
    fn flag(&self, field: &str, default: bool) -> Result<bool, HfError> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(field, "true or false")),
        }
    }
    /// An activation function; absent: gelu.
    fn activation(&self, field: &str) -> Result<Activation, HfError> {
        let known = || Activation::ALL.map(|a| format!("\"{}\"", a.name())).join(", ");
        match self.map.get(field) {
            None => Some(Activation::Gelu),
            Some(value) => value.as_str().and_then(Activation::find),
        }
        .ok_or_else(|| self.wrong(field, format!("one of {}", known())))
    }
    /// The field is absent, null or this.
    pub fn must_be(&self, field: &str, wanted: &Value) -> Result<(), HfError> {
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
    let marked = map.get(PRETRAINING).is_some_and(|value| value == REPLACED_TOKENS);
    let arch = match map.get("model_type") {
        // The first BERT files have no model_type.
        None | Some(Value::Null) => wanted.iter().find(|&&arch| arch == Arch::Bert),
        Some(found) => {
            let is = |arch: &&Arch| found == arch.model_type() && arch.is_marked() == marked;
            wanted.iter().find(is)
        }
    };
    let arch = *arch.ok_or_else(|| {
        if marked && wanted.iter().any(|arch| map.get("model_type").is_some_and(|t| t == arch.model_type())) {
            let expected = "no such key in a masked language model: this is a discriminator, its masked language model is in generator/";
            return fields.wrong(PRETRAINING, expected);
        }
        let names: Vec<String> = wanted.iter().map(|arch| format!("\"{}\"", arch.model_type())).collect();
        let why = map.get("model_type").and_then(unknown::why_not);
        let why = why.map_or_else(String::new, |why| format!("; {why}, which is not built here"));
        fields.wrong("model_type", names.join(" or ") + &why)
    })?;
    let keys = &arch.family().files().keys;
    let is_modern = arch.family() == Family::Modern;
    for (field, value) in unknown::fixed() {
        // transformers gives every ModernBERT rotary positions, whatever this key says: released ones have several values.
        if !(is_modern && field == "position_embedding_type") {
            fields.must_be(field, &value)?;
        }
    }
    let own = |key: &str| {
        OWN.contains(&key)
            || keys.all().any(|own| own == key)
            || is_modern && modern_json::KEYS.contains(&key)
            || arch.is_marked() && key == PRETRAINING
            || arch.has_discriminator() && key == SHARING
    };
    let mut notes = Vec::new();
    // Some BERTs say that their embeddings are as wide as their layers, which is what is computed.
    let same_width = |key: &str, value: &Value| {
        ["embedding_size", "emb_size"].contains(&key) && map.get(keys.hidden_size) == Some(value)
    };
    for (key, value) in map.iter().filter(|(key, value)| !own(key) && !same_width(key, value)) {
        match unknown::judge(key, value) {
            unknown::Verdict::Harmless => {}
            unknown::Verdict::Unknown => {
                notes.push(format!("config.json: `{key}` is not known and has no effect here"))
            }
            unknown::Verdict::Refused => {
                return Err(fields.wrong(key, "no such key: what it changes is not known"));
            }
        }
    }
    let hidden_size = fields.size(keys.hidden_size, None)?;
    let embedding_size = match keys.embedding_size {
        Some(key) => fields.size(key, Some(128))?,
        None => hidden_size,
    };
    if let (Some(key), Some(default)) = (keys.layer_norm_eps, keys.default_eps)
        && !map.contains_key(key)
    {
        notes.push(format!("config.json: no `{key}`: {default:e}, as in transformers"));
    }
    let position_offset = match keys.offset_by_pad {
        Some(default) => fields.size("pad_token_id", usize::try_from(default).ok())? + 1,
        None => 0,
    };
    let rows = fields.size(keys.max_positions, Some(keys.default_positions))?;
    let max_positions =
        rows.checked_sub(position_offset).filter(|&positions| positions > 0).ok_or_else(|| {
            fields
                .wrong(keys.max_positions, format!("more than {position_offset}: positions count from there"))
        })?;
    let hidden_dropout = fields.number(keys.hidden_dropout, Some(keys.default_dropout))?;
    let num_layers = fields.size(keys.num_layers, None)?;
    let config = EncoderConfig {
        vocab_size: fields.size("vocab_size", None)?,
        embedding_size,
        hidden_size,
        num_layers,
        num_heads: fields.size(keys.num_heads, None)?,
        intermediate_size: fields.size(keys.intermediate_size, None)?,
        max_positions,
        type_vocab: match keys.type_vocab {
            Some(key) => fields.size(key, Some(2))?,
            None => 1,
        },
        hidden_dropout,
        attention_dropout: fields.number(keys.attention_dropout, Some(keys.default_dropout))?,
        layer_norm_eps: match keys.layer_norm_eps {
            Some(key) => fields.number(key, keys.default_eps)?,
            None => keys.default_eps.unwrap_or(1e-12),
        },
        init_std: fields.number(keys.init_std, Some(0.02))?,
        activation: fields.activation(keys.activation)?,
        position_offset,
        distil: arch.is_distil(),
        modern: if is_modern { Some(modern_json::read(&fields, num_layers)?) } else { None },
    };
    config.validate().map_err(|source| HfError::Config { path: path.to_owned(), source })?;
    let rate = |key: &str, default: f64| {
        let rate = match map.get(key) {
            None | Some(Value::Null) => default,
            Some(_) => fields.number(key, None)?,
        };
        match (0.0..1.0).contains(&rate) {
            true => Ok(rate),
            false => Err(fields.wrong(key, "0 up to, not including, 1")),
        }
    };
    let default = keys.default_classifier_dropout.unwrap_or(hidden_dropout);
    let classifier_dropout = rate(keys.classifier_dropout, default)?;
    let spans_dropout = keys.spans_dropout.map(|(key, default)| rate(key, default)).transpose()?;
    let untied = !fields.flag("tie_word_embeddings", true)?;
    let architecture = map.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let architecture = architecture.map(str::to_owned);
    let sharing = match map.get(SHARING).filter(|_| arch.has_discriminator()) {
        None | Some(Value::Null) => EmbeddingSharing::Tied,
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| fields.wrong(SHARING, "\"tied\", \"gdes\" or \"none\""))?,
    };
    let is_discriminator = arch.is_marked()
        && architecture == Some(arch.pretrained_class())
        && map.get("id2label") == discriminator_labels().get("id2label");
    // `torch_dtype` is the old name of `dtype`: what we write is always f32.
    let other = map
        .iter()
        .filter(|(key, _)| (!own(key) || keys.of_heads().any(|head| head == *key)) && *key != "torch_dtype")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Ok(ModelFile {
        arch,
        config,
        architecture,
        untied,
        sharing,
        is_discriminator,
        classifier_dropout,
        spans_dropout,
        other,
        notes,
    })
}

/// Labels of a discriminator under the name of a tagger.
fn discriminator_labels() -> Map<String, Value> {
    let labels = [("id2label", json!({ "0": REPLACED })), ("label2id", json!({ REPLACED: 0 }))];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// `other` with what a discriminator's `config.json` has beside sizes.
pub(crate) fn discriminator_fields(
    arch: Arch,
    sharing: EmbeddingSharing,
    other: &Map<String, Value>,
) -> Map<String, Value> {
    let mut fields = other.clone();
    if arch.is_marked() {
        fields.extend(discriminator_labels());
    }
    if !sharing.is_tied() {
        fields.insert(SHARING.to_owned(), json!(sharing));
    }
    fields
}

/// The text of a `config.json`: `other`, overruled by what the model determines; keys in order.
pub(crate) fn write(
    config: &EncoderConfig,
    arch: Arch,
    class: &str,
    untied: bool,
    other: &Map<String, Value>,
) -> String {
    let keys = &arch.family().files().keys;
    let mut own: Vec<(&str, Value)> = vec![
        ("architectures", json!([class])),
        (keys.attention_dropout, json!(config.attention_dropout)),
        ("dtype", json!("float32")),
        (keys.activation, json!(config.activation.name())),
        (keys.hidden_dropout, json!(config.hidden_dropout)),
        (keys.hidden_size, json!(config.hidden_size)),
        (keys.init_std, json!(config.init_std)),
        (keys.intermediate_size, json!(config.intermediate_size)),
        (keys.max_positions, json!(config.position_rows())),
        ("model_type", json!(arch.model_type())),
        (keys.num_heads, json!(config.num_heads)),
        (keys.num_layers, json!(config.num_layers)),
        ("tie_word_embeddings", json!(!untied)),
        ("vocab_size", json!(config.vocab_size)),
    ];
    if arch.is_marked() {
        own.push((PRETRAINING, json!(REPLACED_TOKENS)));
    }
    if let Some(key) = keys.layer_norm_eps {
        own.push((key, json!(config.layer_norm_eps)));
    }
    if let Some(key) = keys.type_vocab {
        own.push((key, json!(config.type_vocab)));
    }
    if let Some(modern) = &config.modern {
        own.extend(modern_json::write(modern, config.num_layers));
    }
    if let Some(key) = keys.embedding_size {
        own.push((key, json!(config.embedding_size)));
    }
    if keys.offset_by_pad.is_some() {
        own.push(("pad_token_id", json!(config.position_offset.saturating_sub(1))));
    }
    let mut sorted: std::collections::BTreeMap<&str, &Value> =
        other.iter().map(|(key, value)| (key.as_str(), value)).collect();
    sorted.extend(own.iter().map(|(key, value)| (*key, value)));
    // A map with text keys always has a JSON form.
    serde_json::to_string_pretty(&sorted).unwrap_or_default() + "\n"
}

impl Keys {
    /// The keys that this family has for what determines shapes and computation.
    fn all(&self) -> impl Iterator<Item = &'static str> {
        let embedding = self.embedding_size;
        [
            self.hidden_size,
            self.num_layers,
            self.num_heads,
            self.intermediate_size,
            self.max_positions,
            self.hidden_dropout,
            self.attention_dropout,
            self.activation,
            self.init_std,
        ]
        .into_iter()
        .chain(self.of_heads())
        .chain(embedding)
        .chain(self.layer_norm_eps)
        .chain(self.type_vocab)
    }

    /// Those of dropout in the heads of fine-tuned models.
    fn of_heads(&self) -> impl Iterator<Item = &'static str> {
        [self.classifier_dropout].into_iter().chain(self.spans_dropout.map(|(key, _)| key))
    }
}
