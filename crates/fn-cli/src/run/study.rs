//! `fnlm study`: runs the arms of a study, each run in a separate process, and reports their comparison.

use std::path::PathBuf;

use fn_core::files::write_atomic;
use fn_study::study::{self, Arm, Plan, Ran, Study};
use fn_train::config::did_you_mean;

use super::support;
use crate::args::{StudyCommand, StudyReportArgs, StudyRunArgs};
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// See [`CliError`]; a study that was stopped by a signal is not an error, but [`Outcome::Stopped`].
pub fn run(command: &StudyCommand) -> Result<Outcome, CliError> {
    match command {
        StudyCommand::Run(args) => run_missing(args),
        StudyCommand::Report(args) => report(args),
        StudyCommand::Truth(args) => super::truth::run(args),
        StudyCommand::Dose(args) => super::dose::run(args),
    }
}

fn folder(study: &Study, out: Option<&PathBuf>) -> PathBuf {
    out.cloned().unwrap_or_else(|| format!("study-{}", study.name).into())
}

fn report(args: &StudyReportArgs) -> Result<Outcome, CliError> {
    let study = Study::open(&args.study)?;
    let out = folder(&study, args.out.as_ref());
    let study::Collected { runs, damaged } = study::collect(&study, &out)?;
    for error in &damaged {
        term::note(false, &format!("warning: {error}; the run is skipped"));
    }
    let mut table = study::table(&study, &runs, damaged.len());
    table.warning = study.made_otherwise(&out, &runs);
    if let Some(warning) = &table.warning {
        term::note(false, &format!("warning: {warning}"));
    }
    if let Some(page) = &args.html {
        support::may_write("--html", page, args.write)?;
    }
    let page = args.html.clone().unwrap_or_else(|| out.join("report.html"));
    write_atomic(&page, study::page(&study, &runs, &table).as_bytes())
        .map_err(|error| CliError::io("write", &page, error))?;
    term::out(&if args.json { format!("{:#}\n", table.json(&study)) } else { table.to_markdown(&study) })?;
    term::note(
        args.common.quiet,
        &format!("{} of {} runs; page: {}", runs.len(), study.runs().len(), page.display()),
    );
    Ok(Outcome::Done)
}

fn run_missing(args: &StudyRunArgs) -> Result<Outcome, CliError> {
    let study = Study::open(&args.study)?;
    let stop = support::interruptible()?;
    let (out, program) = (folder(&study, args.out.as_ref()), support::program());
    let plan = Plan {
        study: &study,
        out: &out,
        set: &args.set,
        program: &program,
        quiet: args.common.quiet,
        stop: &stop,
    };
    let chosen = |arm: &&Arm| args.arms.is_empty() || args.arms.contains(&arm.name);
    study.check(&out, &study.arms.iter().filter(chosen).collect::<Vec<_>>(), &args.set)?;
    if let Some(name) = args.arms.iter().find(|name| study.arms.iter().all(|arm| arm.name != **name)) {
        let known: Vec<&str> = study.arms.iter().map(|arm| arm.name.as_str()).collect();
        let (meant, known) = (did_you_mean(name, &known), known.join(", "));
        return Err(CliError::usage(format!("--arm {name}: no such arm{meant}; known: {known}")));
    }
    let mut runs = study.runs();
    runs.retain(|(arm, _)| chosen(arm));
    let mine: Vec<(&Arm, u64)> = match part(args.part.as_deref())? {
        Some((i, n)) => {
            runs.into_iter().enumerate().filter(|(at, _)| at % n == i).map(|(_, run)| run).collect()
        }
        None => runs,
    };
    if args.dry_run {
        return print(&plan, &mine, args.json);
    }
    let mut failed = Vec::new();
    let (mut busy, mut full) = (0, false);
    for (at, (arm, seed)) in mine.iter().enumerate() {
        term::note(args.common.quiet, &format!("[{}/{}] {} seed {seed}", at + 1, mine.len(), arm.name));
        let ran = plan.run(arm, *seed)?;
        full |= matches!(ran, Ran::Full(_));
        match ran {
            Ran::Done => {}
            Ran::Busy => {
                busy += 1;
                term::note(args.common.quiet, "skipped: another process is running it");
            }
            Ran::Failed(message) | Ran::Full(message) => {
                term::note(false, &format!("warning: {message}"));
                failed.push(message);
            }
            Ran::Stopped => {
                term::note(args.common.quiet, "stopped; repeat the command to resume");
                return Ok(Outcome::Stopped { saved: true });
            }
        }
    }
    if !failed.is_empty() {
        let left = if busy > 0 { format!(", {busy} run in another process") } else { String::new() };
        let (count, of, each) = (failed.len(), mine.len(), failed.join("\n  "));
        let message = format!(
            "{count} of {of} runs failed{left}, the others are done:\n  {each}\nRepeat the command to retry them"
        );
        return Err(if full { CliError::Resources(message, None) } else { CliError::failed(message) });
    }
    let done = match (busy, mine.len() == study.runs().len()) {
        (0, true) => "all runs are done".to_owned(),
        (0, false) => format!("these {} of {} runs are done", mine.len(), study.runs().len()),
        _ => format!("{busy} of {} runs run in another process, the others are done", mine.len()),
    };
    term::note(args.common.quiet, &format!("{done}; fnlm study report {}", args.study.display()));
    Ok(Outcome::Done)
}

/// `2/3` as (1, 3).
fn part(text: Option<&str>) -> Result<Option<(usize, usize)>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((i, n)) if (1..=n).contains(&i) => Ok(Some((i - 1, n))),
        _ => Err(CliError::usage(format!("--part {text}: expected i/n with i from 1 to n, e.g. 2/3"))),
    }
}

/// Prints the state of all runs and an estimate of the remaining time.
fn print(plan: &Plan<'_>, mine: &[(&Arm, u64)], json: bool) -> Result<Outcome, CliError> {
    let entries = plan.survey(mine)?;
    if !json {
        term::out(&plan.text(&entries))?;
    }
    let mut tell = |arm: &Arm| term::note(plan.quiet, &format!("{}: a probe of a few steps", arm.name));
    let outlook = plan.estimate(&entries, &mut tell)?;
    if json {
        term::out(&format!("{:#}\n", plan.json(&entries, outlook.as_ref())))?;
    } else if let Some(outlook) = outlook {
        term::out(&outlook.text())?;
    }
    Ok(Outcome::Done)
}
