//! From what was typed to what is run: preset, file and flags merged, each value with where it came from.
//!
//! ```text
//! defaults < --preset (or `preset = "..."` in the file) < --config FILE < short flags (--steps ...) < --set key=value
//! ```
//! Nothing is guessed silently: an unknown key is refused with the nearest known one, a value of the wrong type or out of
//! range with its file, line and column.

mod about;
pub mod layers;
pub mod presets;
pub mod schema;
mod text;

use std::path::{Path, PathBuf};

use clap::Args;
use fn_train::config::{ConfigError, RunConfig};

pub use self::layers::Origin;
use self::layers::{Merged, Setting, flatten, unflatten};
pub use self::schema::nearest;
pub use self::text::template;
use self::text::{head, render};
use crate::error::CliError;

/// The flags with which a run is described.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArgs {
    /// TOML file with the run's configuration.
    ///
    /// Start from `fnlm config new electra-small > my.toml`. A file may name the preset that it changes in its first line:
    /// preset = "electra-small".
    #[arg(long, short = 'c', value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Preset under the file: electra-small, electra-base, bert-base, ... (`fnlm config list`).
    #[arg(long, short = 'p', value_name = "NAME")]
    pub preset: Option<String>,

    /// Set one value, e.g. --set train.batch=64 (repeatable; wins over everything).
    ///
    /// The value is TOML: numbers, true, "text", ["a", "b"]; text may stand without quotes. Keys: `fnlm config show`.
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Text to train on: files, folders, or - for standard input (= data.train).
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub train: Vec<PathBuf>,

    /// Text to measure on (= data.held_out).
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub held_out: Vec<PathBuf>,

    /// tokenizer.json, vocab.txt or a folder with one (= data.tokenizer).
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,

    /// Lexicon made by `fnlm lexicon build` (= lexicon.path).
    #[arg(long, value_name = "FILE")]
    pub lexicon: Option<PathBuf>,

    /// WordNet dict folder, to build the lexicon from on the fly (= lexicon.wordnet).
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,

    /// Start from this Hugging Face folder, or from what `fnlm import` wrote (= model.init).
    #[arg(long, value_name = "DIR")]
    pub init: Option<PathBuf>,

    /// none, hard or soft (= correction.preset).
    #[arg(long, value_name = "NAME")]
    pub correction: Option<String>,

    /// Optimiser steps (= train.steps).
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Rows per micro-batch (= train.batch).
    #[arg(long, value_name = "N")]
    pub batch: Option<u64>,

    /// Tokens per row (= data.length).
    #[arg(long, value_name = "N")]
    pub length: Option<u64>,

    /// Seed of every random choice (= seed).
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// flex, vulkan, vulkan:0, cuda:1, ... (= train.device).
    #[arg(long, short = 'd', value_name = "DEVICE")]
    pub device: Option<String>,

    /// Processor threads of the flex device (= train.threads).
    #[arg(long, value_name = "N")]
    pub threads: Option<u64>,
}

impl ConfigArgs {
    /// The short flags as settings.
    fn flags(&self) -> Vec<Setting> {
        let path = |path: &PathBuf| toml::Value::String(path.display().to_string());
        let paths = |paths: &[PathBuf]| {
            (!paths.is_empty()).then(|| toml::Value::Array(paths.iter().map(path).collect()))
        };
        let number = |n: u64| toml::Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        let flags = [
            ("--train", "data.train", paths(&self.train)),
            ("--held-out", "data.held_out", paths(&self.held_out)),
            ("--tokenizer", "data.tokenizer", self.tokenizer.as_ref().map(path)),
            ("--lexicon", "lexicon.path", self.lexicon.as_ref().map(path)),
            ("--wordnet", "lexicon.wordnet", self.wordnet.as_ref().map(path)),
            ("--init", "model.init", self.init.as_ref().map(path)),
            ("--correction", "correction.preset", self.correction.clone().map(Into::into)),
            ("--steps", "train.steps", self.steps.map(number)),
            ("--batch", "train.batch", self.batch.map(number)),
            ("--length", "data.length", self.length.map(number)),
            ("--seed", "seed", self.seed.map(number)),
            ("--device", "train.device", self.device.clone().map(Into::into)),
            ("--threads", "train.threads", self.threads.map(number)),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, key, value)| {
                let origin = Origin::Flag { flag: flag.to_string() };
                Some(Setting { key: key.to_string(), value: value?, origin })
            })
            .collect()
    }

    /// Merges everything and checks it; does not look whether files exist, except for the configuration file.
    ///
    /// # Errors
    /// [`CliError::Usage`] (exit code 2) for anything wrong in the configuration.
    pub fn resolve(&self) -> Result<Resolved, CliError> {
        let mut file = match &self.config {
            Some(path) => read_file(path)?,
            None => Vec::new(),
        };
        let mut preset = self.preset.clone();
        if let Some(at) = file.iter().position(|setting| setting.key == "preset") {
            let setting = file.remove(at);
            let toml::Value::String(name) = &setting.value else {
                return Err(CliError::usage(format!(
                    "{}`preset` must be a name in quotes, e.g. preset = \"electra-small\"",
                    setting.origin.prefix()
                )));
            };
            preset.get_or_insert_with(|| name.clone());
        }

        let mut merged = Merged::default();
        merged.put(defaults());
        if let Some(name) = &preset {
            merged.put(preset_layer(name)?);
        }
        for setting in &file {
            schema::check_key(setting)?;
        }
        merged.put(file);
        merged.put(self.flags());
        for text in &self.set {
            // One layer each: of two that name the same key, the later wins.
            merged.put(vec![set(text)?]);
        }
        Resolved::new(merged, preset)
    }
}

