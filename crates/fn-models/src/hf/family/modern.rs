//! ModernBERT. Its keys beside those of [`Keys`] are read by `hf/modern_json.rs`.

use super::{Decoder, Entry, Files, KEYS, Keys, Kind};

/// The head of every task.
const TASK: &[Entry] = &[
    ("dense", "head.dense", Kind::Linear),
    ("norm", "head.norm", Kind::Norm),
    ("out", "classifier", Kind::Linear),
];

pub(super) const FILES: Files = Files {
    keys: Keys {
        hidden_dropout: "mlp_dropout",
        attention_dropout: "attention_dropout",
        default_dropout: 0.0,
        default_positions: 8192,
        activation: "hidden_activation",
        default_classifier_dropout: Some(0.0),
        layer_norm_eps: Some("norm_eps"),
        default_eps: Some(1e-5),
        type_vocab: None,
        ..KEYS
    },
    prefix: "model.",
    embeddings: &[
        ("word", "embeddings.tok_embeddings", Kind::Table),
        ("norm", "embeddings.norm", Kind::Norm),
    ],
    encoder: &[
        ("modern.layers.{}.attention_norm", "layers.{}.attn_norm", Kind::Norm),
        ("modern.layers.{}.attention.qkv", "layers.{}.attn.Wqkv", Kind::Linear),
        ("modern.layers.{}.attention.output", "layers.{}.attn.Wo", Kind::Linear),
        ("modern.layers.{}.feed_forward_norm", "layers.{}.mlp_norm", Kind::Norm),
        ("modern.layers.{}.feed_forward.inner", "layers.{}.mlp.Wi", Kind::Linear),
        ("modern.layers.{}.feed_forward.outer", "layers.{}.mlp.Wo", Kind::Linear),
        ("modern.norm", "final_norm", Kind::Norm),
    ],
    extra: &[],
    masked_lm: &[
        ("dense", "head.dense", Kind::Linear),
        ("norm", "head.norm", Kind::Norm),
        ("bias", "decoder.bias", Kind::Vector),
        ("decoder", "decoder", Kind::Table),
    ],
    discriminator: &[
        ("dense", "head.dense", Kind::Linear),
        ("norm", "head.norm", Kind::Norm),
        ("score", "classifier", Kind::Linear),
    ],
    classifier: TASK,
    spans: TASK,
    tags: TASK,
    decoder: Decoder {
        weight: "decoder.weight",
        table: "embeddings.tok_embeddings.weight",
        copied_bias: None,
        bias: "decoder.bias",
    },
};
