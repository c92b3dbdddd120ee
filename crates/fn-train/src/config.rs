//! The configuration of a pre-training run: every setting with its default, its unit and the values of the papers.
//!
//! [`RunConfig`] is plain data. [`Layers`] merges defaults, a preset, a file and options into it and remembers where each value
//! came from; [`Resolved`] and [`Runnable`] are configurations that passed the checks. The run directory keeps the configuration
//! as `config.toml`. An `Option` that is `None` means "derived from the data", and its doc comment says how. Unknown keys are
//! refused everywhere, so a typing error cannot be ignored.
//!
//! The doc comment of a field is the only documentation of its key: commented configuration files, `fnlm config show` and the
//! help of options read it from there ([`keys`]).
//!
//! ```
//! let run: fn_train::config::RunConfig = Default::default();
//! assert_eq!(run.model.hidden_size, 256); // ELECTRA-small
//! run.validate().unwrap();
//! ```

mod check;
mod correction;
mod error;
mod from;
mod judge;
pub mod keys;
pub mod layers;
pub(crate) mod mixture;
pub mod presets;
mod resolve;
pub mod schema;
mod set;
mod text;

use std::path::PathBuf;

pub use correction::{CorrectionConfig, CorrectionPreset, Replacements, VerifierConfig};
pub use error::ConfigError;
use fn_core::corrupt::{CorruptionConfig, MaskRate};
use fn_core::documented;
use fn_data::loader::Growth;
pub use fn_data::names::{did_you_mean, nearest};
use fn_data::pack::Packing;
use fn_data::source::OnBadLine;
pub use fn_data::synthetic::{SyntheticConfig, SyntheticKind};
pub use fn_models::Arch;
use fn_models::{EmbeddingSharing, EncoderConfig, GeneratorSettings, ModernConfig};
pub use judge::{EncoderJudgeConfig, JudgeKind};
pub use layers::Origin;
pub use mixture::MixtureSource;
pub use resolve::{Layers, Resolved, Runnable, differences, preset, read, text, write};
use serde::{Deserialize, Serialize};
pub use set::{SetError, set_values};

use crate::collective::Wire;
use crate::optim::AdamWConfig;
use crate::schedule::ScheduleConfig;
pub use text::{explain, shown, template};

documented! {
    /// A whole pre-training run.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct RunConfig {
        /// Seed of every random choice: initial weights, order of the data, masking, dropout, sampling. Below 2^63 (the largest
        /// integer of TOML).
        pub seed: u64,
        /// Architecture and sizes of the model.
        pub model: ModelConfig,
        /// The text, and how it is tokenised and packed into sequences.
        pub data: DataConfig,
        /// Which tokens are masked, and what replaces them. ELECTRA 85/0/15, BERT 80/10/10.
        pub corruption: CorruptionConfig,
        /// The look-up sets V(w): words that fit in place of w, so that predicting them is no error.
        pub lexicon: LexiconConfig,
        /// How the loss treats false negatives.
        pub correction: CorrectionConfig,
        /// Length of the run, batch size, loss weights, device.
        pub train: TrainConfig,
        /// AdamW. ELECTRA: betas .9/.999, epsilon 1e-6, decay .01, no bias correction, clip 1.0.
        pub optimizer: AdamWConfig,
        /// Learning rate schedule.
        pub schedule: ScheduleConfig,
        /// How often checkpoints are saved, and how many are kept.
        pub checkpoint: CheckpointConfig,
        /// Evaluation on held-out text.
        pub eval: EvalConfig,
        /// Moving average of the weights.
        pub average: AverageConfig,
        /// Logging.
        pub log: LogConfig,
    }
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
            average: AverageConfig::default(),
            log: LogConfig::default(),
        }
    }
}

