//! `fnlm pretrain`: pre-training.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use fn_study::process::{self, Estimate, Record};
use fn_train::TrainError;
use fn_train::collective::{self, Collective, Launch, Meeting, Patience, Single};
use fn_train::config::Runnable;
use fn_train::lock::RunLock;
use fn_train::machine::peak_memory;
use fn_train::report::Reporters;
use fn_train::session::{Session, Summary};
use fn_train::stop::Stop;
use fn_train::texts::drawn_rows;
use fn_train::{card, disk, rundir};

use super::data::preparing;
use super::{doctor, support};
use crate::args::PretrainArgs;
use crate::error::{CliError, Outcome};
use crate::progress::reporters;
use crate::{device, term};

/// Trains or resumes the run in the run directory; as one of several processes if a launcher started several.
///
/// # Errors
/// See [`CliError`]; a run that was stopped by a signal is not an error, but [`Outcome::Stopped`].
pub fn run(args: &PretrainArgs) -> Result<Outcome, CliError> {
    let config = args.config.resolve()?.clone().runnable()?;
    device::check_compiled(&config.train.device.parse()?)?;
    support::in_ranks(config.train.rank_timeout, args.common.verbose, |launch, ranks| {
        run_rank(args, config, launch, ranks)
    })
}

fn run_rank(
    args: &PretrainArgs,
    config: Runnable,
    launch: Option<Launch>,
    ranks: &Rc<dyn Collective>,
) -> Result<Outcome, CliError> {
    collective::check_block(config.train.least_micro_batches(), ranks.world()).map_err(TrainError::from)?;
    config.require_files(|_| false)?;
    if let (Some(folder), true) = (&args.config.layers().from, ranks.is_first()) {
        let goes_on = format!("going on with {}: {}", folder.display(), config.summary());
        term::note(args.common.quiet, &goes_on);
    }
    let stop = support::interruptible()?;
    if args.dry_run {
        if launch.is_some() {
            return Err(CliError::usage("--dry-run measures one process; start it without a launcher"));
        }
        return dry_run(args, config, &stop);
    }
    // Rank 0 chooses the folder, writes to it, and sends its path to the other ranks.
    let first = ranks.is_first().then(|| first(args, &config)).transpose()?;
    let (dir, held) = first.unzip();
    let meeting = Meeting { what: "the run directory", patience: Patience::Endless };
    let dir = collective::tell_path(&**ranks, meeting, dir).map_err(TrainError::from)?.unwrap_or_default();
    let held = held.unwrap_or_else(RunLock::of_first_rank);
    let summary = train(args, &config, &dir, &stop, held, launch, ranks)?;
    if !summary.complete {
        term::note(
            args.common.quiet || !ranks.is_first(),
            &format!("stopped at step {}; repeat the command to resume", summary.step),
        );
        return Ok(Outcome::Stopped { saved: summary.saved.is_some() });
    }
    if let Some(model) = &summary.model {
        card::write(model, &dir, &config, summary.step)?;
        term::out(&format!("{}\n", model.display()))?;
    }
    Ok(Outcome::Done)
}

/// Locks the run directory and writes its description.
fn first(args: &PretrainArgs, config: &Runnable) -> Result<(PathBuf, RunLock), CliError> {
    let dir = rundir::choose(&args.run, args.new)?;
    let held = RunLock::take(&dir)?;
    // After a start that failed before the first checkpoint, e.g. because of a missing file, the configuration may still
    // change.
    if rundir::has_started(&dir) {
        rundir::check_same(&dir, config, &args.allow_change)?;
    }
    rundir::describe(&dir, config, &doctor::program())?;
    if let Some(from) = &args.resume {
        rundir::bring_checkpoint(from, &dir)?;
    }
    Ok((dir, held))
}

fn train(
    args: &PretrainArgs,
    config: &Runnable,
    dir: &Path,
    stop: &Stop,
    held: RunLock,
    launch: Option<Launch>,
    ranks: &Rc<dyn Collective>,
) -> Result<Summary, CliError> {
    let device = device::of_rank(&config.train.device, launch)?;
    let mut reporters = match ranks.is_first() {
        true => reporters(dir, "pretrain", config, args.common.quiet)?,
        false => Reporters::new(),
    };
    let mut show = preparing(args.common.quiet || !ranks.is_first());
    let opened =
        Session::open_of_ranks(config.clone(), dir, &device, stop, held, &mut show, Rc::clone(ranks));
    let session = opened.map_err(|error| support::stopped_or(stop, error))?;
    if stop.requested() && launch.is_none() {
        return Err(support::interrupted(stop));
    }
    Ok(session.run(&mut reporters, None)?)
}

/// Number of steps of a dry run; the first one is slower than the others.
const DRY_STEPS: u64 = 4;

/// Runs a few steps in a temporary folder and prints what the run will need.
fn dry_run(args: &PretrainArgs, config: Runnable, stop: &Stop) -> Result<Outcome, CliError> {
    let (steps, drawn) = (config.train.steps, drawn_rows(&config, config.train.steps));
    let config = config.shortened(DRY_STEPS)?;
    let scratch = std::env::temp_dir().join(format!("fnlm-dry-run-{}", std::process::id()));
    let summary = RunLock::take(&scratch)
        .map_err(CliError::from)
        .and_then(|held| train(args, &config, &scratch, stop, held, None, &(Rc::new(Single) as _)));
    let bytes = disk::folder_bytes(
        &scratch.join(rundir::CHECKPOINTS).join(format!("step-{:08}", steps.min(DRY_STEPS))),
    );
    let _ = std::fs::remove_dir_all(&scratch);
    let summary = summary?;
    if !summary.complete {
        return Err(support::interrupted(stop));
    }
    let keep = config.checkpoint.keep_last as u64 + u64::from(config.checkpoint.keep_best) + 1;
    let seconds = summary.seconds_per_step;
    let estimate = Estimate {
        seconds_per_step: seconds.is_finite().then_some(seconds),
        steps,
        memory_bytes: peak_memory(),
        checkpoint_bytes: bytes,
        disk_bytes: bytes * keep,
    };
    if let Some(record) = &args.common.record {
        process::append(record, &Record::Estimate(estimate))?;
    }
    term::out(&estimate.text_of(&summary.passes, drawn))?;
    Ok(Outcome::Done)
}
