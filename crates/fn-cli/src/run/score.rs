//! `fnlm score`: scores a file of predictions, or compares two.

use fn_eval::finetune::{Task, TaskScores};
use fn_eval::robust::is_squad;
use fn_eval::squad::{ById, Dataset, NoAnswer, Version, score_v1, score_v2};
use fn_eval::table::{Table, number};
use serde_json::{Map, Value, json};

use super::predict;
use crate::args::ScoreArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Seed of the bootstrap: the same files give the same interval.
const SEED: u64 = 1;

/// Runs it.
///
/// # Errors
/// Files that cannot be read, or predictions that do not belong to the data (3).
pub fn run(args: &ScoreArgs) -> Result<Outcome, CliError> {
    if is_squad(&args.task) {
        return squad(args);
    }
    let task = Task::open(&args.task)?;
    let data = match (&args.input, &args.data) {
        (Some(file), _) => task.read(file),
        (None, Some(folder)) => task.load(folder, predict::split(args.split)),
        (None, None) => return Err(CliError::usage("give --data DIR or --input FILE")),
    }
    .map_err(CliError::input_from)?;
    data.require_labels().map_err(CliError::input_from)?;
    for warning in data.report.warnings() {
        term::note(false, &format!("warning: {warning}"));
    }
    let read = |path| task.read_predictions(path, &data).map_err(CliError::input_from);
    let records = read(&args.predictions)?;
    let scores = task.score(&records)?;
    let Some(other) = &args.compare else {
        return print(args, &scores, records.len());
    };
    let others = read(other)?;
    let found = task.compare(&records, &others, args.resamples, SEED).map_err(CliError::input_from)?;
    let (examples, resamples, metric) = (records.len(), args.resamples, scores.main_name.as_str());
    if args.json {
        term::out(&format!("{:#}\n", found.json(task.name(), metric, examples, resamples)))?;
        return Ok(Outcome::Done);
    }
    let names = [&args.predictions, other].map(|path| path.display().to_string());
    term::out(&found.text(names, metric, examples, resamples))?;
    if found.undefined > 0 {
        term::note(
            false,
            &format!("warning: a score is undefined in {} resamples; they are left out", found.undefined),
        );
    }
    Ok(Outcome::Done)
}

fn print(args: &ScoreArgs, scores: &TaskScores, examples: usize) -> Result<Outcome, CliError> {
    if args.json {
        let finite = |value: f64| if value.is_finite() { json!(value) } else { Value::Null };
        let mut figures: Map<String, Value> =
            scores.all.iter().map(|(name, value)| (name.clone(), finite(*value))).collect();
        figures.insert("examples".to_owned(), json!(examples));
        term::out(&format!("{:#}\n", Value::Object(figures)))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["metric", "value"]);
    for (name, value) in &scores.all {
        table.row([name.clone(), number(Some(100.0 * value), 2)]);
    }
    table.row(["examples".to_owned(), examples.to_string()]);
    term::out(&table.to_text())?;
    Ok(Outcome::Done)
}

fn squad(args: &ScoreArgs) -> Result<Outcome, CliError> {
    let Some(input) = &args.input else {
        return Err(CliError::usage("SQuAD needs --input with the file of questions"));
    };
    if args.compare.is_some() {
        return Err(CliError::usage("--compare is not supported for SQuAD; score both files"));
    }
    let text = fn_data::task::squad::text(input).map_err(CliError::input_from)?;
    let data = Dataset::from_json(&text, input).map_err(CliError::input_from)?;
    let answers: ById<String> = ById::open(&args.predictions).map_err(CliError::input_from)?;
    let odds: Option<ById<f64>> =
        args.na_prob.as_ref().map(|path| ById::open(path)).transpose().map_err(CliError::input_from)?;
    let report = match data.version() {
        Version::V1 => score_v1(&data, &answers),
        Version::V2 => {
            let no_answer = odds.as_ref().map(|scores| NoAnswer { scores, threshold: args.na_threshold });
            score_v2(&data, &answers, no_answer)
        }
    }
    .map_err(CliError::input_from)?;
    for warning in report.warnings() {
        term::note(false, &format!("warning: {warning}"));
    }
    let figures = report.figures(data.version());
    if args.json {
        let figures: Map<String, Value> =
            figures.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        term::out(&format!("{:#}\n", Value::Object(figures)))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["metric", "value"]);
    for (name, value) in figures {
        table.row([name.to_owned(), number(Some(value), if name.ends_with("total") { 0 } else { 4 })]);
    }
    term::out(&table.to_text())?;
    Ok(Outcome::Done)
}
