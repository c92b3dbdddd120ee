//! `fnlm config show | check | new | list`.

use fn_train::config::presets::{self, PRESETS};
use serde_json::json;

use crate::args::{ConfigCheckArgs, ConfigCommand, ConfigNewArgs, ConfigShowArgs};
use crate::config::{ConfigError, template};
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs one of them.
///
/// # Errors
/// A configuration that cannot be used (2).
pub fn run(command: &ConfigCommand) -> Result<Outcome, CliError> {
    match command {
        ConfigCommand::Show(args) => show(args),
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::New(args) => new(args),
        ConfigCommand::List => list(),
    }
}

fn show(args: &ConfigShowArgs) -> Result<Outcome, CliError> {
    let resolved = args.config.resolve()?;
    if args.json {
        let values: Vec<_> = resolved
            .values()
            .into_iter()
            .map(|setting| {
                json!({ "key": setting.key, "value": setting.value, "origin": setting.origin.to_string() })
            })
            .collect();
        term::out(&format!("{:#}\n", serde_json::Value::Array(values)))?;
    } else {
        term::out(&resolved.to_toml())?;
    }
    Ok(Outcome::Done)
}

fn check(args: &ConfigCheckArgs) -> Result<Outcome, CliError> {
    let resolved = args.config.resolve()?;
    resolved.train.device.parse::<device::DeviceSpec>()?.check_compiled()?;
    resolved.clone().runnable()?.require_files(|_| false)?;
    term::note(args.common.quiet, "the configuration is good; `fnlm pretrain --dry-run` also tries a step");
    Ok(Outcome::Done)
}

fn new(args: &ConfigNewArgs) -> Result<Outcome, CliError> {
    let preset = presets::find(&args.preset).ok_or_else(|| ConfigError::no_preset(&args.preset))?;
    term::out(&template(preset)?)?;
    Ok(Outcome::Done)
}

fn list() -> Result<Outcome, CliError> {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    for preset in PRESETS {
        term::out(&format!("{:width$}  {}\n", preset.name, preset.about))?;
    }
    Ok(Outcome::Done)
}
