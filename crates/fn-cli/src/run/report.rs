//! `fnlm report`: runs side by side.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use fn_eval::table::{Table, number, percent};
use fn_study::runs::{RunRecord, left_out};
use fn_study::{RecordError, curves};

use crate::args::ReportArgs;
use crate::error::{CliError, Outcome};
use crate::term;
use fn_train::rundir;

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Percent,
    Plain,
    Milliseconds,
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

/// Runs it.
///
/// # Errors
/// A run that is not there, none with readable metrics, or a metric that no run has (3); a picture that cannot be written (1, 5).
pub fn run(args: &ReportArgs) -> Result<Outcome, CliError> {
    let (mut runs, mut paths, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for path in &args.runs {
        if path.is_dir() && !path.join(rundir::METRICS).exists() {
            return Err(CliError::input(format!(
                "{} holds no {}; name the folder that `fnlm pretrain --run` was given",
                path.display(),
                rundir::METRICS
            )));
        }
        match RunRecord::open(path) {
            Ok(run) => {
                runs.push(run);
                paths.push(path);
            }
            // What is not there was mistyped.
            Err(RecordError::Io { source, path }) if source.kind() == ErrorKind::NotFound => {
                return Err(CliError::input_from(RecordError::Io { source, path }));
            }
            Err(error) => damaged.push(error),
        }
    }
    if runs.is_empty()
        && let Some(error) = damaged.pop()
    {
        return Err(CliError::input_from(error));
    }
    for error in &damaged {
        term::note(false, &format!("warning: {error}; the run is left out"));
    }
    name_apart(&mut runs, &paths);
    let columns = columns(&runs, &args.metric).map_err(CliError::input_from)?;
    if let Some(folder) = &args.curves {
        std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
        for (series, heading, _) in &columns {
            let path = folder.join(format!("{}.svg", series.trim_start_matches("eval.")));
            let title = if heading.is_empty() { series } else { title(series, heading) };
            curves::draw(&runs, series, title, &path).map_err(CliError::failed_from)?;
            term::note(args.common.quiet, &format!("drew {}", path.display()));
        }
    }
    let table = || table(&runs, &columns);
    let omission = left_out(damaged.len()).map(|text| format!("\n{text}\n")).unwrap_or_default();
    term::out(&match (args.json, args.markdown) {
        (true, _) => format!("{}\n", json(&runs, &columns)),
        (_, true) => table().to_markdown() + &omission,
        _ => table().to_text() + &omission,
    })?;
    Ok(Outcome::Done)
}

/// "of them ..." says nothing without the column before it.
fn title<'a>(series: &'a str, heading: &'a str) -> &'a str {
    match series {
        "eval.false_negative_share" => "false negatives, share of the wrong predictions",
        "eval.replaced_false_negative_share" => "false negatives, share of the replaced tokens",
        _ => heading,
    }
}

/// Runs of the same folder name get the path that was typed.
fn name_apart(runs: &mut [RunRecord], paths: &[&PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(paths) {
        if names.iter().filter(|&name| *name == run.name).count() > 1 {
            run.name = path.display().to_string();
        }
    }
}

type Column = (String, String, Unit);

fn columns(runs: &[RunRecord], asked: &[String]) -> Result<Vec<Column>, RecordError> {
    let has = |series: &str| runs.iter().any(|run| run.series.contains_key(series));
    if asked.is_empty() {
        let known = COLUMNS.iter().filter(|(series, ..)| has(series));
        return Ok(known.map(|&(s, h, unit)| (s.to_owned(), h.to_owned(), unit)).collect());
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
            Ok(usual.map_or((series.clone(), series.clone(), Unit::Plain), |&(s, h, unit)| {
                (s.to_owned(), h.to_owned(), unit)
            }))
        })
        .collect()
}

/// The last value; of a time, the median over the run.
fn value(run: &RunRecord, series: &str) -> Option<f64> {
    if series.starts_with("time.") { run.median(series) } else { run.last(series) }
}

fn table(runs: &[RunRecord], columns: &[Column]) -> Table {
    let headings = columns.iter().map(|(_, heading, _)| heading.as_str());
    let mut table = Table::new(["run", "step"].into_iter().chain(headings));
    for run in runs {
        let mut cells = vec![run.name.clone(), term::thousands(run.last_step())];
        cells.extend(columns.iter().map(|(series, _, unit)| cell(value(run, series), *unit)));
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
            Some(v) if v.is_finite() && v >= 0.0 => term::thousands(v as u64),
            _ => "-".to_owned(),
        },
    }
}

fn json(runs: &[RunRecord], columns: &[Column]) -> serde_json::Value {
    let figures = |run: &RunRecord| -> serde_json::Map<String, serde_json::Value> {
        columns.iter().map(|(series, ..)| (series.clone(), value(run, series).into())).collect()
    };
    runs.iter()
        .map(|run| serde_json::json!({"run": run.name, "step": run.last_step(), "figures": figures(run)}))
        .collect()
}
