//! What can be wrong in a configuration.

use std::path::{Path, PathBuf};

use super::layers::Origin;
use super::nearest;
use super::presets;

/// A configuration that cannot be used: which key, what was found, what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number or a name outside of what is allowed.
    #[error(
        "`{key}` is {found}; allowed: {allowed}. Change it in the configuration file or with `--set {key}=...`"
    )]
    OutOfRange {
        /// Dotted path of the key, as `--set` takes it.
        key: String,
        /// The value found.
        found: String,
        /// The values allowed.
        allowed: String,
    },
    /// A section whose own check failed (corruption, optimizer, schedule, ...).
    #[error("section `[{section}]`: {message}")]
    Section {
        /// Name of the section.
        section: &'static str,
        /// What its own check said.
        message: String,
    },
    /// A value without which the run cannot start.
    #[error("`{key}` is not set: {what}. Set it in the configuration file or with `--set {key}={example}`")]
    Missing {
        /// Dotted path of the key.
        key: &'static str,
        /// What it is needed for.
        what: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// One of the other errors, with the file, line or option that set the value.
    #[error("{}{error}", .origin.prefix())]
    At {
        /// Where the value was set.
        origin: Origin,
        /// What is wrong with it.
        error: Box<ConfigError>,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}` {place}; {hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The section in which it was looked for.
        place: String,
        /// The key that was probably meant, or those that exist.
        hint: String,
    },
    /// A key of a kind that another crate registered, whose documentation is not known here.
    #[error("`{key}` belongs to a kind of another crate, which documents it")]
    Undocumented {
        /// The key.
        key: String,
    },
    /// A value for a section.
    #[error("`{key}` is a section, not a value; its keys are {keys}")]
    IsSection {
        /// Name of the section.
        key: String,
        /// Its keys.
        keys: String,
    },
    /// A table where one value was expected.
    #[error("set the keys of a table one by one, e.g. --set {key}.kind=soft")]
    IsTable {
        /// The key.
        key: String,
    },
    /// A value of the wrong type, or a name that is none of the known ones.
    #[error("`{key}` cannot be {value}: {message}")]
    WrongValue {
        /// The key.
        key: String,
        /// The value found.
        value: String,
        /// What was expected.
        message: String,
    },
    /// A key that is not part of the run itself (`preset`), set to something that it cannot be.
    #[error("`{key}` {message}")]
    Setting {
        /// The key.
        key: String,
        /// What it must be.
        message: String,
    },
    /// `--set` without a value.
    #[error("--set {text}: expected KEY=VALUE, e.g. --set train.batch=64; `fnlm config show` lists the keys")]
    NoValue {
        /// What was typed.
        text: String,
    },
    /// A preset that does not exist.
    #[error("there is no preset `{name}`{hint}")]
    NoPreset {
        /// The name.
        name: String,
        /// The name that was probably meant, and those that exist.
        hint: String,
    },
    /// A configuration file that is not TOML.
    #[error("{path}:{line}:{column}: this is not TOML: {message}")]
    NotToml {
        /// The file, or the preset.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// A configuration file that cannot be read.
    #[error("cannot read the configuration {}: {message}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says, and what to do.
        message: String,
    },
    /// A file that is too large to be a configuration.
    #[error("{} has {bytes} bytes; a configuration has at most {most}. Is it the right file?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        most: u64,
    },
    /// Values that do not make a configuration for a reason that no single key has.
    #[error("the configuration cannot be read: {message}")]
    Malformed {
        /// What the parser says.
        message: String,
    },
    /// A file or folder that the configuration names does not exist.
    #[error("`{key}`: {} does not exist; check the spelling with `ls`", .path.display())]
    NotFound {
        /// The key that names it.
        key: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The configuration of a run directory cannot be used: a program wrote it.
    #[error("{} is not a configuration of this version of fnlm: {message}", .path.display())]
    Stored {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The model folder of `--from` cannot be read.
    #[error("--from {}: {message}", .path.display())]
    Model {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The configuration of a run directory cannot be read.
    #[error("cannot read {}: {message}; check that it is a run directory", .path.display())]
    NoRun {
        /// The file.
        path: PathBuf,
        /// What the system says.
        message: String,
    },
}

impl ConfigError {
    /// This error, with where the value was set in front.
    pub fn at(self, origin: &Origin) -> Self {
        Self::At { origin: origin.clone(), error: Box::new(self) }
    }

    /// Whether an input is to blame (a file that is missing or that a program wrote) and not what somebody typed.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Stored { .. } | Self::Model { .. } | Self::NoRun { .. } | Self::NotFound { .. } => true,
            Self::At { error, .. } => error.is_input(),
            _ => false,
        }
    }

    /// There is no preset of this name.
    pub fn no_preset(name: &str) -> Self {
        let names: Vec<&str> = presets::PRESETS.iter().map(|preset| preset.name).collect();
        let meant = nearest(name, names.iter().copied());
        let meant = meant.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
        let file = if Path::new(name).exists() {
            format!(" To use the file {name}, write `--config {name}`.")
        } else {
            String::new()
        };
        let hint = format!("{meant} (known: {}).{file}", names.join(", "));
        Self::NoPreset { name: name.to_string(), hint }
    }
}
