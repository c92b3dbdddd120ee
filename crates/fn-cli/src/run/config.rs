//! `fnlm config show | check | new | list`.

use fn_train::config::presets;
use fn_train::config::{ConfigError, Layers, explain, template};

use crate::args::{ConfigCheckArgs, ConfigCommand, ConfigNewArgs, ConfigShowArgs};
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
        ConfigCommand::List { json } => list(*json),
    }
}

fn show(args: &ConfigShowArgs) -> Result<Outcome, CliError> {
    let resolved = match &args.run {
        Some(run) => Layers { run: Some(run.clone()), ..args.config.layers().clone() }.resolve()?,
        None => args.config.resolve()?.clone(),
    };
    if !args.keys.is_empty() {
        let explained = args.keys.iter().map(|key| explain(&resolved, key)).collect::<Result<Vec<_>, _>>()?;
        term::out(&explained.join("\n"))?;
    } else if args.json {
        term::out(&format!("{:#}\n", resolved.json()))?;
    } else if args.origin {
        term::out(&resolved.origins())?;
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

fn list(json: bool) -> Result<Outcome, CliError> {
    term::out(&if json { format!("{:#}\n", presets::json()) } else { presets::text() })?;
    Ok(Outcome::Done)
}
