//! `fnlm score`: scores a file of predictions, or compares two.

use fn_eval::finetune::Task;
use fn_eval::robust::is_squad;
use fn_eval::scored::{Compared, figures_json, figures_text, scores_json, scores_text};
use fn_eval::squad::{ById, Dataset, NoAnswer, Version, score_v1, score_v2};

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
        let json = || format!("{:#}\n", scores_json(&scores, records.len()));
        term::out(&if args.json { json() } else { scores_text(&scores, records.len()) })?;
        return Ok(Outcome::Done);
    };
    let others = read(other)?;
    let found = task.compare(&records, &others, args.resamples, SEED).map_err(CliError::input_from)?;
    let compared = Compared {
        task: task.name(),
        metric: &scores.main_name,
        files: [&args.predictions, other],
        examples: records.len(),
        resamples: args.resamples,
        found: &found,
    };
    if args.json {
        term::out(&format!("{:#}\n", compared.json()))?;
        return Ok(Outcome::Done);
    }
    term::out(&compared.text())?;
    if found.undefined > 0 {
        term::note(
            false,
            &format!("warning: a score is undefined in {} resamples; they are left out", found.undefined),
        );
    }
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
    let json = |figures| format!("{:#}\n", figures_json(figures));
    term::out(&if args.json { json(figures) } else { figures_text(figures) })?;
    Ok(Outcome::Done)
}
