//! ELECTRA: two folders, see [`crate::hf`].

use super::{Decoder, EMBEDDINGS, ENCODER, Files, KEYS, Keys, Kind, SPANS, TAGS};

pub(super) const FILES: Files = Files {
    keys: Keys { embedding_size: Some("embedding_size"), ..KEYS },
    prefix: "electra.",
    embeddings: EMBEDDINGS,
    encoder: ENCODER,
    extra: &[],
    masked_lm: &[
        ("dense", "generator_predictions.dense", Kind::Linear),
        ("norm", "generator_predictions.LayerNorm", Kind::Norm),
        ("bias", "generator_lm_head.bias", Kind::Vector),
        ("decoder", "generator_lm_head", Kind::Table),
    ],
    discriminator: &[
        ("dense", "discriminator_predictions.dense", Kind::Linear),
        ("score", "discriminator_predictions.dense_prediction", Kind::Linear),
    ],
    classifier: &[("dense", "classifier.dense", Kind::Linear), ("out", "classifier.out_proj", Kind::Linear)],
    spans: SPANS,
    tags: TAGS,
    decoder: Decoder {
        weight: "generator_lm_head.weight",
        table: "embeddings.word_embeddings.weight",
        copied_bias: None,
        bias: "generator_lm_head.bias",
    },
};
