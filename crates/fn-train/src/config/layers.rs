//! Settings in layers: defaults, preset, file, options. Later layers take precedence, and each value keeps its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use fn_data::names::explained;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::keys::{current_name, is_tagged};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Set nowhere.
    Default,
    /// Set by the program itself.
    Program,
    /// A preset that is compiled in.
    Preset {
        /// Its name.
        name: String,
    },
    /// A model folder (`--from`).
    Model {
        /// The folder.
        path: PathBuf,
    },
    /// The configuration that a run directory keeps.
    Run {
        /// The run directory.
        path: PathBuf,
    },
    /// A file, with the place in it.
    File {
        /// The path as it was typed.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The command line.
    CommandLine {
        /// The option, e.g. `--steps` or `--set train.steps=7`.
        option: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Program => f.write_str("fnlm"),
            Self::Preset { name } => write!(f, "preset {name}"),
            Self::Run { path } => write!(f, "run {}", path.display()),
            Self::Model { path } => write!(f, "--from {}", path.display()),
            Self::File { path, line, .. } => write!(f, "{path}:{line}"),
            Self::CommandLine { option } => f.write_str(option),
        }
    }
}

impl Origin {
    /// `path:line:column: ` or `--steps: `, the start of an error message.
    pub fn prefix(&self) -> String {
        match self {
            Self::Default | Self::Program => String::new(),
            Self::Preset { .. } | Self::Run { .. } | Self::Model { .. } => format!("{self}: "),
            Self::File { path, line, column } => format!("{path}:{line}:{column}: "),
            Self::CommandLine { option } => format!("{option}: "),
        }
    }
}

/// A value with its key and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// `section.key`, or `section.table.key`.
    pub key: String,
    /// The value; never a table.
    pub value: toml::Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Setting {
    /// The value of an option of the command line that sets a key.
    pub fn option(option: &str, key: &str, value: impl Into<toml::Value>) -> Self {
        let origin = Origin::CommandLine { option: option.to_string() };
        Self { key: key.to_string(), value: value.into(), origin }
    }
}

/// Parses a TOML document into settings. `origin` makes the origin of each from its line and column.
///
/// # Errors
/// The document is not TOML.
pub fn parse(
    text: &str,
    name: &str,
    origin: impl Fn(usize, usize) -> Origin,
) -> Result<Vec<Setting>, ConfigError> {
    let place = |offset: usize| {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        (line, column)
    };
    let broken = |error: toml::de::Error| {
        let (line, column) = error.span().map_or((1, 1), |span| place(span.start));
        ConfigError::NotToml { path: name.to_string(), line, column, message: explained(error.message()) }
    };
    let spans = DeTable::parse(text).map_err(broken)?;
    let values: toml::Table = toml::from_str(text).map_err(broken)?;
    let mut out = Vec::new();
    let mut walk = Walk { place: &place, origin: &origin, out: &mut out };
    walk.table("", spans.get_ref(), &values);
    Ok(out)
}

struct Walk<'a> {
    place: &'a dyn Fn(usize) -> (usize, usize),
    origin: &'a dyn Fn(usize, usize) -> Origin,
    out: &'a mut Vec<Setting>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, spans: &DeTable<'_>, values: &toml::Table) {
        for (key, span) in spans {
            let Some(value) = values.get(key.get_ref().as_ref()) else {
                continue;
            };
            let path = join(prefix, key.get_ref());
            if let (DeValue::Table(inner), toml::Value::Table(table)) = (span.get_ref(), value) {
                self.table(&path, inner, table);
            } else {
                let (line, column) = (self.place)(key.span().start);
                let origin = (self.origin)(line, column);
                let key = current_name(&path).into_owned();
                self.out.push(Setting { key, value: value.clone(), origin });
            }
        }
    }
}

/// The values of a table as settings, all with the same origin.
pub fn flatten(table: &toml::Table, origin: &Origin) -> Vec<Setting> {
    fn walk(prefix: &str, table: &toml::Table, origin: &Origin, out: &mut Vec<Setting>) {
        for (key, value) in table {
            let path = join(prefix, key);
            match value {
                toml::Value::Table(inner) => walk(&path, inner, origin, out),
                value => out.push(Setting { key: path, value: value.clone(), origin: origin.clone() }),
            }
        }
    }
    let mut out = Vec::new();
    walk("", table, origin, &mut out);
    out
}

/// The table with these settings; the inverse of [`flatten`].
pub fn unflatten<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> toml::Table {
    fn put(table: &mut toml::Table, key: &str, value: &toml::Value) {
        match key.split_once('.') {
            None => {
                table.insert(key.to_string(), value.clone());
            }
            Some((head, rest)) => {
                let inner =
                    table.entry(head.to_string()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let toml::Value::Table(inner) = inner {
                    put(inner, rest, value);
                }
            }
        }
    }
    let mut table = toml::Table::new();
    for setting in settings {
        put(&mut table, &setting.key, &setting.value);
    }
    table
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") }
}

/// The settings of all layers so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    settings: BTreeMap<String, Setting>,
    /// Origins of values that were changed after merging.
    changed: BTreeMap<String, Origin>,
}

