//! `fnlm tokenizer train`: trains a vocabulary.

use std::time::Instant;

use fn_data::source::Sources;
use fn_data::wordpiece::{TrainedWordPiece, WordPieceOptions, train_from};

use super::support;
use crate::args::{TokenizerCommand, TokenizerTrainArgs};
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// Text that cannot be read (3), a folder that cannot be written (1, 5), a signal (128+n).
pub fn run(command: &TokenizerCommand) -> Result<Outcome, CliError> {
    match command {
        TokenizerCommand::Train(args) => train(args),
    }
}

/// Trains a vocabulary and writes it.
fn train(args: &TokenizerTrainArgs) -> Result<Outcome, CliError> {
    if args.size < 100 {
        return Err(CliError::usage(format!(
            "--size is {}; allowed: 100 or more (BERT has 30522): single letters and special tokens need room",
            args.size
        )));
    }
    support::may_write("--out", &args.out, args.write)?;
    let stop = support::interruptible()?;
    let options = support::source_options(&args.reading, &stop);
    let clock = Instant::now();
    let bar = term::bar(args.common.quiet, None, "{spinner} {wide_msg}");
    let wanted = WordPieceOptions {
        size: args.size,
        lowercase: !args.cased,
        limit_alphabet: args.limit_alphabet.map(Into::into),
    };
    let (mut documents, mut bytes) = (0, 0);
    let trained = Sources::open(&args.text, &options).and_then(|sources| {
        train_from(args.kind, sources, &wanted, |document| {
            documents += 1;
            bytes += document.text.len() as u64;
            bar.set_message(format!("{} documents, {}", term::thousands(documents), term::bytes(bytes)));
        })
    });
    bar.finish_and_clear();
    let TrainedWordPiece { tokenizer, coverage } =
        trained.map_err(|error| support::input_error(&stop, error))?;
    if stop.requested() {
        return Err(support::interrupted(&stop));
    }
    tokenizer.save(&args.out).map_err(CliError::failed_from)?;
    if !args.common.quiet {
        term::out(&format!(
            "{}: {} pieces from {} documents, {}, in {}\n{coverage}\n",
            args.out.display(),
            term::thousands(tokenizer.size() as u64),
            term::thousands(documents),
            term::bytes(bytes),
            term::clock(clock.elapsed().as_secs_f64())
        ))?;
        for remark in coverage.remarks(tokenizer.size(), args.size) {
            term::note(false, &remark);
        }
    }
    Ok(Outcome::Done)
}
