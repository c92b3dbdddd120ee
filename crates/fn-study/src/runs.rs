//! Reads `metrics.jsonl` of a run.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::RecordError;

/// All metrics of a run, by name and step.
///
/// Names are those of the file; an evaluation's metrics have the prefix `eval.`, the terms of the loss `terms.`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunRecord {
    /// Name of the run: the name of its folder.
    pub name: String,
    /// `series[name]` = (step, value), in the order of the file.
    pub series: BTreeMap<String, Vec<(u64, f64)>>,
}

impl RunRecord {
    /// Reads `run/metrics.jsonl` (or that file itself).
    ///
    /// # Errors
    /// A file that cannot be read; a line that is not a JSON object with a `step`.
    pub fn open(run: &Path) -> Result<Self, RecordError> {
        let path = if run.is_dir() { run.join("metrics.jsonl") } else { run.to_path_buf() };
        let io = |source| RecordError::Io { path: path.clone(), source };
        let mut record = Self { name: name_of(run), ..Self::default() };
        for (index, text) in BufReader::new(fn_core::files::open(&path).map_err(io)?).lines().enumerate() {
            let broken =
                |message: String| RecordError::Record { path: path.clone(), line: index + 1, message };
            let text = text.map_err(|error| match error.kind() {
                ErrorKind::InvalidData => broken(error.to_string()),
                _ => io(error),
            })?;
            record.add(&text).map_err(broken)?;
        }
        Ok(record)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let object = value.as_object().ok_or("not an object")?;
        let step = object.get("step").and_then(Value::as_u64).ok_or("`step` is missing")?;
        let evaluation = object.get("kind").and_then(Value::as_str) == Some("evaluation");
        let prefix = if evaluation { "eval." } else { "" };
        for (name, value) in object {
            if name != "step" {
                self.flatten(step, &format!("{prefix}{name}"), value);
            }
        }
        Ok(())
    }

    fn flatten(&mut self, step: u64, name: &str, value: &Value) {
        match value {
            Value::Object(inner) => {
                for (key, value) in inner {
                    let name = if name == "eval.metrics" { "eval" } else { name };
                    self.flatten(step, &format!("{name}.{key}"), value);
                }
            }
            // NaN and infinity are written as strings, because JSON has no numbers for them.
            Value::String(text) => {
                if let Ok(number) = text.parse::<f64>() {
                    self.series.entry(name.to_owned()).or_default().push((step, number));
                }
            }
            other => {
                if let Some(number) = other.as_f64() {
                    self.series.entry(name.to_owned()).or_default().push((step, number));
                }
            }
        }
    }

    /// The last value of a series.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.series.get(name).and_then(|s| s.last()).map(|&(_, v)| v)
    }

    /// The last step with any metric; 0 for an empty record.
    pub fn last_step(&self) -> u64 {
        self.series.values().filter_map(|s| s.last()).map(|&(step, _)| step).max().unwrap_or(0)
    }

    /// The median of a series: robust against single slow steps.
    pub fn median(&self, name: &str) -> Option<f64> {
        let mut values: Vec<f64> =
            self.series.get(name)?.iter().map(|&(_, v)| v).filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// Note about runs that could not be read; None if there are none.
pub fn left_out(runs: usize) -> Option<String> {
    match runs {
        0 => None,
        1 => Some("1 run was skipped, because its files are damaged".to_owned()),
        n => Some(format!("{n} runs were skipped, because their files are damaged")),
    }
}

fn name_of(run: &Path) -> String {
    let folder: PathBuf = if run.is_dir() {
        run.to_path_buf()
    } else {
        run.parent().map(Path::to_path_buf).unwrap_or_default()
    };
    folder.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RunRecord, RecordError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, text).unwrap();
        RunRecord::open(&path)
    }

    #[test]
    fn steps_terms_and_evaluations_become_series() {
        let record = read(concat!(
            r#"{"kind":"step","step":1,"loss":2.5,"terms":{"masked_lm":2.0}}"#,
            "\n",
            r#"{"kind":"step","step":2,"loss":"NaN"}"#,
            "\n",
            r#"{"kind":"evaluation","step":2,"metrics":{"masked_accuracy":0.5}}"#,
            "\n"
        ))
        .unwrap();
        assert_eq!(record.series["terms.masked_lm"], [(1, 2.0)]);
        assert!(record.last("loss").unwrap().is_nan());
        assert_eq!(record.median("loss"), Some(2.5));
        assert_eq!(record.last_step(), 2);
        assert_eq!(record.last("eval.masked_accuracy"), Some(0.5));
    }

    #[test]
    fn a_broken_line_is_an_error_with_its_number() {
        let error = read("{\"step\":1}\n{\"step\":").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("metrics.jsonl"), b"{\"step\":1}\n\xff\n").unwrap();
        let error = RunRecord::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(read("{\"loss\":1}").unwrap_err().to_string().contains("step"));
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_path() {
        assert!(RunRecord::open(Path::new("no-such-run")).unwrap_err().to_string().contains("no-such-run"));
    }
}
