//! What goes wrong when a model is probed.

use std::path::PathBuf;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A file or folder cannot be read.
    #[error("{path}: cannot read: {source}; check the path with `ls`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line that is none of the format.
    #[error("{path}: line {line}: found {found}, expected {expected}; correct the line or remove it")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A file or folder without anything to ask.
    #[error("{path}: found no {what}, expected at least one; is it the right path?")]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A text that the model has no positions for.
    #[error(
        "{path}: line {line}: found {found} tokens, expected at most {limit}, the positions of the model; shorten the text"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Tokens with the gap filled, special ones included.
        found: usize,
        /// Most that the model takes.
        limit: usize,
    },
    /// A model that cannot be read, has no head of pre-training, or fewer pieces than the tokenizer.
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
        /// What does not fit.
        source: fn_core::lexicon::LexiconError,
    },
    /// A corruption that cannot be used.
    #[error(transparent)]
    Core(#[from] fn_core::CoreError),
    /// A run without lexicon and verifier, and none was named.
    #[error(
        "the run has no lexicon; name one with --lexicon (`fnlm lexicon build`), or a masked LM with --verifier"
    )]
    NoJudge,
    /// A run without held-out text, and none was named.
    #[error("the run has no held-out text; name some with --text")]
    NoText,
    /// A vocabulary without synonyms.
    #[error(
        "{path}: found no two synonyms that both are pieces of the vocabulary; is it lower-case English?"
    )]
    NoSynonyms {
        /// The model's folder.
        path: PathBuf,
    },
    /// Text of special pieces only.
    #[error("the text has no word that can be masked; give more of it")]
    NothingMasked,
    /// A checkpoint outside of a run directory.
    #[error(
        "{path} is a checkpoint outside of a run directory, whose config.toml is needed; leave it in run/checkpoints/"
    )]
    NoRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A checkpoint, and a model beside it.
    #[error("a checkpoint and --model are two models; give the run directory with --model")]
    TwoModels,
    /// A run without anything to look into.
    #[error("{path}: there is neither a model/ nor an intact checkpoint; `fnlm pretrain` makes them")]
    NoModel {
        /// The run directory.
        path: PathBuf,
    },
    /// Somebody asked to stop.
    #[error("stopped before all was scored")]
    Stopped,
}
