//! Runs side by side: their last figures in one table.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fn_eval::table::{Table, number, percent, thousands};

use crate::RecordError;
use crate::runs::RunRecord;

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share, in percent.
    Percent,
    /// As it is.
    Plain,
    /// Seconds, in milliseconds.
    Milliseconds,
    /// A whole number with commas.
    Thousands,
}

/// The usual columns: series, heading, unit. A column that no run has is left out.
const COLUMNS: &[(&str, &str, Unit)] = &[
    ("eval.masked_loss", "masked loss", Unit::Plain),
    ("eval.masked_accuracy", "masked accuracy", Unit::Percent),
    ("eval.wrong_share", "wrong", Unit::Percent),
    ("eval.false_negative_share", "of them false neg.", Unit::Percent),
    ("eval.accepted_accuracy", "right or excused", Unit::Percent),
    ("eval.detector_auc", "detector AUC", Unit::Plain),
    ("eval.replaced_share", "replaced", Unit::Percent),
    ("eval.replaced_false_negative_share", "of them false neg.", Unit::Percent),
    ("eval.embedding_anisotropy", "anisotropy", Unit::Plain),
    ("time.seconds_per_step", "ms/step", Unit::Milliseconds),
    ("time.tokens_per_second", "tokens/s", Unit::Thousands),
];

/// A figure of every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the series in the records.
    pub series: String,
    /// Above the column.
    pub heading: String,
    /// How it is written.
    pub unit: Unit,
}

impl Column {
    fn new(series: &str, heading: &str, unit: Unit) -> Self {
        Self { series: series.to_owned(), heading: heading.to_owned(), unit }
    }

    /// Above a picture: "of them ..." says nothing without the column before it.
    pub fn title(&self) -> &str {
        match self.series.as_str() {
            "eval.false_negative_share" => "false negatives, share of the wrong predictions",
            "eval.replaced_false_negative_share" => "false negatives, share of the replaced tokens",
            series if self.heading.is_empty() => series,
            _ => &self.heading,
        }
    }
}

/// Runs of the same folder name get the path that was typed.
pub fn name_apart(runs: &mut [RunRecord], paths: &[&PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(paths) {
        if names.iter().filter(|&name| *name == run.name).count() > 1 {
            run.name = path.display().to_string();
        }
    }
}

/// The columns that were asked for by their series, or else the usual ones that some run has.
///
/// # Errors
/// [`RecordError::NoValues`]: no run has a series that was asked for.
pub fn columns(runs: &[RunRecord], asked: &[String]) -> Result<Vec<Column>, RecordError> {
    let has = |series: &str| runs.iter().any(|run| run.series.contains_key(series));
    if asked.is_empty() {
        let known = COLUMNS.iter().filter(|(series, ..)| has(series));
        return Ok(known.map(|&(series, heading, unit)| Column::new(series, heading, unit)).collect());
    }
    let known: BTreeSet<&str> = runs.iter().flat_map(|run| run.series.keys().map(String::as_str)).collect();
    asked
        .iter()
        .map(|series| {
            if !has(series) {
                let known: Vec<&str> = known.iter().copied().collect();
                return Err(RecordError::NoValues { metric: series.clone(), known: known.join(", ") });
            }
            let usual = COLUMNS.iter().find(|(name, ..)| name == series);
            Ok(match usual {
                Some(&(series, heading, unit)) => Column::new(series, heading, unit),
                None => Column::new(series, series, Unit::Plain),
            })
        })
        .collect()
}

/// The last value; of a time, the median over the run.
fn value(run: &RunRecord, series: &str) -> Option<f64> {
    if series.starts_with("time.") { run.median(series) } else { run.last(series) }
}

/// One row for each run.
pub fn table(runs: &[RunRecord], columns: &[Column]) -> Table {
    let headings = columns.iter().map(|column| column.heading.as_str());
    let mut table = Table::new(["run", "step"].into_iter().chain(headings));
    for run in runs {
        let mut cells = vec![run.name.clone(), thousands(run.last_step())];
        cells.extend(columns.iter().map(|column| cell(value(run, &column.series), column.unit)));
        table.row(cells);
    }
    table
}

fn cell(value: Option<f64>, unit: Unit) -> String {
    match unit {
        Unit::Percent => percent(value),
        Unit::Plain => number(value, 3),
        Unit::Milliseconds => number(value.map(|v| 1e3 * v), 0),
        Unit::Thousands => match value {
            Some(v) if v.is_finite() && v >= 0.0 => thousands(v as u64),
            _ => "-".to_owned(),
        },
    }
}

/// The same for programs.
pub fn json(runs: &[RunRecord], columns: &[Column]) -> serde_json::Value {
    let figures = |run: &RunRecord| -> serde_json::Map<String, serde_json::Value> {
        columns.iter().map(|column| (column.series.clone(), value(run, &column.series).into())).collect()
    };
    runs.iter()
        .map(|run| serde_json::json!({"run": run.name, "step": run.last_step(), "figures": figures(run)}))
        .collect()
}
