//! `fnlm data prepare | inspect | speed`.

mod speed;

use fn_core::corrupt::Corruptor;
use fn_data::shard::Progress;
use fn_study::reading;
use fn_train::config::RunConfig;
use fn_train::preview::{described, first_rows};
use fn_train::texts;

use super::support;
use crate::args::{DataCommand, DataInspectArgs, DataPrepareArgs};
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs one of them.
///
/// # Errors
/// Text or tokenizers that cannot be read (3), a full disk (5), a signal (128+n).
pub fn run(command: &DataCommand) -> Result<Outcome, CliError> {
    match command {
        DataCommand::Prepare(args) => run_prepare(args),
        DataCommand::Inspect(args) => inspect(args),
        DataCommand::Speed(args) => speed::run(args),
    }
}

/// Shows the progress of preparing, unless `quiet`.
pub fn preparing(quiet: bool) -> impl FnMut(&Progress) {
    let mut shown = term::Shown::default();
    move |now| {
        let bytes = (now.bytes_read, now.total_bytes.unwrap_or(0));
        if !quiet {
            shown.show("preparing text", bytes, now.seconds, &reading::progress_line(now));
        }
    }
}

fn run_prepare(args: &DataPrepareArgs) -> Result<Outcome, CliError> {
    let resolved = args.config.resolve()?;
    resolved.require_text()?;
    let run: &RunConfig = resolved;
    support::in_ranks(run.train.rank_timeout, args.common.verbose, |_, ranks| {
        let stop = support::interruptible()?;
        let tokenizer = support::tokenizer(&run.data.tokenizer)?;
        let quiet = args.common.quiet || !ranks.is_first();
        for (name, text) in texts::all(run) {
            let mut show = preparing(quiet);
            let prepared = text.prepare_together(&**ranks, run, &tokenizer, &mut show, &stop.flag());
            let prepared = prepared.map_err(|error| support::stopped_or(&stop, error))?;
            drop(show);
            if let Some(prepared) = prepared {
                term::out(&reading::prepared_line(&name, &prepared))?;
                reading::notices(&prepared).iter().for_each(|notice| term::note(quiet, notice));
            }
        }
        Ok(Outcome::Done)
    })
}

fn inspect(args: &DataInspectArgs) -> Result<Outcome, CliError> {
    let resolved = args.config.resolve()?;
    resolved.require_text()?;
    let run: &RunConfig = resolved;
    let stop = support::interruptible()?;
    let tokenizer = support::tokenizer(&run.data.tokenizer)?;
    let facts = tokenizer.facts();
    let corruptor = Corruptor::new(run.corruption.clone(), facts.clone())
        .map_err(|error| CliError::usage(format!("section `[corruption]`: {error}")))?;
    let rows =
        first_rows(run, &tokenizer, args.count, &stop).map_err(|error| support::input_error(&stop, error))?;
    if rows.is_empty() && args.count > 0 {
        return Err(CliError::input(
            "the text is too short for a single row; lower --length or add text".to_string(),
        ));
    }
    for (number, row) in rows.iter().enumerate() {
        term::out(&described(run, &tokenizer, &corruptor, number, args.step, row))?;
    }
    Ok(Outcome::Done)
}
