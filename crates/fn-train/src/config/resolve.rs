//! From defaults, preset, file and options to one checked configuration; each value knows where it came from.
//!
//! ```text
//! defaults < --preset (or `preset = "..."` in the file, or a run directory) < --from FOLDER < --config FILE < options that set a key (--steps ...) < --set key=value
//! ```
//! An unknown key is refused with the nearest known one, a value of the wrong type or out of range with its file, line and
//! column. [`Resolved`] and [`Runnable`] can only be made by these checks: whoever is handed one need not check again.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use fn_core::files::write_atomic;

use super::layers::{self, Merged, Origin, Setting, flatten, unflatten};
use super::text::{head, render};
use super::{ConfigError, RunConfig, keys, presets, set};
use super::{from, schema};
use crate::error::TrainError;
use crate::rundir;

/// What a configuration is put together from, each part over the one before: defaults, preset, file, options, `--set`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// Name of a preset; takes precedence over the one that the file names.
    pub preset: Option<String>,
    /// A run directory, whose configuration stands in place of defaults and preset.
    pub run: Option<PathBuf>,
    /// A model folder that is trained further: architecture, objective, tokenizer and lengths are taken from it.
    pub from: Option<PathBuf>,
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Options of the command line that set one key each.
    pub options: Vec<Setting>,
    /// `key=value`, the value in TOML; text may stand without quotes.
    pub set: Vec<String>,
}

impl Layers {
    /// Merges the layers and checks the result. Of the files, only the configuration file and the descriptions in the model folder
    /// `from` are read.
    ///
    /// # Errors
    /// Anything that is wrong in the configuration, with its origin.
    pub fn resolve(&self) -> Result<Resolved, ConfigError> {
        let mut file = match &self.file {
            Some(path) => read_file(path)?,
            None => Vec::new(),
        };
        let mut preset = self.preset.clone();
        if let Some(at) = file.iter().position(|setting| setting.key == "preset") {
            let setting = file.remove(at);
            let toml::Value::String(name) = &setting.value else {
                let message = "must be a name in quotes, e.g. preset = \"electra-small\"".to_string();
                return Err(ConfigError::Setting { key: "preset".to_string(), message }.at(&setting.origin));
            };
            preset.get_or_insert_with(|| name.clone());
        }

        if self.from.is_some() {
            preset.get_or_insert_with(|| from::PRESET.to_owned());
        }

        let set = self.set.iter().map(|text| parse_set(text)).collect::<Result<Vec<_>, _>>()?;

        let mut merged = Merged::default();
        merged.put(defaults());
        match (&self.run, &preset) {
            (Some(run), None) => merged.put(run_layer(run)?),
            (None, Some(name)) => merged.put(preset_layer(name)?),
            (None, None) => {}
            (Some(_), Some(name)) => {
                let message = format!("cannot be {name} beside the configuration of a run directory");
                return Err(ConfigError::Setting { key: "preset".to_string(), message });
            }
        }
        if let Some(folder) = &self.from {
            let asked = from::asked(&[file.as_slice(), &self.options, &set].concat());
            merged.put(from::folder_layer(folder, asked)?);
        }
        for setting in &file {
            schema::check_key(setting)?;
        }
        merged.put(file);
        merged.put(self.options.clone());
        for setting in set {
            // A layer each: of two with the same key, the later takes precedence.
            merged.put(vec![setting]);
        }
        Resolved::new(merged, preset)
    }
}

pub(super) fn defaults() -> Vec<Setting> {
    toml::Table::try_from(RunConfig::default())
        .map(|table| flatten(&table, &Origin::Default))
        .unwrap_or_default()
}

fn run_layer(run: &Path) -> Result<Vec<Setting>, ConfigError> {
    let origin = Origin::Run { path: run.to_owned() };
    let table = toml::Table::try_from(read(&run.join(rundir::CONFIG))?);
    Ok(table.map(|table| flatten(&table, &origin)).unwrap_or_default())
}

pub(super) fn preset_layer(name: &str) -> Result<Vec<Setting>, ConfigError> {
    let Some(preset) = presets::find(name) else {
        return Err(ConfigError::no_preset(name));
    };
    let settings = layers::parse(preset.text, &format!("preset {name}"), |_, _| Origin::Preset {
        name: name.to_string(),
    })?;
    for setting in &settings {
        schema::check_key(setting)?;
    }
    Ok(settings)
}

/// Size limit of a configuration file in bytes: a larger one is another file by mistake.
const MAX_FILE: u64 = 1 << 20;

