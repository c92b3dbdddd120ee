//! `fnlm glue`: fine-tunes on all tasks of GLUE, with one table and the average.

use std::rc::Rc;

use fn_eval::finetune::{Alike, Results, Task, spread};
use fn_eval::glue::table;
use fn_train::collective::Single;

use super::finetune::{self, Fitting};
use super::support;
use crate::args::GlueArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// See [`CliError`]; a run that was stopped by a signal is not an error, but [`Outcome::Stopped`].
pub fn run(args: &GlueArgs) -> Result<Outcome, CliError> {
    let tasks = tasks(args)?;
    let out = args.fit.out.clone().unwrap_or_else(|| finetune::default_out("glue", &args.fit.model));
    let folder = |task: &Task| out.join(finetune::plain(task.name()));
    support::in_ranks(args.fit.rank_timeout, args.fit.common.verbose, |launch, ranks| {
        // The ranks share out tasks and seeds, and each fine-tunes alone.
        let mut fitting = Fitting::open(&args.fit, launch, Rc::new(Single))?;
        fitting.writes = false;
        let settings = tasks.iter().map(|task| fitting.settings(task, &args.data));
        let settings = settings.collect::<Result<Vec<_>, CliError>>()?;
        let folders: Vec<_> = tasks.iter().map(|task| task.folder(&args.data)).collect();
        Alike { folders: &folders, ..fitting.alike(&settings, &out) }.agree(&**ranks)?;
        if ranks.is_first() && ranks.world() > 1 {
            let mut each = tasks.iter().zip(&settings);
            each.try_for_each(|(task, settings)| finetune::claim(settings, &folder(task)))?;
        }
        let one = |task: &Task, seed| fitting.task(task, &args.data, &folder(task), seed..seed + 1);
        if !spread(&**ranks, &tasks, fitting.seeds(), &mut |task, seed| {
            one(task, seed).map(|one| one.is_some())
        })? {
            return Ok(finetune::stopped(&args.fit));
        }
        fitting.writes = ranks.is_first();
        let mut all = Vec::new();
        // The first rank finds the results of all.
        for task in tasks.iter().filter(|_| fitting.writes) {
            match fitting.task(task, &args.data, &folder(task), fitting.seeds())? {
                Some(results) => all.push(results),
                None => return Ok(finetune::stopped(&args.fit)),
            }
        }
        if fitting.writes {
            print(args, &all)?;
        }
        Ok(Outcome::Done)
    })
}

/// The tasks of `--tasks`, or those with a training and a development set.
fn tasks(args: &GlueArgs) -> Result<Vec<Task>, CliError> {
    if !args.tasks.is_empty() {
        let mut tasks = Vec::new();
        for name in &args.tasks {
            match Task::open(name)? {
                Task::Own { .. } => {
                    return Err(CliError::usage(format!(
                        "--tasks: `{name}` is not a task of GLUE; for tasks of your own use `fnlm finetune --task {name}`"
                    )));
                }
                task if tasks.contains(&task) => {}
                task => tasks.push(task),
            }
        }
        return Ok(tasks);
    }
    let (tasks, absent) = Task::in_folder(&args.data);
    if tasks.is_empty() {
        return Err(CliError::input(format!(
            "{}: found no task of GLUE, expected folders such as CoLA/ and RTE/ with train.tsv and dev.tsv; check --data",
            args.data.display()
        )));
    }
    if !absent.is_empty() {
        term::note(
            false,
            &format!("warning: skipped, no training or development set: {}", absent.join(", ")),
        );
    }
    Ok(tasks)
}

fn print(args: &GlueArgs, all: &[Results]) -> Result<(), CliError> {
    if args.fit.format.json {
        return finetune::print(&args.fit.format, all);
    }
    let table = table(all).map_err(CliError::input_from)?;
    term::out(&if args.fit.format.markdown { table.to_markdown() } else { table.to_text() })
}