impl Merged {
    /// Adds a layer on top. A layer that changes the `kind` of a section replaces the section, and one that sets `correction.preset`
    /// replaces the corrections below it, and the judge of a preset that has one: their other values belong to another kind.
    pub fn put(&mut self, layer: Vec<Setting>) {
        for setting in &layer {
            if setting.key == "correction.preset" {
                self.remove("correction.masked_lm.");
                self.remove("correction.discriminator.");
                let below = self.settings.get(&setting.key).and_then(|below| below.value.as_str());
                if below == Some("soft-label") && setting.value.as_str() != below {
                    self.remove("correction.judge.");
                }
            } else if let Some(table) = setting.key.strip_suffix(".kind")
                && is_tagged(table)
                && self.settings.get(&setting.key).is_none_or(|below| below.value != setting.value)
            {
                self.remove(&format!("{table}."));
            }
        }
        for setting in layer {
            self.settings.insert(setting.key.clone(), setting);
        }
    }

    fn remove(&mut self, prefix: &str) {
        self.settings.retain(|key, _| !key.starts_with(prefix));
    }

    /// Sets the origin of values that are changed after merging.
    pub fn put_origin(&mut self, keys: impl Iterator<Item = String>, origin: &Origin) {
        self.changed.extend(keys.map(|key| (key, origin.clone())));
    }

    /// All settings, by key.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.values()
    }

    /// The origin of the value of `key`; defaults of a `kind` or of `correction.preset` have the origin of that key.
    pub fn origin(&self, key: &str) -> Origin {
        if let Some(origin) = self.changed.get(key).or(self.settings.get(key).map(|setting| &setting.origin))
        {
            return origin.clone();
        }
        let table = key.rsplit_once('.').map_or("", |(table, _)| table);
        if is_tagged(table) {
            for selector in [&format!("{table}.kind"), "correction.preset"] {
                if let Some(setting) = self.settings.get(selector) {
                    return setting.origin.clone();
                }
            }
        }
        Origin::Default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(key: &str, value: impl Into<toml::Value>) -> Setting {
        Setting {
            key: key.to_string(),
            value: value.into(),
            origin: Origin::CommandLine { option: "--set".to_string() },
        }
    }

    #[test]
    fn every_key_knows_its_line_and_column() {
        let text = "seed = 1\n\n[train]\n  steps = 5\n  batch=2\n[a.b]\nc = [1,\n 2]\n";
        let found =
            parse(text, "x.toml", |line, column| Origin::File { path: "x.toml".into(), line, column })
                .unwrap();
        let places: Vec<(String, String)> =
            found.into_iter().map(|setting| (setting.key, setting.origin.prefix())).collect();
        let want = [
            ("seed", "x.toml:1:1: "),
            ("train.steps", "x.toml:4:3: "),
            ("train.batch", "x.toml:5:3: "),
            ("a.b.c", "x.toml:7:1: "),
        ];
        assert_eq!(places, want.map(|(key, place)| (key.to_string(), place.to_string())));
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_place() {
        let error = parse("seed = 1\nsteps = = 3\n", "x.toml", |_, _| Origin::Default).unwrap_err();
        assert!(error.to_string().starts_with("x.toml:2:"), "{error}");
    }

    #[test]
    fn taking_apart_and_putting_together_are_inverse() {
        let table: toml::Table = toml::from_str("a = 1\n[b]\nc = [1, 2]\n[b.d]\ne = 'x'\n").unwrap();
        assert_eq!(unflatten(&flatten(&table, &Origin::Default)), table);
    }

    #[test]
    fn a_new_kind_replaces_the_table_but_the_same_kind_does_not() {
        let mut merged = Merged::default();
        let g = "correction.masked_lm";
        let key = |name: &str| format!("{g}.{name}");
        merged.put(vec![
            flag(&key("kind"), "soft"),
            flag(&key("lambda"), 2.0),
            flag("schedule.kind", "linear"),
            flag("schedule.lr", 0.1),
        ]);
        merged.put(vec![flag(&key("kind"), "soft"), flag("schedule.kind", "cosine")]);
        assert_eq!(merged.settings().count(), 4);
        merged.put(vec![flag(&key("normalise"), "kept"), flag(&key("kind"), "hard")]);
        let keys: Vec<&str> = merged.settings().map(|setting| setting.key.as_str()).collect();
        assert_eq!(keys, [&key("kind"), &key("normalise"), "schedule.kind", "schedule.lr"]);
    }

    #[test]
    fn a_preset_of_corrections_replaces_the_corrections_below() {
        let mut merged = Merged::default();
        merged.put(vec![flag("correction.masked_lm.kind", "soft"), flag("correction.masked_lm.lambda", 2.0)]);
        merged.put(vec![flag("correction.preset", "hard")]);
        assert_eq!(merged.settings().count(), 1);
        assert_eq!(
            merged.origin("correction.masked_lm.kind"),
            Origin::CommandLine { option: "--set".into() }
        );
    }

    #[test]
    fn the_judge_of_a_preset_goes_with_it_and_one_of_its_own_stays() {
        let keys = |merged: &Merged| merged.settings().map(|setting| setting.key.clone()).collect::<Vec<_>>();
        let judge = flag("correction.judge.kind", "generator");
        for (below, left) in [("soft-label", false), ("none", true)] {
            let mut merged = Merged::default();
            merged.put(vec![flag("correction.preset", below), judge.clone()]);
            merged.put(vec![flag("correction.preset", "hard")]);
            assert_eq!(keys(&merged).contains(&judge.key), left, "{below}");
        }
    }
}