documented! {
    /// Architecture and sizes of the model. The defaults are ELECTRA-small.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct ModelConfig {
        /// Architecture: `bert`, `electra`, `roberta`, `xlm-roberta`, `camembert`, `distilbert`, `modernbert`, or
        /// `modern-electra` (replaced-token detection with ModernBERT's layers in generator and discriminator).
        pub arch: Arch,
        /// Hugging Face folder with the initial weights (continued pre-training); its `config.json` overrides every size below.
        /// Not set: random initialisation.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<PathBuf>,
        /// Hidden size. 256 (ELECTRA-small), 768 (base), 1024 (large).
        pub hidden_size: usize,
        /// Width of the token embeddings. 128 (ELECTRA-small); equal to `hidden_size` in BERT and the larger ELECTRAs.
        pub embedding_size: usize,
        /// Number of layers. 12 (small, base), 24 (large).
        pub num_layers: usize,
        /// Attention heads; must divide `hidden_size`. 4 (ELECTRA-small), 12 (base), 16 (large).
        pub num_heads: usize,
        /// Width of the feed-forward block. 4 x `hidden_size` in every published model.
        pub intermediate_size: usize,
        /// Longest sequence that the position embeddings allow, in tokens. 512.
        pub max_positions: usize,
        /// Number of segment (token type) embeddings. 2.
        pub type_vocab: usize,
        /// Dropout after embeddings, attention and feed-forward. 0.1.
        pub hidden_dropout: f64,
        /// Dropout on attention weights. 0.1.
        pub attention_dropout: f64,
        /// Width of the generator, as a fraction of the discriminator's (ELECTRA only). 0.25 (small, large), 1/3 (base); 1 with
        /// `modern-electra`, whose layers are as wide as its embeddings.
        pub generator_width: f64,
        /// Number of layers of the generator, as a fraction of the discriminator's (ELECTRA only). 1.0: as many. 0.5 (DeBERTaV3).
        pub generator_depth: f64,
        /// What generator and discriminator share of their embeddings (ELECTRA only): `tied` (ELECTRA: the same tables, trained by both
        /// losses), `gdes` (DeBERTaV3: the discriminator adds tables of its own, which start at zero, to the generator's, which its loss
        /// does not change) or `none`.
        pub embedding_sharing: EmbeddingSharing,
        /// Standard deviation of the initial weights. 0.02.
        pub init_std: f64,
        /// Epsilon of LayerNorm, added to the variance. 1e-12.
        pub layer_norm_eps: f64,
        /// Size of the vocabulary. Not set: that of the tokenizer.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub vocab_size: Option<usize>,
    }
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
            embedding_sharing: EmbeddingSharing::Tied,
            init_std: 0.02,
            layer_norm_eps: 1e-12,
            vocab_size: None,
        }
    }
}

impl ModelConfig {
    /// The encoder (of BERT, or of ELECTRA's discriminator) for a tokenizer with `tokenizer_size` pieces whose padding piece has the id
    /// `pad`.
    pub fn encoder(&self, tokenizer_size: usize, pad: u32) -> EncoderConfig {
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
            position_offset: self.arch.position_offset(pad),
            distil: self.arch.is_distil(),
            modern: self.arch.is_modern().then(ModernConfig::default),
            ..EncoderConfig::default()
        }
    }

    /// The generator beside the discriminator; read for ELECTRA only.
    pub fn generator(&self) -> GeneratorSettings {
        GeneratorSettings {
            width: self.generator_width,
            depth: self.generator_depth,
            sharing: self.embedding_sharing,
        }
    }
}

documented! {
    /// The text, and how it is tokenised and packed into sequences.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct DataConfig {
        /// Text to train on: files, folders, or `-` for standard input. Formats: .txt (a blank line separates documents), .jsonl,
        /// .parquet, also compressed as .gz, .zst, .xz.
        pub train: Vec<PathBuf>,
        /// Instead of `train`: several texts with weights, a list of `{ train = [...], weight = 2.0 }` or `{ shards = "...", weight = 1.0 }`
        /// (`[[data.mixture]]` in a file). Each row of a batch is drawn from one of them, with a probability proportional to its weight.
        /// `shards` is the folder of a text that `fnlm data prepare` has prepared.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub mixture: Vec<MixtureSource>,
        /// Held-out text for evaluation, in the same formats. Empty: no evaluation.
        pub held_out: Vec<PathBuf>,
        /// The tokenizer: a `tokenizer.json`, a `vocab.txt`, or a folder that holds one.
        pub tokenizer: PathBuf,
        /// Cache folder of tokenised and packed text, keyed by its content. Not set: `fnlm-cache` in the current folder.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cache: Option<PathBuf>,
        /// Sequence length in tokens, `[CLS]` and `[SEP]` included. 128 (ELECTRA-small), 512 (base, large).
        pub length: usize,
        /// How documents are packed into sequences: `electra` or `bert` (two segments of one document), `dense` (all text in full rows) or
        /// `documents` (several whole documents in a row, which do not attend to each other; positions restart with each).
        pub packing: Packing,
        /// Field of a .jsonl line that holds the text.
        pub json_field: String,
        /// Column of a .parquet file that holds the text.
        pub parquet_column: String,
        /// What happens at a line that is no text (not UTF-8, no JSON, without the field, too long): `stop` or `skip`, which counts
        /// such lines and shows the first ones.
        pub on_bad_line: OnBadLine,
        /// Threads that prepare batches ahead. 0: none, each batch is made when it is needed. Batches do not depend on it.
        pub workers: usize,
        /// Pre-training on synthetic sequences before text: structure without meaning. None by default.
        pub synthetic: SyntheticConfig,
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: Vec::new(),
            mixture: Vec::new(),
            held_out: Vec::new(),
            tokenizer: PathBuf::new(),
            cache: None,
            length: 128,
            packing: Packing::Electra,
            json_field: "text".to_string(),
            parquet_column: "text".to_string(),
            on_bad_line: OnBadLine::Stop,
            workers: 1,
            synthetic: SyntheticConfig::default(),
        }
    }
}

