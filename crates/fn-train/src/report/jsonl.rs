//! `metrics.jsonl`: one record per line, written immediately.
//!
//! ```text
//! {"kind":"step","step":20,"loss":9.5,"terms":{..},"counts":{..},"learning_rate":1e-5,..,"time":{..}}
//! {"kind":"evaluation","step":20,"metrics":{"masked_loss":9.4,..}}
//! ```
//! All values except `time` are functions of the configuration. When a run is resumed, records of steps after the checkpoint
//! are removed, so the file of an interrupted run equals that of an uninterrupted one. JSON has no NaN and no infinity: they
//! are written as the strings `"NaN"`, `"inf"` and `"-inf"`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use fn_core::files;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Meter, ReportError, Reporter, StepReport};

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    meter: Meter,
}

/// Name of the file of warnings, beside the metrics.
pub const WARNINGS: &str = "warnings.txt";

impl JsonLines {
    /// Creates the file for a run that starts at step 0; an existing file is emptied.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let _ = std::fs::remove_file(path.with_file_name(WARNINGS)); // those of a start before the first checkpoint
        let mut lines = Self::open(path)?;
        lines.cut(0, true)?;
        Ok(lines)
    }

    /// Opens the file to append to it, and creates it if it is missing. A resumed run must call [`resumed`](Reporter::resumed)
    /// next.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        let file = append(path).map_err(ReportError::io(path, "open the metrics"))?;
        Ok(Self { path: path.to_owned(), file, meter: Meter::default() })
    }

    /// Removes every record after `step`, and an incomplete last line; with `all`, all records.
    fn cut(&mut self, step: u64, all: bool) -> Result<(), ReportError> {
        let old =
            fn_core::files::open(&self.path).map_err(ReportError::io(&self.path, "read the metrics"))?;
        let mut lines = BufReader::new(old);
        let mut wrong = None;
        let replaced = files::write_atomic_with(&self.path, |to| {
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if all || lines.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                if line.last() != Some(&b'\n') {
                    break; // incomplete, because the process was killed while writing it
                }
                match serde_json::from_slice::<Head>(&line) {
                    Ok(head) if head.step <= step => to.write_all(&line)?,
                    Ok(_) => {}
                    Err(error) => {
                        wrong = Some((number, error.to_string()));
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
            }
            Ok(())
        });
        if let Some((line, reason)) = wrong {
            return Err(ReportError::Line { path: self.path.clone(), line, reason });
        }
        replaced.map_err(ReportError::io(&self.path, "rewrite the metrics"))?;
        self.file = append(&self.path).map_err(ReportError::io(&self.path, "open the metrics"))?;
        Ok(())
    }

    fn write(&mut self, record: &Value) -> Result<(), ReportError> {
        let mut line = record.to_string();
        line.push('\n');
        // A single write: if the process is killed or the disk is full, at most the last line is incomplete, and `cut` removes
        // it.
        self.file.write_all(line.as_bytes()).map_err(ReportError::io(&self.path, "append to the metrics"))
    }
}

#[derive(Deserialize)]
struct Head {
    step: u64,
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// A JSON number, or a string for NaN and infinity.
pub(super) fn number(value: f64) -> Value {
    if value.is_nan() {
        Value::from("NaN")
    } else if value.is_infinite() {
        Value::from(if value > 0.0 { "inf" } else { "-inf" })
    } else {
        Value::from(value)
    }
}

fn object(values: &[(String, f64)]) -> Value {
    Value::Object(values.iter().map(|(name, value)| (name.clone(), number(*value))).collect::<Map<_, _>>())
}

impl Reporter for JsonLines {
    /// Warnings are kept apart, in `warnings.txt`: metrics are figures only.
    fn warning(&mut self, text: &str) -> Result<(), ReportError> {
        let path = self.path.with_file_name(WARNINGS);
        let written = append(&path).and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(ReportError::io(&path, "append to the warnings"))
    }

    fn step(&mut self, r: &StepReport) -> Result<(), ReportError> {
        let (tokens_per_second, seconds) = self.meter.read(r);
        self.write(&json!({
            "kind": "step",
            "step": r.step,
            "loss": number(r.loss),
            "terms": object(&r.terms),
            "counts": {
                "rows": number(r.counts.rows),
                "wrong": number(r.counts.wrong),
                "false_negative": number(r.counts.false_negative),
                "shielded": number(r.counts.shielded),
            },
            "learning_rate": number(r.learning_rate),
            "grad_norm": number(r.grad_norm),
            "skipped": r.skipped,
            "tokens": r.tokens,
            "tokens_seen": r.tokens_seen,
            "time": {
                "tokens_per_second": number(tokens_per_second),
                "seconds_per_step": number(seconds),
                "waited": number(r.waited),
            },
        }))
    }

    fn tick(&mut self, _: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.meter.tick(tokens, seconds);
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.write(&json!({ "kind": "evaluation", "step": step, "metrics": object(metrics) }))
    }

    /// Syncs the file, so that after a power failure the records are as complete as the checkpoint.
    fn saved(&mut self, _: u64, _: &Path) -> Result<(), ReportError> {
        self.file.sync_data().map_err(ReportError::io(&self.path, "sync the metrics"))
    }

    fn resumed(&mut self, step: u64, _: &Path) -> Result<(), ReportError> {
        self.cut(step, false)
    }
}
