//! A configuration as text.

use super::ConfigError;
use super::about::about;
use super::layers::{Setting, tagged};
use super::presets::Preset;
use super::resolve::{defaults, preset_layer};
use super::schema::known_keys;

/// Writes settings as TOML.
pub(super) fn render(settings: &[Setting], provenance: bool) -> String {
    let mut out = String::new();
    let width = settings.iter().map(|s| tail(&s.key).len() + shown(&s.value).len() + 3).filter(|w| *w < 60);
    let width = width.max().unwrap_or(0);
    let mut sections: Vec<&str> = sections();
    for name in settings.iter().map(|setting| head(&setting.key)) {
        if !sections.contains(&name) {
            sections.push(name);
        }
    }
    for name in sections {
        let empty = settings.iter().all(|setting| head(&setting.key) != name);
        if empty && !known_keys().iter().any(|key| head(key) == name && is_plain_option(key)) {
            continue;
        }
        if !name.is_empty() {
            out.push_str(&format!("\n[{name}]\n"));
        }
        for setting in settings.iter().filter(|setting| head(&setting.key) == name) {
            let line = format!("{} = {}", tail(&setting.key), shown(&setting.value));
            if provenance {
                out.push_str(&format!("{line:<width$}  # {}\n", setting.origin));
            } else {
                out.push_str(&format!("{line}\n"));
            }
        }
        let unset = known_keys()
            .iter()
            .filter(|key| head(key) == name && is_plain_option(key))
            .filter(|key| settings.iter().all(|setting| setting.key != **key));
        for key in unset {
            out.push_str(&format!("# {} is not set\n", tail(key)));
        }
    }
    out.trim_start().to_string()
}

/// A value as TOML; small numbers as people write them (`1e-6`).
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::Float(number) if *number != 0.0 && number.abs() < 1e-2 => format!("{number:e}"),
        value => value.to_string(),
    }
}

/// All sections, in the order of the configuration.
fn sections() -> Vec<&'static str> {
    let mut out = Vec::new();
    for name in known_keys().iter().map(|key| head(key)) {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// Keys of plain sections are optional values; keys of a table with a `kind` belong to another kind.
fn is_plain_option(key: &str) -> bool {
    !tagged(head(key)) && head(key) != "corruption.shares"
}

pub(super) fn head(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(head, _)| head)
}

fn tail(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, tail)| tail)
}

/// A commented file to start from: the preset as it is, and every other key as a comment with its default and its meaning.
pub fn template(preset: &Preset) -> Result<String, ConfigError> {
    let named = preset_layer(preset.name)?;
    let defaults = defaults();
    let mut out = preset.text.trim_end().to_string();
    out.push_str("\n\n# ---- Everything else, with its default. Take the # away to change it. ----\n");
    out.push_str(
        "# (A section may stand only once in a file: move the line up to its section where there is one.)\n",
    );
    for section in sections() {
        let keys: Vec<&String> = known_keys()
            .iter()
            .filter(|key| head(key) == section && is_plain_option(key))
            .filter(|key| named.iter().all(|named| named.key != **key))
            .collect();
        if !keys.is_empty() && !section.is_empty() {
            out.push_str(&format!("\n# [{section}]\n"));
        }
        for key in keys {
            let line = match defaults.iter().find(|setting| setting.key == *key) {
                Some(setting) => format!("# {} = {}", tail(key), shown(&setting.value)),
                None => format!("# {} is not set", tail(key)),
            };
            let about = about(key).map(|about| format!("  # {about}")).unwrap_or_default();
            out.push_str(format!("{line:<30}{about}").trim_end());
            out.push('\n');
        }
    }
    Ok(out)
}
