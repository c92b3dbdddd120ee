//! `fnlm data prepare | inspect | speed`.

mod speed;

use fn_core::corrupt::Corruptor;
use fn_data::shard::Progress;
use fn_study::reading;
use fn_train::config::RunConfig;
use fn_train::preview::{described, first_rows};
use fn_train::texts;
use indicatif::ProgressBar;

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

/// Seconds between two lines where there is no terminal.
const LINE_EVERY: f64 = 10.0;

/// Shows the progress of preparing: a bar on a terminal, a line now and then elsewhere.
pub struct PrepareBar {
    /// Created at the first report: data that was prepared before needs no bar.
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: f64,
}

impl PrepareBar {
    /// A bar that is shown unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { bar: None, quiet, last_line: 0.0 }
    }

    /// Shows the progress.
    pub fn show(&mut self, progress: &Progress) {
        if self.quiet || !term::interactive() {
            if progress.seconds - self.last_line >= LINE_EVERY {
                self.last_line = progress.seconds;
                term::note(self.quiet, &format!("preparing text: {}", reading::progress_line(progress)));
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            term::bar(false, Some(0), "preparing text [{bar:10}] {percent} %  {eta} left  {wide_msg}")
        });
        bar.set_length(progress.total_bytes.unwrap_or(0));
        bar.set_position(progress.bytes_read);
        bar.set_message(reading::progress_line(progress));
        if progress.total_bytes.is_some_and(|total| progress.bytes_read >= total) {
            self.clear();
        }
    }
}

impl PrepareBar {
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for PrepareBar {
    fn drop(&mut self) {
        self.clear();
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
            let mut bar = PrepareBar::new(quiet);
            let mut show = |progress: &Progress| bar.show(progress);
            let prepared = text.prepare_together(&**ranks, run, &tokenizer, &mut show, &stop.flag());
            let prepared = prepared.map_err(|error| support::stopped_or(&stop, error))?;
            drop(bar);
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
