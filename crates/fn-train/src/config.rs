//! One page of configuration: everything that a pre-training run can be told, with defaults, units and paper values.
//!
//! [`RunConfig`] is what a run *is*: plain data, no behaviour. The command line merges a preset, a file and flags into it
//! (and remembers where each value came from); the run directory keeps it as `config.toml`; the trainer reads it.
//! The decision that shapes it: **nothing here is optional in meaning**. An `Option` says "work it out from the data"
//! and its doc comment says how. Unknown keys are refused everywhere, so a typing error cannot be ignored.
//!
//! ```
//! let run: fn_train::config::RunConfig = Default::default();
//! assert_eq!(run.model.hidden_size, 256); // ELECTRA-small
//! run.validate().unwrap();
//! ```

mod about;
mod check;
mod correction;
mod error;
mod judge;
pub mod layers;
pub mod presets;
mod resolve;
pub mod schema;
mod text;

use std::path::PathBuf;

pub use correction::{CorrectionConfig, CorrectionPreset, VerifierConfig};
pub use error::ConfigError;
use fn_core::corrupt::CorruptionConfig;
use fn_data::pack::Packing;
pub use fn_data::synthetic::{SyntheticConfig, SyntheticKind};
pub use fn_models::Arch;
use fn_models::{EncoderConfig, GeneratorSize};
pub use judge::JudgeKind;
pub use layers::Origin;
pub use resolve::{Layers, Resolved, Runnable, differences, preset, read, text, write};
pub use schema::nearest;
use serde::{Deserialize, Serialize};

use crate::optim::AdamWConfig;
use crate::schedule::ScheduleConfig;
pub use text::template;

/// A whole pre-training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Seed of every random choice: initial weights, order, corruption, dropout, sampling. Below 2^63 (TOML has no more).
    pub seed: u64,
    /// What is trained.
    pub model: ModelConfig,
    /// The text and how it becomes rows.
    pub data: DataConfig,
    /// Which tokens are hidden, and behind what. ELECTRA 85/0/15, BERT 80/10/10.
    pub corruption: CorruptionConfig,
    /// The look-up sets V(w) that say which "wrong" predictions are false negatives.
    pub lexicon: LexiconConfig,
    /// What is done about false negatives.
    pub correction: CorrectionConfig,
    /// Length of the run, batch, loss weights, device.
    pub train: TrainConfig,
    /// AdamW. ELECTRA: betas .9/.999, epsilon 1e-6, decay .01, no bias correction, clip 1.0.
    pub optimizer: AdamWConfig,
    /// Learning rate over time.
    pub schedule: ScheduleConfig,
    /// When and how many checkpoints are kept.
    pub checkpoint: CheckpointConfig,
    /// Measurement on held-out text.
    pub eval: EvalConfig,
    /// What is printed and written down.
    pub log: LogConfig,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            model: ModelConfig::default(),
            data: DataConfig::default(),
            corruption: CorruptionConfig::default(),
            lexicon: LexiconConfig::default(),
            correction: CorrectionConfig::default(),
            train: TrainConfig::default(),
            optimizer: AdamWConfig::default(),
            schedule: ScheduleConfig::default(),
            checkpoint: CheckpointConfig::default(),
            eval: EvalConfig::default(),
            log: LogConfig::default(),
        }
    }
}

/// What is trained. The defaults are ELECTRA-small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// `bert` or `electra`.
    pub arch: Arch,
    /// Continue from this Hugging Face folder: its `config.json` then decides every size below. None: start from noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Width of a layer. 256 (ELECTRA-small), 768 (base), 1024 (large).
    pub hidden_size: usize,
    /// Width of the token table. 128 (ELECTRA-small); equal to `hidden_size` for BERT and the larger ELECTRAs.
    pub embedding_size: usize,
    /// Number of layers. 12 (small, base), 24 (large).
    pub num_layers: usize,
    /// Attention heads; must divide `hidden_size`. 4 (ELECTRA-small), 12 (base), 16 (large).
    pub num_heads: usize,
    /// Width inside of the feed-forward block. 4 x `hidden_size` in every published model.
    pub intermediate_size: usize,
    /// Longest row that the position table knows, in tokens. 512.
    pub max_positions: usize,
    /// Segment kinds. 2.
    pub type_vocab: usize,
    /// Dropout after embeddings, attention and feed-forward. 0.1.
    pub hidden_dropout: f64,
    /// Dropout on attention weights. 0.1.
    pub attention_dropout: f64,
    /// Generator width as a share of the discriminator's (ELECTRA only). 0.25 (small, large), 1/3 (base).
    pub generator_width: f64,
    /// Generator depth as a share of the discriminator's (ELECTRA only). 1.0: same depth.
    pub generator_depth: f64,
    /// Standard deviation of the initial weights. 0.02.
    pub init_std: f64,
    /// Added to the variance in LayerNorm. 1e-12.
    pub layer_norm_eps: f64,
    /// Rows of the token table. None: as many as the tokenizer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            arch: Arch::Electra,
            init: None,
            hidden_size: 256,
            embedding_size: 128,
            num_layers: 12,
            num_heads: 4,
            intermediate_size: 1024,
            max_positions: 512,
            type_vocab: 2,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            generator_width: 0.25,
            generator_depth: 1.0,
            init_std: 0.02,
            layer_norm_eps: 1e-12,
            vocab_size: None,
        }
    }
}