impl DataConfig {
    /// Micro-batches of synthetic sequences at the start of a run.
    pub fn synthetic_batches(&self, micro_batches: Growth) -> u64 {
        micro_batches.before(self.synthetic.steps)
    }

    /// The cache folder.
    pub fn cache_dir(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| PathBuf::from("fnlm-cache"))
    }
}

documented! {
    /// The look-up sets V(w).
    #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct LexiconConfig {
        /// Lexicon file made by `fnlm lexicon build`. Takes precedence over `wordnet`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub path: Option<PathBuf>,
        /// WordNet 3.x `dict` folder, from which the lexicon is built when the run starts.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub wordnet: Option<PathBuf>,
        /// The most words of a set V(w) that are used. Not set: all.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_width: Option<usize>,
    }
}

/// Number format of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats everywhere.
    #[default]
    F32,
    /// Weights and optimiser in f32, matrix products in bf16; only on devices that support it.
    Bf16,
}

documented! {
    /// Length of the run, batch size, loss weights, device.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct TrainConfig {
        /// Optimiser steps. 1,000,000 (ELECTRA-small), 766,000 (base), 1,750,000 (large).
        pub steps: u64,
        /// Sequences per micro-batch. 128 (ELECTRA-small), 256 (base), 2048 (large), with `accumulation` 1.
        pub batch: usize,
        /// Micro-batches whose gradients are accumulated for one optimiser step: `batch` x `accumulation` sequences per step. Several
        /// processes (MPI) divide them among themselves.
        pub accumulation: usize,
        /// Batch warm-up: micro-batches of the first steps, of which `accumulation` is a multiple. The number grows from here to `accumulation`
        /// over `batch_warmup_tokens`. 0: no warm-up.
        pub accumulation_start: usize,
        /// Tokens (padding included: `batch` x `data.length` of a micro-batch) over which the batch grows, as in ModernBERT. 0: no warm-up.
        pub batch_warmup_tokens: u64,
        /// Checkpoint of another run (`runs/a/checkpoints/step-00010000`) at which this run begins: with its weights, moments, step and
        /// position in the data. Model, data, seed and batch are those of the other run. Not set: step 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub branch: Option<PathBuf>,
        /// Weight of the discriminator's loss. 50 (ELECTRA).
        pub discriminator_weight: f64,
        /// Weight of the masked-LM loss of the generator or of BERT. 1.
        #[serde(alias = "generator_weight")]
        pub masked_lm_weight: f64,
        /// Temperature of the generator's sampling; higher is more random. 1.
        pub temperature: f64,
        /// Never sample the original token as a replacement. `disallow_correct` of ELECTRA, where it is off.
        pub disallow_correct: bool,
        /// Number format of matrix products: `f32` or `bf16`. Weights and optimiser are in f32.
        pub dtype: Dtype,
        /// Device to train on: `flex` (the processor), `vulkan`, `vulkan:0`, `vulkan:cpu`, `wgpu`, `metal`, `cuda:1`, `rocm`.
        pub device: String,
        /// Processor threads of the `flex` device. Not set: all.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub threads: Option<usize>,
        /// Stop with exit code 4 after this many steps in a row whose gradients are not finite.
        pub max_skipped: u32,
        /// In several processes (MPI): seconds that a rank waits for another one in a step before the job is ended.
        pub rank_timeout: u64,
        /// In several processes (MPI): optimiser steps between two comparisons of all ranks' weights by checksum. Ranks that differ are named
        /// and the job ends. 0: only before checkpoints.
        pub compare_every: u64,
        /// In several processes (MPI): number format in which gradients are sent: `f32`, or `bf16`, which halves what is sent but rounds,
        /// so that weights depend on the number of processes. They are added in f32.
        pub wire: Wire,
        /// In several processes (MPI): send the gradients of the upper layers while those of the lower ones are computed. The bits are the same.
        pub overlap: bool,
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            batch: 128,
            accumulation: 1,
            accumulation_start: 0,
            batch_warmup_tokens: 0,
            branch: None,
            discriminator_weight: 50.0,
            masked_lm_weight: 1.0,
            temperature: 1.0,
            disallow_correct: false,
            dtype: Dtype::F32,
            device: "flex".to_string(),
            threads: None,
            max_skipped: 10,
            rank_timeout: 60,
            compare_every: 100,
            wire: Wire::F32,
            overlap: false,
        }
    }
}

