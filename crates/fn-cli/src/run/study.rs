//! `fnlm study`: runs the arms of a study, each run in a separate process, and reports their comparison.

use std::path::PathBuf;

use fn_core::files::write_atomic;
use fn_eval::finetune::all_together;
use fn_study::study::{self, AllRan, Arm, Plan, Study};

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
    support::in_ranks(study.rank_timeout, args.common.verbose, |launch, ranks| {
        if launch.is_some() && (args.part.is_some() || args.dry_run) {
            return Err(CliError::usage(
                "--part and --dry-run are for one process; the ranks of a launcher share out the runs themselves",
            ));
        }
        let stop = support::interruptible()?;
        let (out, program) = (folder(&study, args.out.as_ref()), support::program());
        let (set, quiet) = (&args.set[..], args.common.quiet);
        let plan = Plan { study: &study, out: &out, set, program: &program, quiet, stop: &stop };
        let chosen = study.chosen(&args.arms)?;
        study.check(&out, &chosen, set)?;
        plan.agree(&**ranks, &chosen)?;
        let mut runs = study.runs();
        runs.retain(|(arm, _)| chosen.contains(arm));
        let (i, n) = args.part.as_deref().map_or(Ok((ranks.rank(), ranks.world())), study::part)?;
        let mine: Vec<(&Arm, u64)> = runs.into_iter().skip(i).step_by(n).collect();
        if args.dry_run {
            return print(&plan, &mine, args.json);
        }
        let ended = plan.run_all(&mine, &mut |warning, text| term::note(quiet && !warning, text));
        // A rank that ends early, with runs that failed, would end the others.
        all_together(&**ranks, false)?;
        match ended? {
            AllRan::Failed(message) => Err(CliError::failed(message)),
            AllRan::Full(message) => Err(CliError::Resources(message, None)),
            AllRan::Stopped => {
                term::note(quiet, "stopped; repeat the command to resume");
                Ok(Outcome::Stopped { saved: true })
            }
            AllRan::Done(done) => {
                term::note(quiet, &format!("{done}; fnlm study report {}", args.study.display()));
                Ok(Outcome::Done)
            }
        }
    })
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
