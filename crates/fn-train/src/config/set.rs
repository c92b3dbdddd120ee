//! Applies `key=value` settings to any serialisable value: a fine-tuning recipe, the settings of the generated language.

use fn_data::names::{nearest, with_nearest};

/// A setting that cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Text without `=`.
    #[error("--set {setting}: expected KEY=VALUE")]
    NoValue {
        /// The text.
        setting: String,
    },
    /// A key that does not exist.
    #[error("--set {setting}: there is no `{key}`{hint} Known: {known}")]
    UnknownKey {
        /// The text.
        setting: String,
        /// The key.
        key: String,
        /// The nearest one that exists.
        hint: String,
        /// All that exist.
        known: String,
    },
    /// A value of the wrong kind.
    #[error("--set {settings}: {message}")]
    WrongValue {
        /// All settings.
        settings: String,
        /// What was expected.
        message: String,
    },
    /// A value that TOML cannot hold.
    #[error("{message}")]
    NoToml {
        /// What TOML says.
        message: String,
    },
}

/// Key and value of `key=value`. Text that is not TOML is a string. None without `=`.
pub(super) fn key_value(setting: &str) -> Option<(&str, toml::Value)> {
    let (key, text) = setting.split_once('=')?;
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    let value = parsed.and_then(|mut table| table.remove("value"));
    Some((key.trim(), value.unwrap_or_else(|| toml::Value::String(text.trim().to_owned()))))
}

/// A value with `key=value` settings applied, the keys dotted, the values TOML (text may stand without quotes).
///
/// # Errors
/// A key that does not exist (with the nearest one that does), a value of the wrong kind.
pub fn set_values<T: serde::Serialize + for<'a> serde::Deserialize<'a>>(
    value: &T,
    settings: &[String],
) -> Result<T, SetError> {
    let mut table =
        toml::Table::try_from(value).map_err(|error| SetError::NoToml { message: error.to_string() })?;
    for setting in settings {
        let Some((key, new)) = key_value(setting) else {
            return Err(SetError::NoValue { setting: setting.clone() });
        };
        let known = keys("", &table);
        let mut at = &mut table;
        let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
        for part in path.into_iter().flat_map(|path| path.split('.')) {
            match at.get_mut(part) {
                Some(toml::Value::Table(inner)) => at = inner,
                _ => return Err(unknown(setting, key, &known)),
            }
        }
        let old = at.get_mut(last).filter(|old| !old.is_table());
        let Some(old) = old else { return Err(unknown(setting, key, &known)) };
        // 1 for a number with a fraction is what people type.
        *old = match (&*old, new) {
            (toml::Value::Float(_), toml::Value::Integer(n)) => toml::Value::Float(n as f64),
            (_, new) => new,
        };
    }
    table.try_into().map_err(|error: toml::de::Error| SetError::WrongValue {
        settings: settings.join(" --set "),
        message: with_nearest(error.message().to_owned()),
    })
}

fn keys(prefix: &str, table: &toml::Table) -> Vec<String> {
    let each = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) => keys(&format!("{prefix}{key}."), inner),
        _ => vec![format!("{prefix}{key}")],
    };
    table.iter().flat_map(each).collect()
}

fn unknown(setting: &str, key: &str, known: &[String]) -> SetError {
    let hint = nearest(key, known.iter().map(String::as_str));
    let hint = hint.map_or(".".to_owned(), |name| format!("; did you mean `{name}`?"));
    SetError::UnknownKey { setting: setting.to_owned(), key: key.to_owned(), hint, known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::optim::AdamWConfig;

    #[derive(Debug, Serialize, Deserialize)]
    struct Recipe {
        lr: f64,
        batch: usize,
        double_pairs: bool,
        layer_decay: f64,
        optimizer: AdamWConfig,
    }

    fn recipe() -> Recipe {
        let optimizer = AdamWConfig::default();
        Recipe { lr: 3e-4, batch: 32, double_pairs: false, layer_decay: 0.8, optimizer }
    }

    #[test]
    fn settings_reach_nested_keys_and_unknown_ones_name_the_nearest() {
        let set =
            |text: &[&str]| set_values(&recipe(), &text.iter().map(|&s| s.to_owned()).collect::<Vec<_>>());
        let recipe = set(&["lr=1", "optimizer.weight_decay=0.5", "double_pairs=true"]).unwrap();
        assert_eq!((recipe.lr, recipe.optimizer.weight_decay, recipe.double_pairs), (1.0, 0.5, true));
        let text = |settings: &[&str]| set(settings).unwrap_err().to_string();
        assert!(
            text(&["weight_decay=0.1"]).contains("optimizer.weight_decay"),
            "{}",
            text(&["weight_decay=0.1"])
        );
        assert!(text(&["layer_dcay=0.1"]).contains("did you mean `layer_decay`"));
        assert!(text(&["optimizer=3"]).contains("there is no `optimizer`"));
        assert!(text(&["batch=many"]).contains("batch"), "{}", text(&["batch=many"]));
        assert!(text(&["batch"]).contains("KEY=VALUE"));
    }
}
