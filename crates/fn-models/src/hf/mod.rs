//! The Hugging Face format, in and out.
//!
//! ```text
//! BERT, RoBERTa, ...       ELECTRA
//! DIR/config.json          DIR/config.json, model.safetensors            the discriminator (ElectraForPreTraining)
//! DIR/model.safetensors    DIR/generator/config.json, model.safetensors  the generator (ElectraForMaskedLM)
//! ```
//! ModernBERT with replaced-token detection has the folders of ELECTRA: the discriminator is written as
//! `ModernBertForTokenClassification` with the one label `replaced`, whose head computes the same, and `"pretraining":
//! "replaced-token-detection"` in `config.json` says what it is; the generator is a `ModernBertForMaskedLM`.
//!
//! `model.safetensors` and `pytorch_model.bin` are read, whole or in shards; `model.safetensors` is written. What files of a family
//! look like (keys and names of tensors) is data in one file per family; [`names`] maps transformers' names to ours and back by it.
//!
//! Files come from strangers: sizes are checked against the file before memory is spent, a pickle is never executed, shard
//! names must stay inside the folder, and every way of being wrong is an [`HfError`] that names the file.

pub mod names;

mod config_json;
mod error;
mod export;
mod family;
mod files;
mod import;
mod modern_json;
mod pair;
mod report;
mod task;
mod unknown;
mod weights;

pub use error::HfError;
pub use export::{
    SaveOptions, save_bert, save_bert_with, save_electra, save_electra_with, save_masked_lm,
    save_replaced_token,
};
pub use files::model_folder;
pub use import::{check_fit, check_padding, load_bert, load_masked_lm, read_encoder, read_sharing};
pub use pair::{load_electra, load_replaced_token};
pub use report::{Cast, Head, LoadReport};
pub use task::{
    Labels, labels, load_classifier, load_spans, load_tags, save_classifier, save_spans, save_tags,
};

pub use weights::tensors;

/// Name of the file with sizes.
pub const CONFIG_FILE: &str = "config.json";
/// Name of the file with weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Folder of ELECTRA's generator inside of the discriminator's.
pub const GENERATOR_FOLDER: &str = "generator";
