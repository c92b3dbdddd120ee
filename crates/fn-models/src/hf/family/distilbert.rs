//! DistilBERT: BERT's encoder without segments, under other names. The epsilon of its norms is fixed.

use super::{Decoder, Entry, Files, KEYS, Keys, Kind, SPANS, TAGS};

const ENCODER: &[Entry] = &[
    ("layers.{}.attention.query", "transformer.layer.{}.attention.q_lin", Kind::Linear),
    ("layers.{}.attention.key", "transformer.layer.{}.attention.k_lin", Kind::Linear),
    ("layers.{}.attention.value", "transformer.layer.{}.attention.v_lin", Kind::Linear),
    ("layers.{}.attention.output", "transformer.layer.{}.attention.out_lin", Kind::Linear),
    ("layers.{}.attention.norm", "transformer.layer.{}.sa_layer_norm", Kind::Norm),
    ("layers.{}.feed_forward.inner", "transformer.layer.{}.ffn.lin1", Kind::Linear),
    ("layers.{}.feed_forward.outer", "transformer.layer.{}.ffn.lin2", Kind::Linear),
    ("layers.{}.feed_forward.norm", "transformer.layer.{}.output_layer_norm", Kind::Norm),
];

pub(super) const FILES: Files = Files {
    keys: Keys {
        hidden_size: "dim",
        num_layers: "n_layers",
        num_heads: "n_heads",
        intermediate_size: "hidden_dim",
        type_vocab: None,
        hidden_dropout: "dropout",
        attention_dropout: "attention_dropout",
        classifier_dropout: "seq_classif_dropout",
        default_classifier_dropout: Some(0.2),
        spans_dropout: Some(("qa_dropout", 0.1)),
        activation: "activation",
        layer_norm_eps: None,
        ..KEYS
    },
    prefix: "distilbert.",
    embeddings: &[
        ("word", "embeddings.word_embeddings", Kind::Table),
        ("position", "embeddings.position_embeddings", Kind::Table),
        ("norm", "embeddings.LayerNorm", Kind::Norm),
    ],
    encoder: ENCODER,
    extra: &[],
    masked_lm: &[
        ("dense", "vocab_transform", Kind::Linear),
        ("norm", "vocab_layer_norm", Kind::Norm),
        ("bias", "vocab_projector.bias", Kind::Vector),
        ("decoder", "vocab_projector", Kind::Table),
    ],
    discriminator: &[],
    classifier: &[("dense", "pre_classifier", Kind::Linear), ("out", "classifier", Kind::Linear)],
    spans: SPANS,
    tags: TAGS,
    decoder: Decoder {
        weight: "vocab_projector.weight",
        table: "embeddings.word_embeddings.weight",
        copied_bias: None,
        bias: "vocab_projector.bias",
    },
};
