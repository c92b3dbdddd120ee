//! Writes a configuration as TOML.

use super::ConfigError;
use super::keys::{Key, current_name, effect, find, is_tagged, keys};
use super::layers::Setting;
use super::presets::Preset;
use super::resolve::{Resolved, defaults, preset_layer};
use super::schema::find_key;

/// Settings as TOML.
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
        if empty && plain_keys(name).next().is_none() {
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
        for key in plain_keys(name).filter(|key| settings.iter().all(|setting| setting.key != key.path)) {
            out.push_str(&format!("# {} is not set\n", tail(&key.path)));
        }
    }
    out.trim_start().to_string()
}

/// A value as TOML; small numbers in scientific notation (`1e-6`).
pub fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::Float(number) if *number != 0.0 && number.abs() < 1e-2 => format!("{number:e}"),
        value => value.to_string(),
    }
}

impl Resolved {
    /// One line for each key: the key, its value and where it was set.
    pub fn origins(&self) -> String {
        let line = |setting: Setting| [setting.key, shown(&setting.value), setting.origin.to_string()];
        let lines: Vec<[String; 3]> = self.values().into_iter().map(line).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let (key_width, value_width) = (width(0), width(1).min(40));
        let line = |[key, value, origin]: &[String; 3]| {
            format!("{key:key_width$}  {value:value_width$}  {origin}\n")
        };
        lines.iter().map(line).collect()
    }

    /// The same as JSON, with the documentation of each key.
    pub fn json(&self) -> serde_json::Value {
        let of = |setting: Setting| {
            serde_json::json!({
                "key": setting.key,
                "value": setting.value,
                "origin": setting.origin.to_string(),
                "changes_numbers": effect(&setting.key).changes_numbers(),
                "documentation": find(&setting.key).map(|key| key.doc.join("\n")),
            })
        };
        self.values().into_iter().map(of).collect()
    }
}

/// All sections, in the order of the configuration.
fn sections() -> Vec<&'static str> {
    let mut out = Vec::new();
    for name in keys().map(|key| head(&key.path)) {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// The keys of a section, but not those that only one kind of correction or a set of shares has.
fn plain_keys(section: &str) -> impl Iterator<Item = &'static Key> {
    let plain = !is_tagged(section) && section != "corruption.shares";
    keys().filter(move |key| plain && head(&key.path) == section)
}

pub(super) fn head(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(head, _)| head)
}

fn tail(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, tail)| tail)
}

/// A commented file to start from: the preset as it is, and every other key as a comment, with its documentation and its default.
///
/// # Errors
/// The preset cannot be read.
pub fn template(preset: &Preset) -> Result<String, ConfigError> {
    let named = preset_layer(preset.name)?;
    let defaults = defaults();
    let mut out = preset.text.trim_end().to_string();
    out.push_str(TEMPLATE_HEAD);
    for section in sections() {
        let left: Vec<&Key> = keys()
            .filter(|key| head(&key.path) == section && named.iter().all(|named| named.key != key.path))
            .collect();
        if !left.is_empty() && !section.is_empty() {
            out.push('\n');
            comment(&mut out, section);
            out.push_str(&format!("#[{section}]\n"));
        }
        for key in left {
            out.push('\n');
            comment(&mut out, &key.path);
            let default = defaults.iter().find(|setting| setting.key == key.path);
            let default = default.map(|setting| format!(" {}", shown(&setting.value))).unwrap_or_default();
            out.push_str(&format!("#{} ={default}\n", tail(&key.path)));
        }
    }
    Ok(out)
}

/// Documentation, value and origin of a key, or of every key of a section.
///
/// # Errors
/// There is no such key.
pub fn explain(resolved: &Resolved, path: &str) -> Result<String, ConfigError> {
    let path = current_name(path);
    let is_asked =
        |key: &str| key.strip_prefix(&*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let values = resolved.values();
    let mut out = String::new();
    for key in keys().filter(|key| is_asked(&key.path)) {
        if !out.is_empty() {
            out.push('\n');
        }
        comment(&mut out, &key.path);
        match values.iter().find(|setting| setting.key == key.path) {
            Some(Setting { value, origin, .. }) => {
                out.push_str(&format!("{} = {}  # {origin}\n", key.path, shown(value)));
            }
            None => out.push_str(&format!("# {} is not set\n", key.path)),
        }
    }
    match out.is_empty() {
        true => {
            Err(find_key(&path).err().unwrap_or_else(|| ConfigError::Undocumented { key: path.into_owned() }))
        }
        false => Ok(out),
    }
}

const TEMPLATE_HEAD: &str = "\n
# ---- Every other key, with its default. Remove the # in front of a key and of its section to change it. ----
# A section may stand only once in a file: move the key up to its section where there is one.
# A key without a value is not set by default, or belongs to one `kind` of its section only.
";

/// Width of comment lines.
const WIDTH: usize = 100;

/// Appends the documentation of a key or a section as comment lines.
fn comment(out: &mut String, path: &str) {
    for paragraph in find(path).iter().flat_map(|key| &key.doc) {
        let mut line = "#".to_string();
        for word in paragraph.split(' ') {
            if line.len() > 1 && line.len() + 1 + word.len() > WIDTH {
                out.push_str(&format!("{line}\n"));
                line = "#".to_string();
            }
            line.push(' ');
            line.push_str(word);
        }
        out.push_str(&format!("{line}\n"));
    }
}