impl TrainConfig {
    /// Micro-batches of the smallest step, among which several ranks divide them.
    pub fn least_micro_batches(&self) -> usize {
        match self.accumulation_start {
            0 => self.accumulation,
            first => first,
        }
    }
}

impl RunConfig {
    /// Micro-batches of each step.
    pub fn micro_batches(&self) -> Growth {
        let train = &self.train;
        let tokens = (train.batch as u64).saturating_mul(self.data.length as u64).max(1);
        let span = train.batch_warmup_tokens.div_ceil(tokens);
        match train.accumulation_start {
            0 => Growth::constant(train.accumulation as u64),
            first => Growth::new(first as u64, train.accumulation as u64, span),
        }
    }

    /// Share of masked tokens by step, where it changes.
    pub fn mask_rate(&self) -> Option<MaskRate> {
        self.corruption.mask_rate(self.schedule.clone().resolved(self.train.steps).total)
    }
}

documented! {
    /// Moving average of the weights (exponential moving average, EMA): `decay * average + (1 - decay) * weights` after each step.
    #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct AverageConfig {
        /// Decay of the average, such as 0.999. It does not change training: it is saved in checkpoints, evaluated beside the weights
        /// (`average_masked_loss`, ...) and written to `average/` at the end. 0: no average.
        pub decay: f64,
        /// Optimiser steps before the average begins, as a copy of the weights of that step.
        pub start: u64,
    }
}

documented! {
    /// How often checkpoints are saved, and how many are kept.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct CheckpointConfig {
        /// Optimiser steps between two checkpoints. (One is saved at step 0 as well, so that a full disk shows at once.)
        pub every: u64,
        /// How many of the newest checkpoints are kept. At least 1.
        pub keep_last: usize,
        /// Also keep the checkpoint with the best `eval.metric`.
        pub keep_best: bool,
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 1_000, keep_last: 2, keep_best: true }
    }
}

documented! {
    /// Evaluation on held-out text.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct EvalConfig {
        /// Optimiser steps between two evaluations. 0: only at the end.
        pub every: u64,
        /// Batches per evaluation, the same each time. 0: all of the held-out text.
        pub batches: usize,
        /// Held-out metric by which the best checkpoint is chosen, e.g. `masked_loss`, `masked_accuracy` or `discriminator_auc`.
        pub metric: String,
        /// Lexicon of the held-out metrics, so that runs with different lexicons are evaluated by the same one. Not set: `lexicon.path`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lexicon: Option<PathBuf>,
    }
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { every: 1_000, batches: 50, metric: "masked_loss".to_string(), lexicon: None }
    }
}

documented! {
    /// Logging.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct LogConfig {
        /// Optimiser steps between two lines of `metrics.jsonl` and of plain output.
        pub every: u64,
        /// Also write TensorBoard event files.
        pub tensorboard: bool,
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { every: 20, tensorboard: true }
    }
}

#[cfg(test)]
mod tests;