fn read_file(path: &Path) -> Result<Vec<Setting>, ConfigError> {
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
        ConfigError::Unreadable { path: path.to_owned(), message: format!("{error}{hint}") }
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes: size, most: MAX_FILE });
    }
    let text = fn_core::files::read_to_string(path).map_err(unreadable)?;
    let settings =
        layers::parse(&text, &name, |line, column| Origin::File { path: name.clone(), line, column })?;
    let is_twice = |at: usize| settings[..at].iter().any(|before| before.key == settings[at].key);
    match (0..settings.len()).find(|at| is_twice(*at)).map(|at| &settings[at]) {
        None => Ok(settings),
        Some(Setting { key, origin, .. }) => {
            let message = "is set twice, by this name and by a former one; remove one of them".to_string();
            Err(ConfigError::Setting { key: key.clone(), message }.at(origin))
        }
    }
}

/// Parses one `key=value`.
fn parse_set(text: &str) -> Result<Setting, ConfigError> {
    let origin = Origin::CommandLine { option: format!("--set {text}") };
    let Some((key, mut value)) = set::key_value(text) else {
        return Err(ConfigError::NoValue { text: text.to_string() });
    };
    let key = keys::current_name(key).into_owned();
    if schema::is_list(&key) && value.is_str() {
        value = toml::Value::Array(vec![value]);
    }
    let setting = Setting { key, value, origin };
    if setting.value.is_table() {
        return Err(ConfigError::IsTable { key: setting.key }.at(&setting.origin));
    }
    schema::check_key(&setting)?;
    Ok(setting)
}

/// A configuration whose values were checked, with the origin of each. It dereferences to [`RunConfig`].
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    run: RunConfig,
    preset: Option<String>,
    merged: Merged,
}

impl Deref for Resolved {
    type Target = RunConfig;

    fn deref(&self) -> &RunConfig {
        &self.run
    }
}

impl Resolved {
    fn new(merged: Merged, preset: Option<String>) -> Result<Self, ConfigError> {
        let table = unflatten(merged.settings());
        let run: RunConfig = match table.try_into() {
            Ok(run) => run,
            Err(error) => return Err(blame(&merged, &error)),
        };
        Self { run, preset, merged }.checked()
    }

    /// Checks a configuration that was made in code.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn of(run: RunConfig) -> Result<Self, ConfigError> {
        Self { run: RunConfig::default(), preset: None, merged: Merged::default() }
            .change(|config| *config = run)
    }

    /// The configuration with a change, checked again.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn change(mut self, change: impl FnOnce(&mut RunConfig)) -> Result<Self, ConfigError> {
        let before = self.run.clone();
        change(&mut self.run);
        let changed = differences(&before, &self.run).into_iter().map(|(key, ..)| key);
        self.merged.put_origin(changed, &Origin::Program);
        self.checked()
    }

    fn checked(mut self) -> Result<Self, ConfigError> {
        for folder in self.run.models_mut() {
            *folder = fn_models::hf::model_folder(folder);
        }
        self.run.validate().map_err(|error| self.locate(error))?;
        Ok(self)
    }

    /// Checks that the inputs of a training run are named: text, a tokenizer, and a lexicon if the correction looks words up.
    ///
    /// # Errors
    /// What is missing.
    pub fn runnable(self) -> Result<Runnable, ConfigError> {
        self.require_text()?;
        self.run.require_lexicon()?;
        Ok(Runnable(self))
    }

    /// Checks that text and a tokenizer are named.
    ///
    /// # Errors
    /// What is missing.
    pub fn require_text(&self) -> Result<(), ConfigError> {
        self.run.require_text()
    }

    /// Checks that every file and folder exists that the configuration names, but for those that `made_later` excuses.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`] for the first that does not exist.
    pub fn require_files(&self, made_later: impl Fn(&Path) -> bool) -> Result<(), ConfigError> {
        for (key, path) in self.run.files() {
            let text = matches!(key, "data.train" | "data.mixture" | "data.held_out");
            let found = path.exists() || text && !fn_data::source::matching(path).is_empty();
            if path != Path::new("-") && !found && !made_later(path) {
                let missing = ConfigError::NotFound { key: key.to_string(), path: path.to_owned() };
                return Err(missing.at(&self.origin(key)));
            }
        }
        Ok(())
    }

    /// The configuration alone. Where it named a run directory as a model, it names its `model/`.
    pub fn into_config(self) -> RunConfig {
        self.run
    }

    /// What is trained, in one line: `ELECTRA, replaced-token detection, rows of 128 tokens, tokenizer of data/tokenizer.json`.
    pub fn summary(&self) -> String {
        format!(
            "{}, {}, rows of {} tokens, tokenizer of {}",
            self.run.model.arch.name(),
            from::objective(self.run.model.arch),
            self.run.data.length,
            self.run.data.tokenizer.display()
        )
    }

    /// The preset below it, if any.
    pub fn preset(&self) -> Option<&str> {
        self.preset.as_deref()
    }

    /// The origin of the value of a key.
    pub fn origin(&self, key: &str) -> Origin {
        self.merged.origin(key)
    }

    fn locate(&self, error: ConfigError) -> ConfigError {
        match &error {
            ConfigError::OutOfRange { key, .. } => {
                let origin = self.origin(key);
                error.at(&origin)
            }
            _ => error,
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

    /// As TOML that can be read again, each value with its origin; keys that are not set are comments.
    pub fn to_toml(&self) -> String {
        render(&self.values(), true)
    }
}

/// A checked configuration with all the inputs that a training run needs. It dereferences to [`Resolved`] and [`RunConfig`].
#[derive(Debug, Clone, PartialEq)]
pub struct Runnable(Resolved);

impl Deref for Runnable {
    type Target = Resolved;

    fn deref(&self) -> &Resolved {
        &self.0
    }
}

impl Runnable {
    /// Checks a configuration that was made in code.
    ///
    /// # Errors
    /// The first value that cannot be used, or what is missing.
    pub fn of(run: RunConfig) -> Result<Self, ConfigError> {
        Resolved::of(run)?.runnable()
    }

    /// The configuration with a change, checked again.
    ///
    /// # Errors
    /// The first value that cannot be used, or what is missing.
    pub fn change(self, change: impl FnOnce(&mut RunConfig)) -> Result<Self, ConfigError> {
        self.0.change(change)?.runnable()
    }

    /// The configuration for a run of at most `steps` steps that shows what the whole one will need.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn shortened(self, steps: u64) -> Result<Self, ConfigError> {
        self.change(|run| {
            run.train.steps = run.train.steps.min(steps);
            run.data.synthetic.steps = run.data.synthetic.steps.min(run.train.steps - 1);
            run.eval.batches = 1;
            run.log.tensorboard = false;
        })
    }
}

