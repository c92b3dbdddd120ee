//! Errors of training: one variant for each cause.

use std::path::PathBuf;

use fn_models::FitError;

use crate::checkpoint::CheckpointError;
use crate::collective::CollectiveError;
use crate::optim::OptimError;
use crate::report::ReportError;

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A checkpoint that cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Ranks that cannot go on together.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// Metrics that cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Optimiser state that does not fit the model.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// Text, shards or a vocabulary that cannot be read.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// Examples of a task that cannot be read or batched.
    #[error(transparent)]
    Task(#[from] fn_data::task::TaskError),
    /// A lexicon that cannot be read or does not fit the vocabulary.
    #[error(transparent)]
    Lexicon(#[from] fn_core::lexicon::LexiconError),
    /// WordNet files that cannot be read.
    #[error(transparent)]
    WordNet(#[from] fn_data::lexicon::WordNetError),
    /// An invalid setting of the corruption, a judge or a correction.
    #[error(transparent)]
    Core(#[from] fn_core::CoreError),
    /// An invalid configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Sizes of a model that do not fit together.
    #[error(transparent)]
    Shape(#[from] fn_models::ConfigError),
    /// A Hugging Face folder that cannot be read or written.
    #[error(transparent)]
    Model(#[from] fn_models::hf::HfError),
    /// A checkpoint of a run without a moving average of its weights.
    #[error(
        "{path}: holds no moving average of the weights; a run keeps one with `average.decay` above 0, from step `average.start` on"
    )]
    NoAverage {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The model is too small for the tokenizer or the length of the sequences.
    #[error("{0} ({keys})", keys = keys(.0))]
    Fit(#[from] FitError),
    /// An encoder that cannot judge.
    #[error(transparent)]
    Encoder(#[from] crate::objective::EncoderError),
    /// A verifier with another vocabulary.
    #[error(
        "{path}: this verifier has a token table of {model} rows, but the tokenizer has {tokenizer} pieces; give `correction.verifier.model` a model with the run's own vocabulary"
    )]
    VerifierVocabulary {
        /// The model's folder.
        path: PathBuf,
        /// Number of rows of its token embedding.
        model: usize,
        /// Number of pieces of the tokenizer.
        tokenizer: usize,
    },
    /// A checkpoint at which this run cannot begin.
    #[error(
        "{path}: a run cannot branch from this checkpoint (`train.branch`): its {what} is {found}, this configuration needs {expected}; take seed,          batch and accumulation of its run (in its config.toml), and more `train.steps` than its step"
    )]
    Branch {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
        /// What the checkpoint has.
        found: String,
        /// What the configuration needs.
        expected: String,
    },
    /// Replacements that do not fit were asked of a judge that grades single words only.
    #[error(
        "`correction.replacements` is errors, but the judge `{kind}` does not grade the whole vocabulary; use a judge of kind lexicon, generator or verifier, or a combination of them"
    )]
    NoVocabularyJudge {
        /// The judge's kind.
        kind: String,
    },
    /// bf16 was requested on a device that does not support it.
    #[error(
        "dtype is bf16, but the device `{device}` cannot compute in bf16; expected f32 there (train.dtype in pre-training)"
    )]
    NoBf16 {
        /// Its name in the configuration.
        device: String,
    },
    /// Another process trains in this folder.
    #[error(
        "{path}: another process works in this folder; wait for it, stop it, or give another folder (--run or --out)"
    )]
    InUse {
        /// The run directory.
        path: PathBuf,
    },
    /// Another process is going to write this file or folder.
    #[error("{path}: another process is writing it; wait for it, stop it, or give another name")]
    OutputInUse {
        /// The file or folder.
        path: PathBuf,
    },
    /// The run directory cannot be locked.
    #[error("{path}: cannot {action}: {source}; check that the folder may be written to")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A number that is out of its range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Too many non-finite steps in a row.
    #[error(
        "step {step}: the gradient norm was not finite {consecutive} times in a row (last: {value}); training has diverged. \
         {}. Lower `schedule.lr`, lengthen `schedule.warmup` or lower `optimizer.clip_norm`, then start again from there",
        describe(.last_good)
    )]
    Diverged {
        /// The last of these steps, counted from 1.
        step: u64,
        /// Number of non-finite steps in a row.
        consecutive: u32,
        /// The gradient norm of this step: NaN or infinity.
        value: f64,
        /// The last checkpoint, if one was written or loaded.
        last_good: Option<PathBuf>,
    },
}

fn describe(path: &Option<PathBuf>) -> String {
    match path {
        Some(path) => format!("The last good checkpoint is {}", path.display()),
        None => "There is no checkpoint of this run".to_owned(),
    }
}

/// A number out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{field}` is {found}; allowed: {allowed}")]
pub struct RangeError {
    /// Name of the field.
    pub field: &'static str,
    /// The value found.
    pub found: f64,
    /// The values allowed.
    pub allowed: &'static str,
}

impl RangeError {
    /// Returns an error unless `ok`.
    pub fn unless(ok: bool, field: &'static str, found: f64, allowed: &'static str) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self { field, found, allowed }) }
    }
}

/// The keys of the configuration that can resolve the error.
fn keys(error: &FitError) -> &'static str {
    match error {
        FitError::Vocabulary { .. } => "`data.tokenizer`, `model.vocab_size`",
        FitError::Padding { .. } => "`data.tokenizer`, `model.init`",
        _ => "`data.length`, `model.max_positions`",
    }
}
