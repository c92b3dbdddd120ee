//! `fnlm tokenizer train`.

use std::time::Instant;

use fn_data::source::{SourceOptions, Sources};
use fn_data::tokenise::{TrainOptions, train_wordpiece};
use fn_train::stop::Stop;

use super::support::{data_error, interruptible, text_options};
use crate::args::TokenizerTrainArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Trains a WordPiece vocabulary and writes it.
///
/// # Errors
/// Text that cannot be read (3), a folder that cannot be written (1, 5), a signal (128+n).
pub fn train(args: &TokenizerTrainArgs) -> Result<Outcome, CliError> {
    if args.size < 100 {
        return Err(CliError::usage(format!(
            "--size is {}; allowed: 100 or more (BERT has 30522): single letters and special tokens need room",
            args.size
        )));
    }
    let stop = interruptible()?;
    let options = text_options(&args.reading, &stop);
    let clock = Instant::now();
    let _ = (options, clock, &stop);
    todo_train(args, &stop)
}

fn todo_train(_args: &TokenizerTrainArgs, _stop: &Stop) -> Result<Outcome, CliError> {
    Err(CliError::failed("being written"))
}
