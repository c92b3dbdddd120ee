//! BERT.

use super::{Decoder, EMBEDDINGS, ENCODER, Files, KEYS, Kind, SPANS, TAGS};

pub(super) const FILES: Files = Files {
    keys: KEYS,
    prefix: "bert.",
    embeddings: EMBEDDINGS,
    encoder: ENCODER,
    extra: &[("pooler.dense", "bert.pooler.dense", Kind::Linear)],
    masked_lm: &[
        ("dense", "cls.predictions.transform.dense", Kind::Linear),
        ("norm", "cls.predictions.transform.LayerNorm", Kind::Norm),
        ("bias", "cls.predictions.bias", Kind::Vector),
        ("decoder", "cls.predictions.decoder", Kind::Table),
        ("decoder.bias", "cls.predictions.decoder.bias", Kind::Vector),
    ],
    discriminator: &[],
    classifier: &[("dense", "bert.pooler.dense", Kind::Linear), ("out", "classifier", Kind::Linear)],
    spans: SPANS,
    tags: TAGS,
    decoder: Decoder {
        weight: "cls.predictions.decoder.weight",
        table: "embeddings.word_embeddings.weight",
        copied_bias: Some("cls.predictions.decoder.bias"),
        bias: "cls.predictions.bias",
    },
};
