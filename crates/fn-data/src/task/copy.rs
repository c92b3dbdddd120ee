//! Copies a file of examples with other sentences; all other columns and lines stay byte for byte.

use std::io::Read;

use serde::de::IgnoredAny;

use super::read::MAX_TEXT;
use super::{Example, TaskData, TaskError};
use crate::source::{Counters, compressed};

/// Positions of the sentences of examples in their file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Separator of the columns of a table; None for JSON lines.
    pub(super) delimiter: Option<char>,
    /// Column of the first sentence: index and name.
    pub(super) first: (usize, String),
    pub(super) second: Option<(usize, String)>,
    /// Line number of each example, counted from 1.
    pub(super) lines: Vec<u64>,
}

impl Places {
    /// Whether the file consists of JSON lines; otherwise it is a table.
    pub fn is_json(&self) -> bool {
        self.delimiter.is_none()
    }
}

impl TaskData {
    /// The text of the original file with its sentences replaced by those of `changed`; None for a file that is not text
    /// (Parquet), or if these examples are only a part of the file.
    ///
    /// `changed` are the first examples of the file in order; if there are fewer than in the file, the copy ends after the last
    /// one. Unchanged sentences, other columns, lines that are not examples, and line ends are copied byte for byte. A line
    /// break or delimiter in a new sentence of a table becomes a blank.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn copy_with(&self, changed: &[Example]) -> Result<Option<String>, TaskError> {
        let Some(places) = &self.places else { return Ok(None) };
        let path = &self.report.path;
        let mut text = String::new();
        let mut file = compressed::open(path, &Counters::default())?.take(MAX_TEXT + 1);
        let read = file.read_to_string(&mut text);
        read.map_err(|error| compressed::read_error(path, text.len() as u64, error))?;
        if text.len() as u64 > MAX_TEXT {
            return Err(TaskError::TooLarge { path: path.clone(), what: "bytes", limit: MAX_TEXT });
        }
        let mut out = String::with_capacity(text.len());
        let mut examples = places.lines.iter().zip(self.examples.iter().zip(changed)).peekable();
        let all = changed.len() == places.lines.len();
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            match examples.peek() {
                None if !all => break,
                Some(&(&at, (old, new))) if at == number => {
                    places.line(line, old, new, &mut out);
                    examples.next();
                }
                _ => out.push_str(line),
            }
        }
        Ok(Some(out))
    }
}

impl Places {
    fn line(&self, line: &str, old: &Example, new: &Example, out: &mut String) {
        let first = (old.first != new.first).then_some((&self.first, Some(&new.first)));
        let second = self.second.as_ref().filter(|_| old.second != new.second);
        let second = second.map(|place| (place, new.second.as_ref()));
        let changes: Vec<(&(usize, String), &str)> = [first, second]
            .into_iter()
            .flatten()
            .filter_map(|(place, text)| Some((place, text?.as_str())))
            .collect();
        // The reader does not count blank lines either.
        let (mark, body) = line.strip_prefix('\u{feff}').map_or(("", line), |rest| ("\u{feff}", rest));
        let body = body.trim_end_matches(['\n', '\r']);
        out.push_str(mark);
        match self.delimiter {
            Some(delimiter) => {
                let mut cells: Vec<String> = body.split(delimiter).map(str::to_owned).collect();
                for ((column, _), text) in changes {
                    if let Some(cell) = cells.get_mut(*column) {
                        *cell = text.replace([delimiter, '\t', '\n', '\r'], " ");
                    }
                }
                out.push_str(&cells.join(&delimiter.to_string()));
            }
            None => {
                let mut body = body.to_owned();
                for ((_, name), text) in changes {
                    replace_value(&mut body, name, text);
                }
                out.push_str(&body);
            }
        }
        out.push_str(&line[mark.len() + line[mark.len()..].trim_end_matches(['\n', '\r']).len()..]);
    }
}

/// Replaces the value of a key of a JSON object by a text, or by the list of its words if the value is a list.
fn replace_value(object: &mut String, key: &str, text: &str) {
    let Some(at) = value_of(object, key) else { return };
    let new = if object[at.clone()].starts_with('[') {
        serde_json::to_string(&text.split_whitespace().collect::<Vec<_>>())
    } else {
        serde_json::to_string(text)
    };
    if let Ok(new) = new {
        object.replace_range(at, &new);
    }
}

/// Byte range of the value of a key; of a duplicate key the last one, as in the reader.
fn value_of(object: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let blanks = |at: usize| at + object[at..].len() - object[at..].trim_start().len();
    let mut found = None;
    let mut at = blanks(0);
    // An opening brace before the first key, a comma before the others.
    while matches!(object.as_bytes().get(at)?, b'{' | b',') {
        let name_at = blanks(at + 1);
        let mut names = serde_json::Deserializer::from_str(object.get(name_at..)?).into_iter::<String>();
        let Some(Ok(name)) = names.next() else { break };
        // The colon.
        let value_at = blanks(blanks(name_at + names.byte_offset()) + 1);
        let mut values =
            serde_json::Deserializer::from_str(object.get(value_at..)?).into_iter::<IgnoredAny>();
        let Some(Ok(_)) = values.next() else { break };
        let end = value_at + values.byte_offset();
        if name == key {
            found = Some(value_at..end);
        }
        at = blanks(end);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{GlueTask, glue};

    #[test]
    fn byte_order_mark_line_ends_and_other_columns_are_kept() {
        let text = "\u{feff}src\t1\t\tGood \"one\".\r\n \n\tsrc 2\t0\t*\tBad, one\n\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.tsv");
        for text in [text.replace("\tsrc", "src"), text.replace("\tsrc", "src").trim_end().to_owned()] {
            std::fs::write(&path, &text).unwrap();
            let data = glue::read(GlueTask::Cola, &path).unwrap();
            assert_eq!(data.copy_with(&data.examples).unwrap().as_deref(), Some(text.as_str()));
            let mut changed = data.examples.clone();
            changed[1].first = "a\tb\nc".to_owned();
            let wanted = text.replace("Bad, one", "a b c");
            assert_eq!(data.copy_with(&changed).unwrap(), Some(wanted));
            let first = text.split_inclusive('\n').next();
            assert_eq!(data.copy_with(&data.examples[..1]).unwrap().as_deref(), first);
        }
    }

    #[test]
    fn values_are_found_among_others_of_the_same_name() {
        let object = r#" {"a" : [1, {"b": "x"}], "b":1.50, "c\n": null , "b": "y\"}"}"#;
        let at = |key| value_of(object, key).map(|range| &object[range]);
        assert_eq!(
            (at("a"), at("b"), at("c\n")),
            (Some(r#"[1, {"b": "x"}]"#), Some(r#""y\"}""#), Some("null"))
        );
        assert_eq!(at("x"), None);
        let mut new = object.to_owned();
        replace_value(&mut new, "b", "é\n");
        replace_value(&mut new, "a", "two words");
        assert_eq!(new, r#" {"a" : ["two","words"], "b":1.50, "c\n": null , "b": "é\n"}"#);
    }
}