fn defaults() -> Vec<Setting> {
    toml::Table::try_from(RunConfig::default())
        .map(|table| flatten(&table, &Origin::Default))
        .unwrap_or_default()
}

fn preset_layer(name: &str) -> Result<Vec<Setting>, CliError> {
    let Some(preset) = presets::find(name) else {
        let names: Vec<&str> = presets::PRESETS.iter().map(|preset| preset.name).collect();
        let hint = nearest(name, names.iter().copied())
            .map(|nearest| format!("; did you mean `{nearest}`?"))
            .unwrap_or_default();
        let file = if Path::new(name).exists() {
            format!(" To use the file {name}, write `--config {name}`.")
        } else {
            String::new()
        };
        return Err(CliError::usage(format!(
            "there is no preset `{name}`{hint} (known: {}).{file}",
            names.join(", ")
        )));
    };
    let settings = layers::parse(preset.text, &format!("preset {name}"), |_, _| Origin::Preset {
        name: name.to_string(),
    })?;
    for setting in &settings {
        schema::check_key(setting)?;
    }
    Ok(settings)
}

/// A configuration describes a run in lines, not megabytes: more is another file by mistake.
const MAX_FILE: u64 = 1 << 20;

fn read_file(path: &Path) -> Result<Vec<Setting>, CliError> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let hint = if error.kind() == std::io::ErrorKind::NotFound && presets::find(&name).is_some() {
            format!("; to use the preset, write `--preset {name}`")
        } else if error.kind() == std::io::ErrorKind::NotFound {
            "; make one with `fnlm config new electra-small > my.toml`".to_string()
        } else if path.is_dir() || error.kind() == std::io::ErrorKind::InvalidData {
            "; is it the right file?".to_string()
        } else {
            String::new()
        };
        CliError::usage(format!("cannot read the configuration {name}: {error}{hint}"))
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(CliError::usage(format!(
            "{name} has {size} bytes; a configuration has at most {MAX_FILE}. Is it the right file?"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    layers::parse(&text, &name, |line, column| Origin::File { path: name.clone(), line, column })
}

/// Reads one `key=value`.
fn set(text: &str) -> Result<Setting, CliError> {
    let origin = Origin::Flag { flag: format!("--set {text}") };
    let Some((key, value)) = text.split_once('=') else {
        return Err(CliError::usage(format!(
            "--set {text}: expected KEY=VALUE, e.g. --set train.batch=64; `fnlm config show` lists the keys"
        )));
    };
    let key = key.trim().to_string();
    // `{ kind = "soft", ... }` sets several keys at once; everything else is one value.
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let mut value = parsed.unwrap_or_else(|| toml::Value::String(value.trim().to_string()));
    if schema::is_list(&key) && value.is_str() {
        value = toml::Value::Array(vec![value]);
    }
    let setting = Setting { key, value, origin };
    if setting.value.is_table() {
        return Err(CliError::usage(format!(
            "{}set the keys of a table one by one, e.g. --set {}.kind=soft",
            setting.origin.prefix(),
            setting.key
        )));
    }
    schema::check_key(&setting)?;
    Ok(setting)
}

/// A checked configuration that knows where each value came from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The configuration.
    pub run: RunConfig,
    /// The preset below it, if any.
    pub preset: Option<String>,
    merged: Merged,
}

impl Resolved {
    fn new(merged: Merged, preset: Option<String>) -> Result<Self, CliError> {
        let table = unflatten(merged.settings());
        let run: RunConfig = match table.try_into() {
            Ok(run) => run,
            Err(error) => return Err(blame(&merged, &error)),
        };
        let out = Self { run, preset, merged };
        out.run.validate().map_err(|error| out.locate(error))?;
        Ok(out)
    }

    /// Checks that the run has text, a tokenizer, and a lexicon where it needs one.
    pub fn require_inputs(&self) -> Result<(), CliError> {
        self.run.require_inputs().map_err(|error| self.locate(error))
    }

    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.merged.origin(key)
    }

    fn locate(&self, error: ConfigError) -> CliError {
        match &error {
            ConfigError::OutOfRange { key, .. } => {
                CliError::usage(format!("{}{error}", self.origin(key).prefix()))
            }
            _ => CliError::usage(error.to_string()),
        }
    }

    /// Every value with its key and origin, in the order of the configuration.
    pub fn values(&self) -> Vec<Setting> {
        let Ok(table) = toml::Table::try_from(&self.run) else {
            return Vec::new();
        };
        flatten(&table, &Origin::Default)
            .into_iter()
            .map(|setting| Setting { origin: self.merged.origin(&setting.key), ..setting })
            .collect()
    }

    /// As TOML that can be read again, each value with where it came from; keys that are not set stand as comments.
    pub fn to_toml(&self) -> String {
        render(&self.values(), true)
    }
}

