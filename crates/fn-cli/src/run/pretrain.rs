//! `fnlm pretrain`: the main job.

use std::path::{Path, PathBuf};

use fn_train::checkpoint::Checkpoints;
use fn_train::lock::{self, RunLock};
use fn_train::machine::peak_memory;
use fn_train::session::{Session, Summary};
use fn_train::stop::Stop;

use super::{doctor, support};
use crate::args::PretrainArgs;
use crate::config::Runnable;
use crate::error::{CliError, Outcome};
use crate::progress::Progress;
use crate::{device, term};
use fn_train::{card, rundir};

/// Trains, or goes on training, in the run directory.
///
/// # Errors
/// See [`CliError`]; a run that a signal stopped is no error but [`Outcome::Stopped`].
pub fn run(args: &PretrainArgs) -> Result<Outcome, CliError> {
    let config = args.config.resolve()?.clone().runnable()?;
    config.train.device.parse::<device::DeviceSpec>()?.check_compiled()?;
    config.require_files(|_| false)?;
    let stop = support::interruptible()?;
    if args.dry_run {
        return dry_run(args, config, &stop);
    }
    let dir = run_directory(args)?;
    let held = RunLock::take(&dir)?;
    // A start that failed before the first checkpoint, for a path that does not exist say, binds nobody.
    if rundir::has_started(&dir) {
        rundir::check_same(&dir, &config, &args.allow_change)?;
    }
    rundir::describe(&dir, &config, &doctor::program())?;
    if let Some(from) = &args.resume {
        bring_checkpoint(from, &dir)?;
    }
    let summary = train(args, &config, &dir, &stop, held)?;
    if !summary.complete {
        term::note(
            args.common.quiet,
            &format!("stopped at step {}; the same command goes on from there", summary.step),
        );
        return Ok(Outcome::Stopped { saved: summary.saved.is_some() });
    }
    if let Some(model) = &summary.model {
        card::write(model, &dir, &config, summary.step)?;
        term::out(&format!("{}\n", model.display()))?;
    }
    Ok(Outcome::Done)
}

fn train(
    args: &PretrainArgs,
    config: &Runnable,
    dir: &Path,
    stop: &Stop,
    held: RunLock,
) -> Result<Summary, CliError> {
    let device = device::open(&config.train.device)?;
    let mut progress = Progress::new(dir, "pretrain", config, args.common.quiet)?;
    let session = Session::open(config.clone(), dir, &device, stop, held, &mut |p| progress.preparing(p))
        .map_err(|error| if stop.requested() { support::interrupted(stop) } else { error.into() })?;
    if stop.requested() {
        return Err(support::interrupted(stop));
    }
    Ok(session.run(&mut progress, None)?)
}

/// The directory of this run: the one named, or with `--new` the first free one beside it. A directory that holds anything
/// but a run is left alone.
fn run_directory(args: &PretrainArgs) -> Result<PathBuf, CliError> {
    if args.run.exists() && !args.run.is_dir() {
        return Err(CliError::usage(format!("--run {} is a file; name a folder", args.run.display())));
    }
    // A lock alone is what a start that failed at once leaves behind.
    let used = |dir: &Path| {
        dir.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != lock::FILE))
    };
    if args.new && used(&args.run) {
        let name = args.run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = (2..10_000).map(|n| args.run.with_file_name(format!("{name}-{n}")));
        return beside.into_iter().find(|dir| !used(dir)).ok_or_else(|| {
            CliError::usage(format!("{} and all numbered names beside it are taken", args.run.display()))
        });
    }
    if used(&args.run) && !args.run.join(rundir::CONFIG).exists() {
        return Err(CliError::usage(format!(
            "{} is not empty and holds no run; choose another --run, or --new for a fresh directory beside it",
            args.run.display()
        )));
    }
    Ok(args.run.clone())
}

/// Copies the checkpoint that `--resume` names into this run, where the session finds and verifies it.
fn bring_checkpoint(from: &Path, dir: &Path) -> Result<(), CliError> {
    let checkpoint = if from.join(rundir::CHECKPOINTS).is_dir() {
        let found = Checkpoints::new(from.join(rundir::CHECKPOINTS), 1, false).latest();
        found.map_err(CliError::input_from)?.map(|found| found.path)
    } else {
        from.join("manifest.json").exists().then(|| from.to_owned())
    };
    let Some(checkpoint) = checkpoint else {
        return Err(CliError::input(format!(
            "{} is neither a run with a checkpoint nor a checkpoint (a folder with manifest.json)",
            from.display()
        )));
    };
    let name = checkpoint.file_name().unwrap_or_default();
    let target = dir.join(rundir::CHECKPOINTS).join(name);
    if target.exists() {
        return Ok(()); // `--resume` of the run's own checkpoint
    }
    std::fs::create_dir_all(&target).map_err(|e| CliError::io("create", &target, e))?;
    let entries = checkpoint.read_dir().map_err(|e| CliError::io("read", &checkpoint, e))?;
    for entry in entries {
        let path = entry.map_err(|e| CliError::io("read", &checkpoint, e))?.path();
        let to = target.join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, &to).map_err(|e| CliError::io("write", &to, e))?;
    }
    Ok(())
}

/// Steps of a dry run: the first one is slower than all others.
const DRY_STEPS: u64 = 4;

/// A few real steps in a folder that is removed again; says what the run will need.
fn dry_run(args: &PretrainArgs, config: Runnable, stop: &Stop) -> Result<Outcome, CliError> {
    let steps = config.train.steps;
    let config = config.change(|run| {
        run.train.steps = steps.min(DRY_STEPS);
        run.data.synthetic.steps = run.data.synthetic.steps.min(run.train.steps - 1);
        run.eval.batches = 1;
        run.log.tensorboard = false;
    })?;
    let scratch = std::env::temp_dir().join(format!("fnlm-dry-run-{}", std::process::id()));
    let summary = RunLock::take(&scratch)
        .map_err(CliError::from)
        .and_then(|held| train(args, &config, &scratch, stop, held));
    let bytes =
        folder_bytes(&scratch.join(rundir::CHECKPOINTS).join(format!("step-{:08}", steps.min(DRY_STEPS))));
    let _ = std::fs::remove_dir_all(&scratch);
    let summary = summary?;
    if !summary.complete {
        return Err(support::interrupted(stop));
    }
    let keep = config.checkpoint.keep_last as u64 + u64::from(config.checkpoint.keep_best) + 1;
    term::out(&format!(
        "one step: {:.3} s; {steps} steps: about {}\n\
         memory so far: {}; a checkpoint: {}; disk for the run: about {}\n",
        summary.seconds_per_step,
        term::clock(summary.seconds_per_step * steps as f64),
        term::bytes(peak_memory()),
        term::bytes(bytes),
        term::bytes(bytes * keep),
    ))?;
    Ok(Outcome::Done)
}

fn folder_bytes(dir: &Path) -> u64 {
    let files = dir.read_dir().into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}
