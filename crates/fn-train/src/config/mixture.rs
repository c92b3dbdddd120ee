//! The texts of a mixture: `data.mixture`.

use std::path::{Path, PathBuf};

use fn_data::mixture::places;
use serde::{Deserialize, Serialize};

use super::{ConfigError, RunConfig};

/// One text of a mixture. Exactly one of `train` and `shards` is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureSource {
    /// Files, folders, or `-`, as in `data.train`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<PathBuf>,
    /// Folder of a prepared text, with its `manifest.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<PathBuf>,
    /// Share of the rows that are drawn from it, relative to the other weights; above 0.
    pub weight: f64,
}

impl MixtureSource {
    /// Its files and folders.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.train.iter().chain(&self.shards).map(PathBuf::as_path)
    }

    /// Its first file, and how many others there are.
    pub fn name(&self) -> String {
        named(&self.paths().collect::<Vec<_>>())
    }
}

/// The first of some files, and how many others there are.
pub(crate) fn named<P: AsRef<Path>>(paths: &[P]) -> String {
    let first = paths.first().map(|path| path.as_ref().display().to_string()).unwrap_or_default();
    match paths.len() {
        0 | 1 => first,
        n => format!("{first} and {} more", n - 1),
    }
}

/// Checks weights and sources.
pub(super) fn check(run: &RunConfig) -> Result<(), ConfigError> {
    let sources = &run.data.mixture;
    let refused = |found: String, allowed: &str| {
        let (key, allowed) = ("data.mixture".to_owned(), allowed.to_owned());
        Err(ConfigError::OutOfRange { key, found, allowed })
    };
    if sources.is_empty() {
        return Ok(());
    }
    if !run.data.train.is_empty() {
        return refused(
            "set".to_owned(),
            "not set together with `data.train`: name all texts in one of them",
        );
    }
    for (n, source) in sources.iter().enumerate() {
        if source.train.is_empty() == source.shards.is_none() {
            let found = if source.train.is_empty() { "neither" } else { "both" };
            let found = format!("source {} with {found}", n + 1);
            return refused(
                found,
                "either `train` (files and folders) or `shards` (a prepared folder) in each source",
            );
        }
    }
    let weights: Vec<f64> = sources.iter().map(|source| source.weight).collect();
    match places(&weights) {
        Ok(_) => Ok(()),
        Err(error) => refused(
            format!("weight {} of source {} ({})", error.found, error.at + 1, sources[error.at].name()),
            error.expected,
        ),
    }
}
