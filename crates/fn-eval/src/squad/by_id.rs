//! A value for each question id: predictions or no-answer scores.

use std::collections::HashMap;
use std::fmt;
use std::io::BufReader;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};

use super::SquadError;
use super::data::json_error;

/// Values by question id in the order of the file, a JSON object `{"id": value, ...}`.
#[derive(Debug, Clone, PartialEq)]
pub struct ById<T> {
    entries: Vec<(String, T)>,
    index: HashMap<String, usize>,
}

impl<T> ById<T> {
    /// A map from ids and values.
    ///
    /// # Errors
    /// An id that occurs twice.
    pub fn new(entries: impl IntoIterator<Item = (String, T)>) -> Result<Self, SquadError> {
        let mut out = Self { entries: Vec::new(), index: HashMap::new() };
        for (id, value) in entries {
            out.add(id, value).map_err(|id| SquadError::DuplicateId { id })?;
        }
        Ok(out)
    }

    /// Adds a value; the error is the id, if it is present already.
    fn add(&mut self, id: String, value: T) -> Result<(), String> {
        if self.index.contains_key(&id) {
            return Err(id);
        }
        self.index.insert(id.clone(), self.entries.len());
        self.entries.push((id, value));
        Ok(())
    }

    /// The value of a question.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.index.get(id).and_then(|&at| self.entries.get(at)).map(|(_, value)| value)
    }

    /// All ids and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(id, value)| (id.as_str(), value))
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T: DeserializeOwned> ById<T> {
    /// Reads a JSON file.
    ///
    /// # Errors
    /// A file that cannot be read, JSON of another shape (with line and column), an id that occurs twice.
    pub fn open(path: &Path) -> Result<Self, SquadError> {
        let file =
            fn_core::files::open(path).map_err(|source| SquadError::Io { path: path.to_owned(), source })?;
        serde_json::from_reader(BufReader::new(file)).map_err(|e| json_error(path, e, SHAPE))
    }

    /// Parses JSON text; `path` is its file, for messages.
    ///
    /// # Errors
    /// As [`ById::open`].
    pub fn from_json(text: &str, path: &Path) -> Result<Self, SquadError> {
        serde_json::from_str(text).map_err(|e| json_error(path, e, SHAPE))
    }
}

const SHAPE: &str = r#"one object {"question id": value, ...} with every id once"#;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ById<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = ById<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value for each question id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ById<T>, A::Error> {
        let mut out = ById { entries: Vec::new(), index: HashMap::new() };
        while let Some((id, value)) = map.next_entry()? {
            out.add(id, value).map_err(|id| A::Error::custom(format_args!("id `{id}` occurs twice")))?;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(text: &str) -> Result<ById<T>, SquadError> {
        ById::from_json(text, Path::new("predictions.json"))
    }

    #[test]
    fn the_order_of_the_file_is_kept() {
        let read: ById<f64> = read(r#"{"z": 1, "a": -2.5, "m": 0}"#).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), [("z", &1.0), ("a", &-2.5), ("m", &0.0)]);
        assert_eq!((read.get("a"), read.get("b"), read.len()), (Some(&-2.5), None, 3));
        assert!(!read.is_empty());
    }

    #[test]
    fn an_id_that_occurs_twice_is_an_error_with_its_line() {
        let text = read::<String>("{\"a\": \"x\",\n\"a\": \"y\"}").unwrap_err().to_string();
        assert!(text.contains("predictions.json: line 2") && text.contains("`a` occurs twice"), "{text}");
        let pairs = [("a".to_owned(), 1.0), ("a".to_owned(), 1.0)];
        assert!(matches!(ById::new(pairs), Err(SquadError::DuplicateId { id }) if id == "a"));
    }

    #[test]
    fn a_value_of_another_type_is_an_error_with_its_place() {
        let text = read::<String>("{\"a\": \"x\",\n \"b\": 3}").unwrap_err().to_string();
        assert!(text.contains("line 2, column 7") && text.contains("expected a string"), "{text}");
        assert_eq!(text.matches("line 2").count(), 1, "{text}");
        for broken in ["[]", "{\"a\": NaN}", "{", "", "{\"a\": \"x\"} {}"] {
            assert!(matches!(read::<f64>(broken), Err(SquadError::Json { .. })), "{broken}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let text = ById::<String>::open(Path::new("no-such.json")).unwrap_err().to_string();
        assert!(text.contains("no-such.json"), "{text}");
    }
}
