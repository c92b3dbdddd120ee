//! `fnlm report`: compares runs side by side.

use std::io::ErrorKind;

use fn_core::files::read_to_string;
use fn_study::runs::{RunRecord, left_out};
use fn_study::side_by_side::{self, columns, name_apart};
use fn_study::{RecordError, curves};
use fn_train::report::WARNINGS;
use fn_train::rundir;

use crate::args::ReportArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// A run that does not exist, no run with readable metrics, or a metric that no run has (3); a figure that cannot be written
/// (1, 5).
pub fn run(args: &ReportArgs) -> Result<Outcome, CliError> {
    let (mut runs, mut paths, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for path in &args.runs {
        if path.is_dir() && !path.join(rundir::METRICS).exists() {
            return Err(CliError::input(format!(
                "{} holds no {}; give the directory of `fnlm pretrain --run`",
                path.display(),
                rundir::METRICS
            )));
        }
        match RunRecord::open(path) {
            Ok(run) => {
                runs.push(run);
                paths.push(path);
            }
            // A path that does not exist is probably mistyped, so it is an error.
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
        term::note(false, &format!("warning: {error}; the run is skipped"));
    }
    name_apart(&mut runs, &paths);
    for (run, path) in runs.iter().zip(&paths) {
        let warnings = read_to_string(&path.join(WARNINGS)).unwrap_or_default();
        warnings
            .lines()
            .for_each(|text| term::note(args.common.quiet, &format!("warning: {}: {text}", run.name)));
    }
    let columns = columns(&runs, &args.metric).map_err(CliError::input_from)?;
    if let Some(folder) = &args.curves {
        std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
        for column in &columns {
            let series = &column.series;
            let path = folder.join(format!("{}.svg", series.trim_start_matches("eval.")));
            curves::draw(&runs, series, column.title(), &path).map_err(CliError::failed_from)?;
            term::note(args.common.quiet, &format!("drew {}", path.display()));
        }
    }
    let table = || side_by_side::table(&runs, &columns);
    let omission = left_out(damaged.len()).map(|text| format!("\n{text}\n")).unwrap_or_default();
    term::out(&match (args.json, args.markdown) {
        (true, _) => format!("{}\n", side_by_side::json(&runs, &columns)),
        (_, true) => table().to_markdown() + &omission,
        _ => table().to_text() + &omission,
    })?;
    Ok(Outcome::Done)
}
