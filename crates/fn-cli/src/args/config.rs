//! `fnlm config ...` as it can be typed.

use clap::{Args, Subcommand};

use super::Common;
use crate::config::ConfigArgs;

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
