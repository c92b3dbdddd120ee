//! The keys of a ModernBERT's `config.json` that no other family has.

use serde_json::{Map, Value, json};

use super::config_json::Fields;
use super::error::HfError;
use crate::inputs::Pooling;
use crate::modern::ModernConfig;

/// The keys that are read here, or that say the same as another one.
pub(super) const KEYS: [&str; 16] = [
    "attention_bias",
    "classifier_activation",
    "classifier_bias",
    "classifier_pooling",
    "decoder_bias",
    "embedding_dropout",
    "global_attn_every_n_layers",
    "global_rope_theta",
    // Of the first ModernBERTs, beside `norm_eps`; transformers does not read it.
    "layer_norm_eps",
    "layer_types",
    "local_attention",
    "local_rope_theta",
    "mlp_bias",
    "norm_bias",
    "rope_parameters",
    "rope_scaling",
];

/// Keys that must have this value: transformers' own default, and that of every released model.
fn fixed() -> [(&'static str, Value); 7] {
    [
        ("attention_bias", json!(false)),
        ("classifier_activation", json!("gelu")),
        ("classifier_bias", json!(false)),
        ("decoder_bias", json!(true)),
        ("mlp_bias", json!(false)),
        ("norm_bias", json!(false)),
        ("rope_scaling", Value::Null),
    ]
}

/// How transformers names the layers in `layer_types` and `rope_parameters`.
const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";

/// Reads them from files of transformers 4 and 5.
pub(super) fn read(fields: &Fields<'_>, layers: usize) -> Result<ModernConfig, HfError> {
    for (key, value) in fixed() {
        fields.must_be(key, &value)?;
    }
    let default = ModernConfig::default();
    let theta = |kind: &str, old: &str, default: f64| -> Result<f64, HfError> {
        let own = match fields.map.get("rope_parameters") {
            None | Some(Value::Null) => None,
            Some(all) => all.get(kind),
        };
        let Some(own) = own else { return fields.number(old, Some(default)) };
        let wrong = || {
            fields.wrong(
                "rope_parameters",
                "`rope_type` \"default\" with a `rope_theta` for each kind of layer",
            )
        };
        let empty = Map::new();
        let own = own.as_object().unwrap_or(&empty);
        let plain = own.get("rope_type").is_none_or(|kind| kind == "default");
        let known = own.keys().all(|key| ["rope_type", "rope_theta"].contains(&key.as_str()));
        match own.get("rope_theta").and_then(Value::as_f64) {
            Some(theta) if plain && known => Ok(theta),
            _ => Err(wrong()),
        }
    };
    let pooling = match fields.map.get("classifier_pooling") {
        None | Some(Value::Null) => Pooling::FirstToken,
        Some(name) if name == "cls" => Pooling::FirstToken,
        Some(name) if name == "mean" => Pooling::Mean,
        Some(_) => return Err(fields.wrong("classifier_pooling", "\"cls\" or \"mean\"")),
    };
    Ok(ModernConfig {
        global_every: global_every(fields, layers, default.global_every)?,
        window: fields.size("local_attention", Some(default.window))?,
        global_theta: theta(GLOBAL, "global_rope_theta", default.global_theta)?,
        local_theta: theta(LOCAL, "local_rope_theta", default.local_theta)?,
        embedding_dropout: fields.number("embedding_dropout", Some(0.0))?,
        classifier_pooling: pooling,
    })
}

/// The distance of global layers, from `layer_types` or its former name.
fn global_every(fields: &Fields<'_>, layers: usize, default: usize) -> Result<usize, HfError> {
    let types = match fields.map.get("layer_types") {
        None | Some(Value::Null) => return fields.size("global_attn_every_n_layers", Some(default)),
        Some(types) => types,
    };
    let wrong = || {
        let expected =
            format!("\"{GLOBAL}\" for the first layer and each nth one after it, \"{LOCAL}\" for the others");
        fields.wrong("layer_types", expected)
    };
    let types = types.as_array().filter(|types| types.len() == layers).ok_or_else(wrong)?;
    let second = types.iter().skip(1).position(|kind| kind == GLOBAL);
    let fits =
        |every: &usize| types.iter().enumerate().all(|(i, kind)| kind == name(i.is_multiple_of(*every)));
    // A few layers may fit the default, too.
    let found = [default, second.map_or(layers.max(1), |place| place + 1)].into_iter().find(fits);
    found.ok_or_else(wrong)
}

fn name(global: bool) -> &'static str {
    if global { GLOBAL } else { LOCAL }
}

/// What is written for transformers 5; the names of transformers 4 are added where their defaults would be wrong.
pub(super) fn write(config: &ModernConfig, layers: usize) -> Vec<(&'static str, Value)> {
    let types: Vec<&str> = (0..layers).map(|i| name(i.is_multiple_of(config.global_every))).collect();
    let rope = |theta: f64| json!({ "rope_theta": theta, "rope_type": "default" });
    let pooling = match config.classifier_pooling {
        Pooling::FirstToken => "cls",
        Pooling::Mean => "mean",
    };
    let mut all = vec![
        ("classifier_pooling", json!(pooling)),
        ("embedding_dropout", json!(config.embedding_dropout)),
        ("layer_types", json!(types)),
        ("local_attention", json!(config.window)),
        ("rope_parameters", json!({ GLOBAL: rope(config.global_theta), LOCAL: rope(config.local_theta) })),
    ];
    all.extend(fixed().into_iter().filter(|(key, _)| *key != "rope_scaling"));
    let default = ModernConfig::default();
    if config.global_every != default.global_every {
        all.push(("global_attn_every_n_layers", json!(config.global_every)));
    }
    if config.global_theta != default.global_theta {
        all.push(("global_rope_theta", json!(config.global_theta)));
    }
    if config.local_theta != default.local_theta {
        all.push(("local_rope_theta", json!(config.local_theta)));
    }
    all
}