impl ModelConfig {
    /// The encoder (of BERT, or of ELECTRA's discriminator) for a tokenizer with `tokenizer_size` pieces.
    pub fn encoder(&self, tokenizer_size: usize) -> EncoderConfig {
        EncoderConfig {
            vocab_size: self.vocab_size.unwrap_or(tokenizer_size),
            embedding_size: self.embedding_size,
            hidden_size: self.hidden_size,
            num_layers: self.num_layers,
            num_heads: self.num_heads,
            intermediate_size: self.intermediate_size,
            max_positions: self.max_positions,
            type_vocab: self.type_vocab,
            hidden_dropout: self.hidden_dropout,
            attention_dropout: self.attention_dropout,
            layer_norm_eps: self.layer_norm_eps,
            init_std: self.init_std,
        }
    }

    /// How large the generator is beside the discriminator; read for ELECTRA only.
    pub fn generator(&self) -> GeneratorSize {
        GeneratorSize { width: self.generator_width, depth: self.generator_depth }
    }
}

/// The text and how it becomes rows of ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Files, folders or `-` (standard input) to train on: .txt (blank line = new document), .jsonl, .parquet, also .gz .zst .xz.
    pub train: Vec<PathBuf>,
    /// Text that is only measured on. Empty: no evaluation.
    pub held_out: Vec<PathBuf>,
    /// `tokenizer.json`, `vocab.txt` or a folder that holds one.
    pub tokenizer: PathBuf,
    /// Folder for prepared rows, keyed by content. None: `fnlm-cache` in the current folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Tokens per row, `[CLS]` and `[SEP]` included. 128 (ELECTRA-small), 512 (base, large).
    pub length: usize,
    /// How documents fill rows: `electra`, `bert` or `dense`.
    pub packing: Packing,
    /// Field of a .jsonl line that holds the text.
    pub json_field: String,
    /// Column of a .parquet file that holds the text.
    pub parquet_column: String,
    /// Loader threads. 0: make each batch when it is asked for. Batches are the same with any number.
    pub workers: usize,
    /// Artificial rows before text: structure without meaning. None by default.
    pub synthetic: SyntheticConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: Vec::new(),
            held_out: Vec::new(),
            tokenizer: PathBuf::new(),
            cache: None,
            length: 128,
            packing: Packing::Electra,
            json_field: "text".to_string(),
            parquet_column: "text".to_string(),
            workers: 1,
            synthetic: SyntheticConfig::default(),
        }
    }
}

impl DataConfig {
    /// Micro-batches of artificial rows at the start of a run with this accumulation.
    pub fn synthetic_batches(&self, accumulation: usize) -> u64 {
        self.synthetic.steps.saturating_mul(accumulation as u64)
    }

    /// The folder of prepared rows.
    pub fn cache_dir(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| PathBuf::from("fnlm-cache"))
    }
}

/// The look-up sets V(w).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LexiconConfig {
    /// A .safetensors file made by `fnlm lexicon build`. Wins over `wordnet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A WordNet 3.x `dict` folder: the lexicon is built when the run starts and kept in the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wordnet: Option<PathBuf>,
    /// Most members of V(w) that are put on the device. None: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_width: Option<usize>,
}

/// Number format of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats everywhere.
    #[default]
    F32,
    /// Parameters and optimiser in f32, matrix products in bf16; only where the device has it.
    Bf16,
}

/// Length of the run, batch, loss weights, device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Optimiser steps. 1,000,000 (ELECTRA-small), 766,000 (base), 1,750,000 (large).
    pub steps: u64,
    /// Rows per micro-batch. 128 (ELECTRA-small), 256 (base), 2048 (large) when `accumulation` is 1.
    pub batch: usize,
    /// Micro-batches whose gradients are added before one optimiser step. Rows per step = batch x accumulation.
    pub accumulation: usize,
    /// Weight of the discriminator's loss. 50 (ELECTRA).
    pub discriminator_weight: f64,
    /// Weight of the generator's (or BERT's) loss. 1.
    pub generator_weight: f64,
    /// Temperature of the generator's sampling; higher = more random. 1.
    pub temperature: f64,
    /// Never sample the original token. ELECTRA's `disallow_correct`, off there.
    pub disallow_correct: bool,
    /// `f32` or `bf16`.
    pub dtype: Dtype,
    /// `flex`, `vulkan`, `vulkan:0`, `vulkan:cpu`, `wgpu`, `metal`, `cuda:1`, `rocm`.
    pub device: String,
    /// Processor threads of the flex device. None: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Stop with exit code 4 after this many non-finite steps in a row.
    pub max_skipped: u32,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            batch: 128,
            accumulation: 1,
            discriminator_weight: 50.0,
            generator_weight: 1.0,
            temperature: 1.0,
            disallow_correct: false,
            dtype: Dtype::F32,
            device: "flex".to_string(),
            threads: None,
            max_skipped: 10,
        }
    }
}

/// When and how many checkpoints are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Optimiser steps between two checkpoints. (One is written at step 0 as well, to find disk problems in the first second.)
    pub every: u64,
    /// How many of the newest are kept. At least 1.
    pub keep_last: usize,
    /// Also keep the one with the best `eval.metric`.
    pub keep_best: bool,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 1_000, keep_last: 2, keep_best: true }
    }
}

/// Measurement on held-out text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Optimiser steps between two measurements. 0: only at the end.
    pub every: u64,
    /// Batches per measurement; they are the same ones each time. 0: all of the held-out text.
    pub batches: usize,
    /// The number that says which checkpoint is best, e.g. `masked_accuracy`, `masked_loss` or `discriminator_auc`.
    pub metric: String,
    /// The lexicon by which held-out metrics judge, so that arms with different ones are measured by the same. None: that of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexicon: Option<PathBuf>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { every: 1_000, batches: 50, metric: "masked_loss".to_string(), lexicon: None }
    }
}

/// What is printed and written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Optimiser steps between two lines of `metrics.jsonl` (and of plain output).
    pub every: u64,
    /// Also write TensorBoard event files.
    pub tensorboard: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { every: 20, tensorboard: true }
    }
}

#[cfg(test)]
mod tests;
