//! `fnlm submit`: the zip that the GLUE server takes.

use std::path::{Path, PathBuf};

use fn_data::task::GlueTask;
use fn_eval::finetune::{Results, Task, results};
use fn_eval::glue::submission::{Options, write};
use fn_eval::predictions;

use crate::args::SubmitArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// Tasks without test predictions, predictions that do not cover their test set (3); a zip that is there (2).
pub fn run(args: &SubmitArgs) -> Result<Outcome, CliError> {
    if args.out.exists() && !args.overwrite {
        return Err(CliError::usage(format!(
            "{} exists; choose another --out, or add --overwrite",
            args.out.display()
        )));
    }
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for from in &args.from {
        folders.extend(task_folders(from)?);
    }
    for folder in folders {
        let path = folder.join(results::RESULTS);
        let Some(all) = results::read::<Results>(&path)? else { continue };
        let Some(best) = all.best() else { continue };
        let Task::Glue(task) = Task::open(&all.task)? else { continue };
        for set in Task::Glue(task).test_sets() {
            let Task::Glue(name) = set else { continue };
            let path = folder.join(format!("seed-{}/test-{}.jsonl", best.seed, set.set_name()));
            if !path.exists() {
                term::note(
                    false,
                    &format!(
                        "warning: {}: no test predictions of {name}; was test data there?",
                        folder.display()
                    ),
                );
                continue;
            }
            if files.iter().any(|(task, _)| *task == name) {
                return Err(CliError::usage(format!(
                    "{name} is in two of the folders; name the one that counts"
                )));
            }
            term::note(args.common.quiet, &format!("{name}: seed {} of {}", best.seed, folder.display()));
            files.push((name, predictions::read(&path).map_err(CliError::input_from)?));
        }
    }
    let options = Options { partial: args.partial, overwrite: args.overwrite };
    let report = write(&args.out, &files, &options).map_err(CliError::input_from)?;
    for warning in &report.warnings {
        term::note(false, &format!("warning: {warning}"));
    }
    let rows: usize = files.iter().map(|(_, records): &(GlueTask, Vec<_>)| records.len()).sum();
    term::note(
        args.common.quiet,
        &format!(
            "{} files with {} predictions in {}",
            files.len(),
            term::thousands(rows as u64),
            args.out.display()
        ),
    );
    Ok(Outcome::Done)
}

/// The folder itself if it holds a task's results, else those of its folders that do.
fn task_folders(from: &Path) -> Result<Vec<PathBuf>, CliError> {
    if from.join(results::RESULTS).exists() {
        return Ok(vec![from.to_owned()]);
    }
    let entries = std::fs::read_dir(from).map_err(|error| CliError::io("read", from, error))?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|path| path.join(results::RESULTS).exists()).collect();
    found.sort();
    if found.is_empty() {
        return Err(CliError::input(format!(
            "{}: found no {}, expected what `fnlm glue` or `fnlm finetune` wrote",
            from.display(),
            results::RESULTS
        )));
    }
    Ok(found)
}
