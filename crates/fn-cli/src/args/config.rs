//! The options that describe a configuration, and `fnlm config ...`.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand, value_parser};
use fn_train::config::layers::Setting;
use fn_train::config::{ConfigError, Layers, Resolved, keys};
use toml::Value;

use super::Common;
use crate::error::CliError;

/// The options that name a layer of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Configuration")]
struct LayerArgs {
    /// TOML file with the run's configuration.
    ///
    /// Start from `fnlm config new electra-small > my.toml`. A file may name the preset that it changes in its first line:
    /// preset = "electra-small".
    #[arg(long, short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,

    /// Preset under the file: electra-small, electra-base, bert-base, ... (`fnlm config list`).
    #[arg(long, short = 'p', value_name = "NAME")]
    preset: Option<String>,

    /// Go on with the model of this folder: architecture, objective, tokenizer and length are taken from it.
    ///
    /// A Hugging Face folder (an encoder or masked language model, or an ELECTRA, with or without its generator), or a run directory. Settings that
    /// the folder does not determine are those of the preset `continued`, unless --preset names another.
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,

    /// Set one key, e.g. --set train.batch=64 (repeatable; takes precedence over everything else).
    ///
    /// The value is TOML: numbers, true, "text", ["a", "b"]; text may stand without quotes. Keys: `fnlm config show`.
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// An option that sets one key; its help is the documentation of the key.
struct KeyOption {
    long: &'static str,
    short: Option<char>,
    key: &'static str,
    value: &'static str,
    kind: Kind,
}

/// What the value of such an option is.
enum Kind {
    Number,
    Text,
    Paths,
}

const fn option(long: &'static str, key: &'static str, value: &'static str, kind: Kind) -> KeyOption {
    KeyOption { long, short: None, key, value, kind }
}

const OPTIONS: &[KeyOption] = &[
    option("train", "data.train", "PATH", Kind::Paths),
    option("held-out", "data.held_out", "PATH", Kind::Paths),
    option("tokenizer", "data.tokenizer", "PATH", Kind::Text),
    option("json-field", "data.json_field", "NAME", Kind::Text),
    option("parquet-column", "data.parquet_column", "NAME", Kind::Text),
    option("on-bad-line", "data.on_bad_line", "HOW", Kind::Text),
    option("lexicon", "lexicon.path", "FILE", Kind::Text),
    option("wordnet", "lexicon.wordnet", "DIR", Kind::Text),
    option("init", "model.init", "DIR", Kind::Text),
    option("correction", "correction.preset", "NAME", Kind::Text),
    option("steps", "train.steps", "N", Kind::Number),
    option("batch", "train.batch", "N", Kind::Number),
    option("length", "data.length", "N", Kind::Number),
    option("seed", "seed", "N", Kind::Number),
    KeyOption { short: Some('d'), ..option("device", "train.device", "DEVICE", Kind::Text) },
    option("threads", "train.threads", "N", Kind::Number),
];

impl KeyOption {
    fn arg(&self) -> Arg {
        let doc = keys::find(self.key).and_then(|key| key.doc.first());
        let first = doc.map_or("", |text| text.trim_end_matches('.'));
        let arg = Arg::new(self.long)
            .long(self.long)
            .value_name(self.value)
            .help_heading("Configuration")
            .help(format!("{first} (= {})", self.key));
        let arg = if let Some(short) = self.short { arg.short(short) } else { arg };
        match self.kind {
            Kind::Number => arg.value_parser(value_parser!(i64).range(0..)),
            Kind::Text => arg,
            Kind::Paths => arg.num_args(1..).action(ArgAction::Append),
        }
    }

    fn setting(&self, matches: &ArgMatches) -> Option<Setting> {
        let value = match self.kind {
            Kind::Number => Value::Integer(*matches.get_one::<i64>(self.long)?),
            Kind::Text => Value::String(matches.get_one::<String>(self.long)?.clone()),
            Kind::Paths => {
                let paths = matches.get_many::<String>(self.long)?;
                Value::Array(paths.map(|path| Value::String(path.clone())).collect())
            }
        };
        Some(Setting::option(&format!("--{}", self.long), self.key, value))
    }
}

/// The options with which the configuration of a run is described.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigArgs {
    layers: Layers,
    /// What they come to, once it was asked for.
    resolved: OnceLock<Result<Resolved, ConfigError>>,
}

impl ConfigArgs {
    /// The layers as they were typed.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// The checked configuration. The first call merges the layers and reads the file; later ones give the same again.
    ///
    /// # Errors
    /// Anything that is wrong in the configuration (exit code 2).
    pub fn resolve(&self) -> Result<&Resolved, CliError> {
        let resolved = self.resolved.get_or_init(|| self.layers.resolve());
        resolved.as_ref().map_err(|error| error.clone().into())
    }
}

impl Args for ConfigArgs {
    fn augment_args(command: Command) -> Command {
        LayerArgs::augment_args(command).args(OPTIONS.iter().map(KeyOption::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let LayerArgs { config, preset, from, set } = LayerArgs::from_arg_matches(matches)?;
        let options = OPTIONS.iter().filter_map(|option| option.setting(matches)).collect();
        Ok(Self {
            layers: Layers { preset, run: None, from, file: config, options, set },
            resolved: OnceLock::new(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `fnlm config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration, each value with where it came from.
    Show(ConfigShowArgs),
    /// Check a configuration and that its files exist, without training.
    Check(ConfigCheckArgs),
    /// Print a configuration with the documentation of every key.
    New(ConfigNewArgs),
    /// List the presets.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `fnlm config show`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm config show -p electra-small --set train.batch=64
  fnlm config show -c my.toml --origin | grep lr
  fnlm config show train.batch correction                what these keys mean, their values and origins
  fnlm config show --run runs/a                          what a run was made with")]
pub struct ConfigShowArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Keys or sections to explain: documentation, value and origin. [default: print the whole configuration]
    #[arg(value_name = "KEY", conflicts_with_all = ["json", "origin"])]
    pub keys: Vec<String>,
    /// Configuration of this run directory, under the other options.
    #[arg(long, short, value_name = "DIR", conflicts_with = "preset")]
    pub run: Option<PathBuf>,
    /// Print one line for each key: key, value, and the file and line, preset or option that set it.
    #[arg(long, conflicts_with = "json")]
    pub origin: bool,
    /// Print JSON: key, value, origin and documentation of each.
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

super::flags!(ConfigShowArgs);
super::flags!(ConfigCheckArgs);

impl super::Flags for ConfigCommand {
    fn common(&self) -> Option<&Common> {
        match self {
            Self::Show(args) => super::Flags::common(args),
            Self::Check(args) => super::Flags::common(args),
            Self::New(_) | Self::List { .. } => None,
        }
    }
}
