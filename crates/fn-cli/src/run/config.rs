//! `fnlm config show | check | new | list`.

use fn_train::config::presets;
use fn_train::config::{ConfigError, Layers, explain, keys, shown, template};
use serde_json::json;

use crate::args::{ConfigCheckArgs, ConfigCommand, ConfigListArgs, ConfigNewArgs, ConfigShowArgs};
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
        ConfigCommand::List(args) => list(args),
    }
}

fn show(args: &ConfigShowArgs) -> Result<Outcome, CliError> {
    let resolved = match &args.run {
        Some(run) => Layers { run: Some(run.clone()), ..args.config.layers().clone() }.resolve()?,
        None => args.config.resolve()?.clone(),
    };
    let values = resolved.values();
    if !args.keys.is_empty() {
        let explained = args.keys.iter().map(|key| explain(&resolved, key)).collect::<Result<Vec<_>, _>>()?;
        term::out(&explained.join("\n"))?;
    } else if args.json {
        let values: Vec<_> = values
            .into_iter()
            .map(|setting| {
                json!({
                    "key": setting.key,
                    "value": setting.value,
                    "origin": setting.origin.to_string(),
                    "changes_numbers": keys::effect(&setting.key).changes_numbers(),
                    "documentation": keys::find(&setting.key).map(|key| key.doc.join("\n")),
                })
            })
            .collect();
        term::out(&format!("{:#}\n", serde_json::Value::Array(values)))?;
    } else if args.origin {
        let lines: Vec<[String; 3]> = values
            .into_iter()
            .map(|setting| [setting.key, shown(&setting.value), setting.origin.to_string()])
            .collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let (key_width, value_width) = (width(0), width(1).min(40));
        for [key, value, origin] in &lines {
            term::out(&format!("{key:key_width$}  {value:value_width$}  {origin}\n"))?;
        }
    } else {
        term::out(&resolved.to_toml())?;
    }
    Ok(Outcome::Done)
}

fn check(args: &ConfigCheckArgs) -> Result<Outcome, CliError> {
    let resolved = args.config.resolve()?;
    device::check_compiled(&resolved.train.device.parse()?)?;
    resolved.clone().runnable()?.require_files(|_| false)?;
    term::note(args.common.quiet, "the configuration is valid; `fnlm pretrain --dry-run` also tries a step");
    Ok(Outcome::Done)
}

fn new(args: &ConfigNewArgs) -> Result<Outcome, CliError> {
    let preset = presets::find(&args.preset).ok_or_else(|| ConfigError::no_preset(&args.preset))?;
    term::out(&template(preset)?)?;
    Ok(Outcome::Done)
}

fn list(args: &ConfigListArgs) -> Result<Outcome, CliError> {
    term::out(&if args.json { format!("{:#}\n", presets::json()) } else { presets::text() })?;
    Ok(Outcome::Done)
}
