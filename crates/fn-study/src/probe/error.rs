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
    /// Somebody asked to stop.
    #[error("stopped before all was scored")]
    Stopped,
}
