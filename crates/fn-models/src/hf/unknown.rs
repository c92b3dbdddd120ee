//! Keys of a `config.json` that no architecture reads: which of them may be there.
//!
//! A key that changes what the model computes must not be passed over: the result would be another model's. So there are three kinds:
//! keys of transformers that change nothing here; keys that may only have one value; and any other, which is refused if its name
//! speaks of the computation, and mentioned to the user if not.

use serde_json::{Value, json};

/// Keys that may have this value only (or be absent, or null).
pub(super) fn fixed() -> [(&'static str, Value); 5] {
    [
        ("is_decoder", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("add_cross_attention", json!(false)),
        ("position_embedding_type", json!("absolute")),
        ("pruned_heads", json!({})),
    ]
}

/// Models that others might take for one of ours, and what they compute that is not built here.
const OTHERS: [(&str, &str); 4] = [
    ("mpnet", "MPNet adds a trained bias by relative position to the scores of attention"),
    ("deberta", "DeBERTa scores contents and relative positions apart"),
    ("deberta-v2", "DeBERTa scores contents and relative positions apart"),
    ("albert", "ALBERT has one layer's weights for all layers"),
];

/// What a model of this `model_type` computes that is not built here, where that is known.
pub(super) fn why_not(model_type: &Value) -> Option<&'static str> {
    OTHERS.iter().find(|(name, _)| model_type == name).map(|(_, why)| *why)
}

/// What to do with a key that is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It changes nothing here.
    Harmless,
    /// Nobody here knows it, and nothing in its name speaks of the computation.
    Unknown,
    /// It may change what the model computes.
    Refused,
}

/// Keys of transformers, of its older versions and of Google's files that leave the encoder as it is.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_name_or_path",
    "attn_implementation",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cls_token_id",
    "decoder_start_token_id",
    "deterministic_flash_attn",
    "directionality",
    "early_stopping",
    "eos_token_id",
    "finetuning_task",
    "generator_size",
    "gradient_checkpointing",
    "id2label",
    "initializer_cutoff_factor",
    "label2id",
    "language",
    "mask_token_id",
    "max_length",
    "model_max_length",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "pad_token_id",
    "problem_type",
    "reference_compile",
    "repad_logits_with_grad",
    "return_dict",
    "sep_token_id",
    // How DistilBERT's position table began; a file holds the table.
    "sinusoidal_pos_embds",
    "sparse_pred_ignore_index",
    "sparse_prediction",
    "task_specific_params",
    "tie_weights_",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "unk_token_id",
    "use_cache",
    // Those that must have one value, see `fixed`.
    "add_cross_attention",
    "is_decoder",
    "is_encoder_decoder",
    "position_embedding_type",
    "pruned_heads",
];

/// Families of such keys: of poolers and summaries that our heads do not use, and of text generation.
const HARMLESS_STARTS: &[&str] =
    &["pooler_", "summary_", "num_beam", "no_repeat_ngram", "encoder_no_repeat_ngram"];

/// Parts of a key, between underscores, that speak of what a model computes.
const COMPUTATION: &[&str] = &[
    "act",
    "activation",
    "adapter",
    "adapters",
    "alibi",
    "attention",
    "attn",
    "bias",
    "conv",
    "dim",
    "dropout",
    "drop",
    "emb",
    "embed",
    "embedding",
    "embeddings",
    "eps",
    "epsilon",
    "expert",
    "experts",
    "ffn",
    "gate",
    "gated",
    "glu",
    "groups",
    "head",
    "heads",
    "hidden",
    "kernel",
    "layer",
    "layernorm",
    "layers",
    "local",
    "lora",
    "memory",
    "mlp",
    "moe",
    "norm",
    "positions",
    "position",
    "prenorm",
    "qk",
    "quantization",
    "relative",
    "residual",
    "rms",
    "rope",
    "rotary",
    "scale",
    "scaling",
    "sliding",
    "softmax",
    "sparse",
    "state",
    "temperature",
    "theta",
    "width",
    "window",
];

/// What to do with `key`, which no architecture reads.
pub(super) fn judge(key: &str, value: &Value) -> Verdict {
    let nothing = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    if nothing || HARMLESS.contains(&key) || HARMLESS_STARTS.iter().any(|start| key.starts_with(start)) {
        return Verdict::Harmless;
    }
    match key.split('_').any(|part| COMPUTATION.contains(&part.to_ascii_lowercase().as_str())) {
        true => Verdict::Refused,
        false => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Verdict, judge};

    #[test]
    fn what_speaks_of_the_computation_is_refused_unless_it_says_nothing() {
        for key in [
            "rope_scaling",
            "rotary_dim",
            "sliding_window",
            "attention_bias",
            "quantization_config",
            "norm_type",
        ] {
            assert_eq!(judge(key, &json!({"type": "linear"})), Verdict::Refused, "{key}");
            assert_eq!(judge(key, &json!(null)), Verdict::Harmless, "{key}");
            assert_eq!(judge(key, &json!(false)), Verdict::Harmless, "{key}");
        }
        for key in ["transformers_version", "pooler_num_attention_heads", "summary_last_dropout", "id2label"]
        {
            assert_eq!(judge(key, &json!(3)), Verdict::Harmless, "{key}");
        }
        assert_eq!(judge("trained_by", &json!("us")), Verdict::Unknown);
    }
}
