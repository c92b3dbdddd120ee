//! `fnlm config ...` as it can be typed.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args, Subcommand};
use fn_train::config::layers::Setting;
use fn_train::config::{ConfigError, Layers, Resolved};

use super::Common;
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

    /// What they come to, once it was asked for.
    #[arg(skip)]
    resolved: OnceLock<Result<Resolved, ConfigError>>,
}

impl ConfigArgs {
    /// As layers of a configuration.
    pub fn layers(&self) -> Layers {
        Layers {
            preset: self.preset.clone(),
            file: self.config.clone(),
            options: self.options(),
            set: self.set.clone(),
        }
    }

    /// The checked configuration. The first call merges the layers and reads the file; later ones give the same again.
    ///
    /// # Errors
    /// Anything that is wrong in the configuration (exit code 2).
    pub fn resolve(&self) -> Result<&Resolved, CliError> {
        let resolved = self.resolved.get_or_init(|| self.layers().resolve());
        resolved.as_ref().map_err(|error| error.clone().into())
    }

    /// The options that set one key each.
    fn options(&self) -> Vec<Setting> {
        let path = |path: &PathBuf| toml::Value::String(path.display().to_string());
        let paths = |paths: &[PathBuf]| {
            (!paths.is_empty()).then(|| toml::Value::Array(paths.iter().map(path).collect()))
        };
        let number = |n: u64| toml::Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        let options = [
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
        options
            .into_iter()
            .filter_map(|(option, key, value)| Some(Setting::option(option, key, value?)))
            .collect()
    }
}

/// `fnlm config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration, each value with where it came from.
    Show(ConfigShowArgs),
    /// Check a configuration, its files included, without training.
    Check(ConfigCheckArgs),
    /// Print a commented configuration to start from.
    New(ConfigNewArgs),
    /// List the presets.
    List,
}

/// `fnlm config show`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm config show -p electra-small --set train.batch=64")]
pub struct ConfigShowArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON: key, value and origin of each.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm config check`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm config check -c my.toml")]
pub struct ConfigCheckArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm config new`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm config new electra-small > my.toml")]
pub struct ConfigNewArgs {
    /// Preset to start from.
    #[arg(value_name = "PRESET", default_value = "electra-small")]
    pub preset: String,
}
