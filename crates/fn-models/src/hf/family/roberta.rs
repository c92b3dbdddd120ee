//! RoBERTa; XLM-R and CamemBERT differ by name only.

use super::{Decoder, EMBEDDINGS, ENCODER, Files, KEYS, Keys, Kind, SPANS, TAGS};

pub(super) const FILES: Files = Files {
    // Released models have 1e-5, transformers takes 1e-12 for a file without the key: that cannot be guessed.
    keys: Keys { default_eps: None, offset_by_pad: Some(1), ..KEYS },
    prefix: "roberta.",
    embeddings: EMBEDDINGS,
    encoder: ENCODER,
    extra: &[("pooler.dense", "roberta.pooler.dense", Kind::Linear)],
    masked_lm: &[
        ("dense", "lm_head.dense", Kind::Linear),
        ("norm", "lm_head.layer_norm", Kind::Norm),
        ("bias", "lm_head.bias", Kind::Vector),
        ("decoder", "lm_head.decoder", Kind::Table),
        ("decoder.bias", "lm_head.decoder.bias", Kind::Vector),
    ],
    discriminator: &[],
    classifier: &[("dense", "classifier.dense", Kind::Linear), ("out", "classifier.out_proj", Kind::Linear)],
    spans: SPANS,
    tags: TAGS,
    decoder: Decoder {
        weight: "lm_head.decoder.weight",
        table: "embeddings.word_embeddings.weight",
        copied_bias: Some("lm_head.decoder.bias"),
        bias: "lm_head.bias",
    },
};
