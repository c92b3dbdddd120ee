//! `fnlm probe substitution`: which words could stand here instead?

use fn_eval::table::{Table, number, percent};
use fn_study::probe::Scorer;
use fn_study::probe::substitution::{self, Figures};
use serde_json::{Map, json};

use crate::args::ProbeSubstitutionArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Runs it.
///
/// # Errors
/// A model or items that cannot be read, no item that can be scored (3); a signal (128+n).
pub fn run(args: &ProbeSubstitutionArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let items = substitution::read(&args.data)?;
    let prober = super::prober(&args.model, args.tokenizer.as_ref(), &args.device, args.common.quiet)?;
    let found = substitution::order(&prober, &items, &args.data, &stop)?;
    if found.items == 0 {
        return Err(CliError::input(format!(
            "{}: all {} items have a candidate that is not one piece of the vocabulary; name \"candidates\" that are",
            args.data.display(),
            found.left_out
        )));
    }
    let format = &args.format;
    if format.json {
        let score = |(scorer, f): &(Scorer, Figures)| {
            (
                scorer.name().to_owned(),
                json!({"gap": f.gap, "gap_standard_error": f.gap_error, "p_at_1": f.first}),
            )
        };
        let value = json!({
            "items": found.items, "left_out": found.left_out, "candidates": found.candidates,
            "scores": found.scores.iter().map(score).collect::<Map<_, _>>(),
        });
        term::out(&format!("{value:#}\n"))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["scorer", "items", "left out", "candidates", "GAP", "standard error", "P@1"]);
    for (scorer, figures) in &found.scores {
        table.row([
            scorer.name().to_owned(),
            found.items.to_string(),
            found.left_out.to_string(),
            number(Some(found.candidates), 1),
            number(Some(100.0 * figures.gap), 1),
            number(Some(100.0 * figures.gap_error), 1),
            percent(Some(figures.first)),
        ]);
    }
    term::out(&if format.markdown { table.to_markdown() } else { table.to_text() })?;
    Ok(Outcome::Done)
}
