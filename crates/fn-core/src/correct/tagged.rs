//! `kind` and its settings, in and out of a configuration.

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::registry::Settings;

/// Takes the kind out of a table; the settings stay.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    let mut values = Map::<String, Value>::deserialize(deserializer)?;
    match values.remove("kind") {
        Some(Value::String(kind)) => Ok(Settings { kind, values }),
        Some(other) => Err(D::Error::custom(format!("`kind` is {other}, but must be a name"))),
        None => Err(D::Error::missing_field("kind")),
    }
}

/// The settings of a built-in kind.
pub fn typed<T: DeserializeOwned, E: serde::de::Error>(settings: &Settings) -> Result<T, E> {
    serde_json::from_value(Value::Object(settings.values.clone())).map_err(E::custom)
}

/// `value`, if nothing stands beside its kind.
pub fn without_settings<T, E: serde::de::Error>(settings: &Settings, value: T) -> Result<T, E> {
    match settings.values.keys().next() {
        Some(key) => Err(E::custom(format!("unknown field `{key}`, this kind has no settings"))),
        None => Ok(value),
    }
}

/// The settings of a configuration, as a table.
pub fn settings<T: Serialize>(config: &T) -> serde_json::Result<Map<String, Value>> {
    match serde_json::to_value(config)? {
        Value::Object(values) => Ok(values),
        other => Err(serde::ser::Error::custom(format!("{other} is no table"))),
    }
}

/// Writes the kind, then its settings.
pub fn serialize<S: Serializer>(
    kind: &str,
    settings: serde_json::Result<Map<String, Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let settings = settings.map_err(serde::ser::Error::custom)?;
    let mut map = serializer.serialize_map(Some(settings.len() + 1))?;
    map.serialize_entry("kind", kind)?;
    for (key, value) in &settings {
        map.serialize_entry(key, value)?;
    }
    map.end()
}
