//! Compares runs: their last metrics in one table.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fn_eval::table::{Table, number, percent, thousands};

use crate::RecordError;
use crate::runs::RunRecord;

/// How a metric is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A fraction, shown in percent.
    Percent,
    /// The plain value.
    Plain,
    /// Seconds, shown in milliseconds.
    Milliseconds,
    /// A whole number with thousands separators.
    Thousands,
}

/// The default columns: series, heading, unit. Columns without a value in any run are omitted.
const COLUMNS: &[(&str, &str, Unit)] = &[
    ("eval.masked_loss", "masked loss", Unit::Plain),
    ("eval.masked_accuracy", "masked accuracy", Unit::Percent),
    ("eval.wrong_share", "wrong", Unit::Percent),
    ("eval.false_negative_share", "of them false neg.", Unit::Percent),
    ("eval.accepted_accuracy", "right or false neg.", Unit::Percent),
    ("eval.detector_auc", "detector AUC", Unit::Plain),
    ("eval.replaced_share", "replaced", Unit::Percent),
    ("eval.replaced_false_negative_share", "of them false neg.", Unit::Percent),
    ("eval.embedding_anisotropy", "anisotropy", Unit::Plain),
    ("time.seconds_per_step", "ms/step", Unit::Milliseconds),
    ("time.tokens_per_second", "tokens/s", Unit::Thousands),
];

/// A metric, as one column of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the series in the records.
    pub series: String,
    /// Heading of the column.
    pub heading: String,
    /// How the value is formatted.
    pub unit: Unit,
}

impl Column {
    fn new(series: &str, heading: &str, unit: Unit) -> Self {
        Self { series: series.to_owned(), heading: heading.to_owned(), unit }
    }

    /// Title of a figure; unlike the heading it must make sense without the neighbouring column.
    pub fn title(&self) -> &str {
        match self.series.as_str() {
            "eval.false_negative_share" => "false negatives, share of the wrong predictions",
            "eval.replaced_false_negative_share" => "false negatives, share of the replaced tokens",
            series if self.heading.is_empty() => series,
            _ => &self.heading,
        }
    }
}

/// Names runs whose folders have the same name by the path that was typed.
pub fn name_apart(runs: &mut [RunRecord], paths: &[&PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(paths) {
        if names.iter().filter(|&name| *name == run.name).count() > 1 {
            run.name = path.display().to_string();
        }
    }
}

/// The requested columns, or the default ones that at least one run has.
///
/// # Errors
/// [`RecordError::NoValues`]: no run has a requested series.
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

/// The last value; for times, the median over the run.
fn value(run: &RunRecord, series: &str) -> Option<f64> {
    if series.starts_with("time.") { run.median(series) } else { run.last(series) }
}

/// The table, one row per run.
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

/// The same figures as JSON.
pub fn json(runs: &[RunRecord], columns: &[Column]) -> serde_json::Value {
    let figures = |run: &RunRecord| -> serde_json::Map<String, serde_json::Value> {
        columns.iter().map(|column| (column.series.clone(), value(run, &column.series).into())).collect()
    };
    runs.iter()
        .map(|run| serde_json::json!({"run": run.name, "step": run.last_step(), "figures": figures(run)}))
        .collect()
}