/// Finds out which setting made the configuration unreadable: the first that does so on top of the defaults.
fn blame(merged: &Merged, error: &toml::de::Error) -> CliError {
    for setting in merged.settings() {
        let table = setting.key.rsplit_once('.').map_or("", |(table, _)| table);
        let kind = format!("{table}.kind");
        // The members of a table with a `kind` make sense only together.
        let unit: Vec<&Setting> = merged
            .settings()
            .filter(|other| {
                other.key == setting.key
                    || (layers::tagged(table)
                        && (other.key == kind || (setting.key == kind && head(&other.key) == table)))
                    || (table == "corruption.shares" && head(&other.key) == table)
            })
            .collect();
        if let Err(error) = unflatten(unit).try_into::<RunConfig>() {
            let value = &setting.value;
            let message = error.message().trim().replace('\n', " ");
            let at = setting.origin.prefix();
            return CliError::usage(format!("{at}`{}` cannot be {value}: {}", setting.key, plain(&message)));
        }
    }
    CliError::usage(format!("the configuration cannot be read: {}", error.message()))
}

/// Types in the words of people who do not write Rust.
fn plain(message: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected path string", "expected a path"),
    ];
    words.iter().fold(message.to_string(), |message, (from, to)| message.replace(from, to))
}

/// The keys in which two configurations differ, with both values (`-` where one has none).
pub fn differences(old: &RunConfig, new: &RunConfig) -> Vec<(String, String, String)> {
    let values = |run: &RunConfig| -> Vec<(String, String)> {
        toml::Table::try_from(run)
            .map(|table| {
                flatten(&table, &Origin::Default)
                    .into_iter()
                    .map(|setting| (setting.key, setting.value.to_string()))
                    .collect()
            })
            .unwrap_or_default()
    };
    let (old, new) = (values(old), values(new));
    let find = |values: &[(String, String)], key: &str| {
        values.iter().find(|(name, _)| name == key).map_or("-".to_string(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| (key.clone(), find(&old, key), find(&new, key)))
        .filter(|(_, old, new)| old != new)
        .collect()
}

/// The configuration of a preset.
///
/// # Errors
/// There is no such preset (2).
pub fn preset(name: &str) -> Result<RunConfig, CliError> {
    Ok(ConfigArgs { preset: Some(name.to_string()), ..ConfigArgs::default() }.resolve()?.run)
}

/// Writes a configuration as TOML that can be read again.
///
/// # Errors
/// The file cannot be written (1, 5).
pub fn write(path: &Path, run: &RunConfig) -> Result<(), CliError> {
    fn_train::fsutil::write_atomic(path, text(run)?.as_bytes())
        .map_err(|error| CliError::io("write", path, error))
}

/// A configuration as TOML, without where its values came from.
///
/// # Errors
/// A value that TOML cannot hold (1).
pub fn text(run: &RunConfig) -> Result<String, CliError> {
    let table = toml::Table::try_from(run).map_err(CliError::failed_from)?;
    Ok(render(&flatten(&table, &Origin::Default), false))
}

/// Reads the resolved configuration of a run directory.
///
/// # Errors
/// [`CliError::Input`] (exit code 3) if it cannot be read: a program wrote this file.
pub fn read(path: &Path) -> Result<RunConfig, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::io("read", path, error))?;
    toml::from_str(&text).map_err(|error| {
        CliError::input(format!(
            "{} is not a configuration of this version of fnlm: {}",
            path.display(),
            error.message()
        ))
    })
}

#[cfg(test)]
mod tests;
