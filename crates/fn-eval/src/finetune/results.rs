//! What a fine-tuned seed is worth, as a file.

use std::collections::BTreeMap;
use std::path::Path;

use fn_core::files::write_atomic;
use serde::{Deserialize, Serialize};

use super::FinetuneError;
use crate::stats::Summary;
use crate::table::{Table, number};

/// Name of the file in a seed's folder, written last.
pub const RESULT: &str = "result.json";
/// Name of the file with all seeds.
pub const RESULTS: &str = "results.json";

/// One seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// Name of the task.
    pub task: String,
    /// Of head, order and dropout.
    pub seed: u64,
    /// The number that counts: mean over the development sets of their main metrics. None if it does not exist.
    pub main: Option<f64>,
    /// Name of the main metric.
    pub metric: String,
    /// All metrics, by development set.
    pub scores: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Training examples, doubled pairs included.
    pub train_examples: usize,
    /// Mean loss over the last tenth of the steps of the last process.
    pub train_loss: Option<f64>,
    /// Training examples per second of the last process.
    pub examples_per_second: f64,
    /// Seconds of the last process, measuring included.
    pub seconds: f64,
}

impl SeedResult {
    /// Every metric of every development set in words, in percent.
    pub fn figures(&self) -> String {
        let of = |(set, scores): (&String, &BTreeMap<String, Option<f64>>)| {
            let each = scores.iter().map(|(name, value)| format!("{name} {}", figure(name, *value)));
            format!("{set}: {}", each.collect::<Vec<_>>().join(", "))
        };
        self.scores.iter().map(of).collect::<Vec<_>>().join("; ")
    }
}

/// A metric in percent; a threshold as it is.
fn figure(name: &str, value: Option<f64>) -> String {
    if name.contains("threshold") { number(value, 3) } else { number(value.map(|v| 100.0 * v), 2) }
}

/// All seeds of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Name of the task.
    pub task: String,
    /// Name of the main metric.
    pub metric: String,
    /// Seeds in the order in which they were asked for.
    pub seeds: Vec<SeedResult>,
}

impl Results {
    /// Mean, spread, median and best of the main metric over seeds that have one; None without seeds.
    pub fn summary(&self) -> Option<Summary> {
        let values: Vec<f64> = self.seeds.iter().filter_map(|seed| seed.main).collect();
        Summary::of(&values)
    }

    /// Each development set and metric over the seeds that have a value.
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

    /// The best seed.
    pub fn best(&self) -> Option<&SeedResult> {
        let value = |seed: &SeedResult| seed.main.unwrap_or(f64::NEG_INFINITY);
        // The first of equals.
        self.seeds.iter().rev().max_by(|a, b| value(a).total_cmp(&value(b)))
    }
}

/// Headings of [`row`] after the first, which names what the rows are of.
pub(crate) const SPREAD: [&str; 7] = ["metric", "median", "mean", "sd", "best", "worst", "seeds"];

/// Spread over seeds: a row for each metric of each development set.
pub fn table(all: &[Results]) -> Table {
    let mut table = Table::new(std::iter::once("set").chain(SPREAD));
    for (set, metric, summary) in all.iter().flat_map(Results::summaries) {
        table.row(row(&set, &metric, summary.as_ref()));
    }
    table
}

/// A row of spread over seeds, in percent.
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

/// Reads a JSON file of ours; None if it is not there.
///
/// # Errors
/// A file that cannot be read or is no such JSON.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, FinetuneError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(FinetuneError::io(path, "read"))?,
    };
    let damaged = |error: serde_json::Error| FinetuneError::Damaged {
        path: path.to_owned(),
        message: error.to_string(),
    };
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// Writes a JSON file whole or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), FinetuneError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| FinetuneError::Damaged { path: path.to_owned(), message: error.to_string() })?;
    write_atomic(path, format!("{text}\n").as_bytes()).map_err(FinetuneError::io(path, "write"))
}
