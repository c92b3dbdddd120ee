//! Helpers of several commands: signals, tokenizers, lexicons, sources.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use fn_core::lexicon::Lexicon;
use fn_data::source::SourceOptions;
use fn_data::tokenise::TextTokenizer;
use fn_train::collective::{self, Collective, Launch};
use fn_train::stop::Stop;

use crate::args::{TextArgs, WriteArgs};
use crate::error::{CliError, Outcome};
use crate::term;

/// From now on SIGINT and SIGTERM only set a flag, which long loops must poll.
///
/// # Errors
/// The handlers cannot be installed.
pub fn interruptible() -> Result<Stop, CliError> {
    let stop = Stop::on_signals().map_err(CliError::failed_from)?;
    let _ = STOP.set(stop.clone());
    Ok(stop)
}

/// The stop flag of this process; it holds the number of the signal for the exit code.
static STOP: OnceLock<Stop> = OnceLock::new();

/// Path of this program, to start child processes.
pub fn program() -> PathBuf {
    // The path of the running program; if the system does not provide it, the one on the command line.
    let typed = || std::env::args_os().next().map(PathBuf::from);
    std::env::current_exe().ok().or_else(typed).unwrap_or_else(|| "fnlm".into())
}

/// Runs a command as one of the ranks that a launcher started, or alone. `limit` is for how many seconds a rank waits for another one.
///
/// # Errors
/// Those of `body`, which end all ranks: the others wait for this one; ranks that MPI does not connect.
pub fn in_ranks(
    limit: u64,
    verbose: bool,
    body: impl FnOnce(Option<Launch>, &Rc<dyn Collective>) -> Result<Outcome, CliError>,
) -> Result<Outcome, CliError> {
    let launch = collective::launch();
    let ranks = collective::join(launch, Duration::from_secs(limit))?;
    let ended = body(launch, &ranks);
    if let (Err(error), Some(launch)) = (&ended, launch) {
        term::print_error(error, verbose);
        term::note(false, &format!("rank {} of {} ends the job", launch.rank, launch.world));
        ranks.abort(error.code());
    }
    ended
}

/// The signal that stopped this process; SIGINT if there was none.
pub fn signal() -> i32 {
    STOP.get().and_then(Stop::signal).unwrap_or(libc::SIGINT)
}

/// The error of a command that was stopped by a signal before it had anything to save.
pub fn interrupted(stop: &Stop) -> CliError {
    CliError::Interrupted(stop.signal().unwrap_or(libc::SIGINT))
}

/// An error of reading input, unless a signal was the reason.
pub fn input_error(stop: &Stop, error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    if stop.requested() { interrupted(stop) } else { CliError::input_from(error) }
}

/// An error of the library, unless a signal was the reason.
pub fn stopped_or(stop: &Stop, error: impl Into<CliError>) -> CliError {
    if stop.requested() { interrupted(stop) } else { error.into() }
}

/// How text is read with these options.
pub fn source_options(reading: &TextArgs, stop: &Stop) -> SourceOptions {
    SourceOptions {
        json_field: reading.json_field.clone(),
        parquet_column: reading.parquet_column.clone(),
        on_bad_line: reading.on_bad_line,
        stop: stop.flag(),
    }
}

/// Checks that an output file does not exist, or that an output folder is empty, before any work, and keeps other processes from it; the same
/// rule for all commands.
///
/// # Errors
/// The file exists, or the folder is not empty, and there is no `--force`; another process is writing it (2).
pub fn may_write(option: &str, path: &Path, write: WriteArgs) -> Result<(), CliError> {
    fn_train::lock::hold_output(path)?;
    let empty = || path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if write.force || !path.exists() || empty() {
        return Ok(());
    }
    Err(CliError::usage(format!("{} exists; choose another {option}, or add --force", path.display())))
}

/// Loads a tokenizer.
///
/// # Errors
/// It is missing or cannot be used (3).
pub fn tokenizer(path: &Path) -> Result<TextTokenizer, CliError> {
    TextTokenizer::load(path).map_err(CliError::input_from)
}

/// Loads the tokenizer of a model: the one in its folder, or the one that was `given`, which must belong to the model.
///
/// # Errors
/// It is missing, cannot be used, or is another one (3).
pub fn tokenizer_of(model: &Path, given: Option<&Path>) -> Result<TextTokenizer, CliError> {
    let Some(path) = given else { return tokenizer(model) };
    let loaded = tokenizer(path)?;
    loaded.check_model(path, model).map_err(CliError::input_from)?;
    Ok(loaded)
}

/// Loads a lexicon and checks that it was built for this tokenizer.
///
/// # Errors
/// It is missing, damaged, or for another vocabulary (3).
pub fn lexicon(path: &Path, tokenizer: &TextTokenizer) -> Result<Lexicon, CliError> {
    let lexicon = Lexicon::load(path).map_err(CliError::input_from)?;
    lexicon
        .check_vocabulary(tokenizer.size(), tokenizer.sha256())
        .map_err(|error| CliError::input(format!("{}: {error}", path.display())))?;
    Ok(lexicon)
}
