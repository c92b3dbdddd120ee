//! `fnlm probe olmpics`: zero-shot multiple-choice questions (oLMpics).

use fn_eval::table::{Table, percent};
use fn_study::probe::olmpics::{Accuracy, answer, files, read};
use serde_json::{Value, json};

use crate::args::ProbeOlmpicsArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Accuracy of one scorer on one file.
struct Row {
    file: String,
    choices: f64,
    chance: f64,
    scorer: &'static str,
    accuracy: Accuracy,
}

/// Runs it.
///
/// # Errors
/// A model or questions that cannot be read (3), a signal (128 + n).
pub fn run(args: &ProbeOlmpicsArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let prober = super::prober(&args.model, args.tokenizer.as_ref(), &args.device, args.common.quiet)?;
    let mut rows = Vec::new();
    for path in files(&args.data)? {
        let questions = read(&path)?;
        let mean = |of: &dyn Fn(usize) -> f64| {
            questions.iter().map(|q| of(q.choices.len())).sum::<f64>() / questions.len() as f64
        };
        for (scorer, accuracy) in answer(&prober, &questions, &path, &stop)? {
            rows.push(Row {
                file: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                choices: mean(&|n| n as f64),
                chance: mean(&|n| 1.0 / n as f64),
                scorer: scorer.name(),
                accuracy,
            });
        }
    }
    term::out(&print(args, &rows))?;
    Ok(Outcome::Done)
}

fn print(args: &ProbeOlmpicsArgs, rows: &[Row]) -> String {
    if args.format.json {
        let row = |row: &Row| {
            let (low, high) = row.accuracy.interval();
            json!({"task": row.file, "questions": row.accuracy.questions, "choices": row.choices, "chance": row.chance,
                   "scorer": row.scorer, "accuracy": row.accuracy.share(), "low": low, "high": high})
        };
        return format!("{:#}\n", Value::Array(rows.iter().map(row).collect()));
    }
    let mut table =
        Table::new(["task", "questions", "choices", "chance", "scorer", "accuracy", "95 % interval"]);
    for row in rows {
        let (low, high) = row.accuracy.interval();
        table.row([
            row.file.clone(),
            row.accuracy.questions.to_string(),
            format!("{:.1}", row.choices),
            percent(Some(row.chance)),
            row.scorer.to_owned(),
            percent(Some(row.accuracy.share())),
            format!("{} to {}", percent(Some(low)), percent(Some(high))),
        ]);
    }
    if args.format.markdown { table.to_markdown() } else { table.to_text() }
}
