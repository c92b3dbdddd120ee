//! What can be wrong with a configuration or a vocabulary.

use std::fmt::Display;

/// A setting or a vocabulary that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A configured value outside of its range.
    #[error("`{field}` is {found}, but must be {expected}")]
    OutOfRange {
        /// The field, as it is written in the configuration.
        field: &'static str,
        /// The value that was given.
        found: String,
        /// The allowed range.
        expected: String,
    },
    /// The lists of a vocabulary disagree with its size.
    #[error(
        "the vocabulary has {size} pieces, but `{field}` describes {found} of them; build it again from the same file"
    )]
    VocabularyShape {
        /// The list.
        field: &'static str,
        /// Its length.
        found: usize,
        /// Size of the vocabulary.
        size: usize,
    },
    /// A special id lies outside of the vocabulary.
    #[error(
        "the id {id} of {name} does not exist in a vocabulary of {size} pieces; use the tokenizer that belongs to it"
    )]
    SpecialId {
        /// The special piece, such as `[MASK]`.
        name: &'static str,
        /// Its id.
        id: u32,
        /// Size of the vocabulary.
        size: usize,
    },
    /// A correction or judge that needs something that is not there.
    #[error("`{kind}` needs {what}, and there is none; {remedy}")]
    Needs {
        /// The correction or judge, as it is written in the configuration.
        kind: String,
        /// What it needs.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// No correction or judge of this name is registered.
    #[error("there is no {what} of kind `{kind}`; known are {known}")]
    UnknownKind {
        /// Correction or judge.
        what: &'static str,
        /// The name that was given.
        kind: String,
        /// The names that are registered.
        known: String,
    },
    /// A name that is registered already.
    #[error("a {what} of kind `{kind}` is registered already; choose another name")]
    KindTaken {
        /// Correction or judge.
        what: &'static str,
        /// The name.
        kind: String,
    },
    /// The settings of a correction cannot be read.
    #[error("the settings of `{kind}` cannot be read: {message}")]
    Settings {
        /// The correction.
        kind: String,
        /// What is wrong.
        message: String,
    },
    /// Random replacement was asked for, but all pieces are special.
    #[error(
        "corruption replaces a share of {share} by random words, but every one of the {size} pieces is special"
    )]
    NothingToDraw {
        /// The share of random replacements.
        share: f64,
        /// Size of the vocabulary.
        size: usize,
    },
}

/// An error about one field of a configuration: its name, the value found, and what is allowed.
///
/// ```
/// let e = fn_core::config_error("rate", 1.5, "above 0 and at most 1");
/// assert_eq!(e.to_string(), "`rate` is 1.5, but must be above 0 and at most 1");
/// ```
pub fn config_error(field: &'static str, found: impl Display, expected: impl Into<String>) -> CoreError {
    CoreError::OutOfRange { field, found: found.to_string(), expected: expected.into() }
}

/// `Ok` if `low <= value <= high` (so not for NaN).
pub(crate) fn check_range(field: &'static str, value: f64, low: f64, high: f64) -> Result<(), CoreError> {
    if value >= low && value <= high {
        Ok(())
    } else {
        Err(config_error(field, value, format!("between {low} and {high}")))
    }
}

#[cfg(feature = "tensor")]
pub(crate) fn check_lambda(lambda: f64) -> Result<(), CoreError> {
    check_range("lambda", lambda, 0.0, 1e3)
}

#[cfg(feature = "tensor")]
pub(crate) fn check_epsilon(epsilon: f64) -> Result<(), CoreError> {
    check_range("epsilon", epsilon, 0.0, 0.999)
}
