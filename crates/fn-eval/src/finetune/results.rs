//! Scores of fine-tuned models: one file for each seed and one for all.

use std::collections::BTreeMap;
use std::path::Path;

use fn_core::files::write_atomic;
use serde::{Deserialize, Serialize};

use super::FinetuneError;
use crate::stats::Summary;
use crate::table::{Table, clock, number};

/// Name of the result file in a seed's folder; it is written last, so it marks a finished run.
pub const RESULT: &str = "result.json";
/// Name of the file with the results of all seeds.
pub const RESULTS: &str = "results.json";

/// Result of fine-tuning with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// Name of the task.
    pub task: String,
    /// Seed of the head's initialisation, the order of examples and dropout.
    pub seed: u64,
    /// Main metric, averaged over the development sets. None where it is undefined.
    pub main: Option<f64>,
    /// Name of the main metric.
    pub metric: String,
    /// All metrics, by development set.
    pub scores: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Training examples; pairs that are used in both orders count twice.
    pub train_examples: usize,
    /// Mean training loss over the last tenth of the steps (of those after the last resume).
    pub train_loss: Option<f64>,
    /// Training examples per second since the last resume.
    pub examples_per_second: f64,
    /// Seconds since the last resume, evaluation included.
    pub seconds: f64,
    /// What looks wrong, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl SeedResult {
    /// Loss, speed and time, for the terminal.
    pub fn speed(&self) -> String {
        format!(
            "loss {}, {:.1} examples/s, {}",
            number(self.train_loss, 3),
            self.examples_per_second,
            clock(self.seconds)
        )
    }

    /// All metrics of all development sets as one line of text, in percent.
    pub fn figures(&self) -> String {
        let of = |(set, scores): (&String, &BTreeMap<String, Option<f64>>)| {
            let each = scores.iter().map(|(name, value)| format!("{name} {}", figure(name, *value)));
            format!("{set}: {}", each.collect::<Vec<_>>().join(", "))
        };
        self.scores.iter().map(of).collect::<Vec<_>>().join("; ")
    }
}

/// A metric in percent; a threshold unchanged.
fn figure(name: &str, value: Option<f64>) -> String {
    if name.contains("threshold") { number(value, 3) } else { number(value.map(|v| 100.0 * v), 2) }
}

/// Results of all seeds of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Name of the task.
    pub task: String,
    /// Name of the main metric.
    pub metric: String,
    /// One entry for each seed, in the order of `--seeds`.
    pub seeds: Vec<SeedResult>,
}

impl Results {
    /// Mean, standard deviation, median, best and worst of the main metric over the seeds where it is defined; None without
    /// any.
    pub fn summary(&self) -> Option<Summary> {
        let values: Vec<f64> = self.seeds.iter().filter_map(|seed| seed.main).collect();
        Summary::of(&values)
    }

    /// The same for each metric of each development set: (set, metric, summary).
    pub fn summaries(&self) -> Vec<(String, String, Option<Summary>)> {
        let Some(first) = self.seeds.first() else {
            return Vec::new();
        };
        let of = |set: &String, metric: &String| -> Option<Summary> {
            let value = |seed: &SeedResult| *seed.scores.get(set)?.get(metric)?;
            Summary::of(&self.seeds.iter().filter_map(value).collect::<Vec<f64>>())
        };
        let each = |(set, scores): (&String, &BTreeMap<String, Option<f64>>)| {
            let rows = scores.keys().map(|metric| (set.clone(), metric.clone(), of(set, metric)));
            rows.collect::<Vec<_>>()
        };
        first.scores.iter().flat_map(each).collect()
    }

    /// The seed with the highest main metric.
    pub fn best(&self) -> Option<&SeedResult> {
        let value = |seed: &SeedResult| seed.main.unwrap_or(f64::NEG_INFINITY);
        // Of equal values the first seed.
        self.seeds.iter().rev().max_by(|a, b| value(a).total_cmp(&value(b)))
    }
}

/// Column headings of [`row`] after the first.
pub(crate) const SPREAD: [&str; 7] = ["metric", "median", "mean", "sd", "best", "worst", "seeds"];

/// Table of results over seeds: a row for each metric of each development set.
pub fn table(all: &[Results]) -> Table {
    let mut table = Table::new(std::iter::once("set").chain(SPREAD));
    for (set, metric, summary) in all.iter().flat_map(Results::summaries) {
        table.row(row(&set, &metric, summary.as_ref()));
    }
    table
}

/// A row of the table of results over seeds, in percent.
pub(crate) fn row(set: &str, metric: &str, summary: Option<&Summary>) -> [String; 8] {
    let scale = if metric.contains("threshold") { 1.0 } else { 100.0 };
    let of = |pick: fn(&Summary) -> f64| number(summary.map(|s| scale * pick(s)), 2);
    [
        set.to_owned(),
        metric.to_owned(),
        of(|s| s.median),
        of(|s| s.mean),
        of(|s| s.standard_deviation),
        of(|s| s.best),
        of(|s| s.worst),
        summary.map_or(0, |s| s.count).to_string(),
    ]
}

/// Reads a JSON file that [`write()`] wrote; None if it does not exist.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, FinetuneError> {
    let text = match fn_core::files::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(FinetuneError::io(path, "read"))?,
    };
    let damaged = |error: serde_json::Error| FinetuneError::Damaged {
        path: path.to_owned(),
        message: error.to_string(),
    };
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// Writes a JSON file atomically.
///
/// # Errors
/// A file that cannot be written.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), FinetuneError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| FinetuneError::Damaged { path: path.to_owned(), message: error.to_string() })?;
    write_atomic(path, format!("{text}\n").as_bytes()).map_err(FinetuneError::io(path, "write"))
}
