//! JSON lines: one JSON object per line, with the text in a field.

use std::collections::VecDeque;

use serde_json::Value;

use super::lines::Lines;
use super::{Counters, Document, cut};
use crate::error::DataError;

pub(super) fn documents(
    mut lines: Lines,
    field: &str,
    counters: &Counters,
) -> impl Iterator<Item = Result<Document, DataError>> + Send + use<> {
    let (counters, field) = (counters.clone(), field.to_owned());
    let mut ready = VecDeque::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(document) = ready.pop_front() {
                return Some(Ok(document));
            }
            let line = match lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            if line.trim().is_empty() {
                continue;
            }
            match text_of(&line, &field) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => ready = cut(text, &counters),
                Err(message) => {
                    let (path, line, field) = (lines.path.clone(), lines.number, field.clone());
                    return Some(Err(DataError::Json { path, line, field, message }));
                }
            }
        }
    })
}

/// The text of a line; empty if the field is null, as in a Parquet file.
fn text_of(line: &str, field: &str) -> Result<String, String> {
    let Value::Object(mut object) = serde_json::from_str::<Value>(line).map_err(|e| e.to_string())? else {
        return Err("not an object".to_owned());
    };
    let found = object.remove(field).or_else(|| {
        let (first, rest) = field.split_once('.')?;
        rest.split('.').try_fold(object.remove(first)?, |value, name| match value {
            Value::Object(mut object) => object.remove(name),
            // A field within null is null.
            Value::Null => Some(Value::Null),
            _ => None,
        })
    });
    match found {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(format!("`{field}` is not text")),
        None => {
            let names: Vec<&str> = object.keys().take(8).map(String::as_str).collect();
            Err(format!("no field `{field}`, only {}", names.join(", ")))
        }
    }
}