/// The setting that makes the configuration unreadable: the first that does so on top of the defaults.
fn blame(merged: &Merged, error: &toml::de::Error) -> ConfigError {
    for setting in merged.settings() {
        let table = setting.key.rsplit_once('.').map_or("", |(table, _)| table);
        let kind = format!("{table}.kind");
        // The keys of a section with a `kind` are valid only together.
        let unit: Vec<&Setting> = merged
            .settings()
            .filter(|other| {
                other.key == setting.key
                    || (keys::is_tagged(table)
                        && (other.key == kind || (setting.key == kind && head(&other.key) == table)))
                    || (table == "corruption.shares" && head(&other.key) == table)
            })
            .collect();
        if let Err(error) = unflatten(unit).try_into::<RunConfig>() {
            let message = fn_data::names::with_nearest(plain(&error.message().trim().replace('\n', " ")));
            let (key, value) = (setting.key.clone(), setting.value.to_string());
            return ConfigError::WrongValue { key, value, message }.at(&setting.origin);
        }
    }
    ConfigError::Malformed { message: error.message().to_string() }
}

/// The message with names of Rust types replaced.
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
/// There is no such preset.
pub fn preset(name: &str) -> Result<RunConfig, ConfigError> {
    Ok(Layers { preset: Some(name.to_string()), ..Layers::default() }.resolve()?.into_config())
}

/// A configuration as TOML that can be read again, without the origins of its values.
///
/// # Errors
/// A value that TOML cannot hold.
pub fn text(run: &RunConfig) -> Result<String, ConfigError> {
    let table =
        toml::Table::try_from(run).map_err(|error| ConfigError::Malformed { message: error.to_string() })?;
    Ok(render(&flatten(&table, &Origin::Default), false))
}

/// Writes a configuration as TOML that can be read again.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, run: &RunConfig) -> Result<(), TrainError> {
    write_atomic(path, text(run)?.as_bytes()).map_err(|source| TrainError::Io {
        path: path.to_owned(),
        action: "write",
        source,
    })
}

/// Reads the configuration that a run directory keeps.
///
/// # Errors
/// It is not there, or is no configuration of this version.
pub fn read(path: &Path) -> Result<RunConfig, ConfigError> {
    let text = fn_core::files::read_to_string(path)
        .map_err(|error| ConfigError::NoRun { path: path.to_owned(), message: error.to_string() })?;
    toml::from_str(&text)
        .map_err(|error| ConfigError::Stored { path: path.to_owned(), message: error.message().to_string() })
}
