//! Errors of probing a model.

use std::path::PathBuf;

/// Error of probing a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A file or folder cannot be read.
    #[error("{path}: cannot read: {source}; check the path with `ls`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{path}: cannot write: {source}; check that the folder may be written to and has room")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// No text is short enough for the model.
    #[error("{path}: every pair has a sentence of more than {limit} tokens, the model's maximum length")]
    AllTooLong {
        /// The file.
        path: PathBuf,
        /// Maximum sequence length of the model.
        limit: usize,
    },
    /// A line does not have the expected format.
    #[error("{path}: line {line}: found {found}, expected {expected}; correct the line or remove it")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A file or folder without any questions or items.
    #[error("{path}: found no {what}, expected at least one; check the path")]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A text is longer than the model's maximum sequence length.
    #[error(
        "{path}: line {line}: found {found} tokens, expected at most {limit}, the model's maximum length; shorten the text"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// Number of tokens with the gap filled, special tokens included.
        found: usize,
        /// Maximum sequence length of the model.
        limit: usize,
    },
    /// A model cannot be read, has no pre-training head, or a smaller vocabulary than the tokenizer.
    #[error(transparent)]
    Model(#[from] fn_models::hf::HfError),
    /// A checkpoint of another model, or one whose `model.init` is gone.
    #[error(transparent)]
    Checkpoint(#[from] fn_train::TrainError),
    /// Text or shards that cannot be read.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// WordNet files that cannot be read.
    #[error(transparent)]
    WordNet(#[from] fn_data::lexicon::WordNetError),
    /// A lexicon that cannot be read.
    #[error(transparent)]
    Open(#[from] fn_core::lexicon::LexiconError),
    /// A lexicon for another vocabulary.
    #[error("{path}: {source}")]
    Lexicon {
        /// The lexicon.
        path: PathBuf,
        /// The mismatch.
        source: fn_core::lexicon::LexiconError,
    },
    /// A corruption that cannot be used.
    #[error(transparent)]
    Core(#[from] fn_core::CoreError),
    /// The run has neither lexicon nor verifier, and none was given.
    #[error(
        "the run has no lexicon; name one with --lexicon (`fnlm lexicon build`), or a masked LM with --verifier"
    )]
    NoJudge,
    /// The run has no held-out text, and none was given.
    #[error("the run has no held-out text; name some with --text")]
    NoText,
    /// The vocabulary has no pair of synonyms.
    #[error(
        "{path}: found no two synonyms that both are pieces of the vocabulary; is it lower-case English?"
    )]
    NoSynonyms {
        /// The model's folder.
        path: PathBuf,
    },
    /// The text has no token that can be masked.
    #[error("the text has no token that can be masked; give more text")]
    NothingMasked,
    /// A checkpoint is not inside a run directory.
    #[error(
        "{path} is a checkpoint outside of a run directory, but its config.toml is needed; move it back to run/checkpoints/"
    )]
    NoRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// Both a checkpoint and `--model` were given.
    #[error("got both a checkpoint and --model; with --model, give the run directory instead")]
    TwoModels,
    /// A run has neither a model nor an intact checkpoint.
    #[error("{path}: found neither a model/ nor an intact checkpoint; `fnlm pretrain` writes them")]
    NoModel {
        /// The run directory.
        path: PathBuf,
    },
    /// Labelled substitutes that cannot be read, or of which the vocabulary can be asked about none.
    #[error(transparent)]
    Exam(#[from] crate::exam::ExamError),
    /// A stop was requested.
    #[error("stopped before everything was scored")]
    Stopped,
}
