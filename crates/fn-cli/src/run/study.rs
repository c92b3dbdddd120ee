//! `fnlm study`: many runs, each a process of its own, and what they say together.

mod estimate;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use fn_data::task::Split;
use fn_eval::finetune::fit::Recipe;
use fn_eval::finetune::settings::SETTINGS;
use fn_eval::finetune::{Results, Settings, Task, results};
use fn_models::hf;
use fn_study::lease::{Lease, free};
use fn_study::study::{self, Arm, Evaluation, Study, evaluation_folder, run_folder};
use fn_train::config::layers::Setting;
use fn_train::config::{Layers, Resolved};
use fn_train::fsutil::write_atomic;
use fn_train::stop::Stop;

use super::support;
use crate::args::{StudyCommand, StudyReportArgs, StudyRunArgs};
use crate::error::{CliError, Outcome};
use crate::term;
use fn_train::{config, rundir};

/// Runs it.
///
/// # Errors
/// See [`CliError`]; a study that a signal stopped is no error but [`Outcome::Stopped`].
pub fn run(command: &StudyCommand) -> Result<Outcome, CliError> {
    match command {
        StudyCommand::Run(args) => run_missing(args),
        StudyCommand::Report(args) => report(args),
        StudyCommand::Truth(args) => super::truth::run(args),
    }
}

fn folder(study: &Study, out: Option<&PathBuf>) -> PathBuf {
    out.cloned().unwrap_or_else(|| format!("study-{}", study.name).into())
}

fn report(args: &StudyReportArgs) -> Result<Outcome, CliError> {
    let study = Study::open(&args.study).map_err(wrong)?;
    let out = folder(&study, args.out.as_ref());
    let study::Collected { runs, damaged } = study::collect(&study, &out).map_err(CliError::input_from)?;
    for error in &damaged {
        term::note(false, &format!("warning: {error}; the run is left out"));
    }
    let mut table = study::table(&study, &runs, damaged.len());
    table.warning = made_otherwise(&study, &out, &runs);
    if let Some(warning) = &table.warning {
        term::note(false, &format!("warning: {warning}"));
    }
    let page = args.html.clone().unwrap_or_else(|| out.join("report.html"));
    write_atomic(&page, study::page(&study, &runs, &table).as_bytes())
        .map_err(|error| CliError::io("write", &page, error))?;
    term::out(&table.to_markdown(&study))?;
    term::note(
        args.common.quiet,
        &format!("{} of {} runs; page: {}", runs.len(), study.runs().len(), page.display()),
    );
    Ok(Outcome::Done)
}

/// How many runs were made with other settings than those that the description has now.
fn made_otherwise(study: &Study, out: &Path, runs: &[study::Run]) -> Option<String> {
    let mut others = Vec::new();
    for run in runs {
        let (arm, folder) = (&study.arms[run.arm], run_folder(out, &study.arms[run.arm], run.seed));
        let now = settings(study, arm, run.seed, &[]).resolve();
        if let (Ok(before), Ok(now)) = (config::read(&folder.join(rundir::CONFIG)), now) {
            let keys = rundir::unlike(&before, &now, &[DEVICE.to_owned()]);
            if let Some((key, old, new)) = keys.first() {
                others.push(format!("{} seed {} has {key} = {old}, not {new}", arm.name, run.seed));
                continue;
            }
        }
        let other = |e: &&Evaluation| results_of(e, &folder).is_some() && !is_same(e, &folder);
        if let Some(evaluation) = study.evaluations.iter().find(other) {
            others.push(format!("{} seed {} on {}", arm.name, run.seed, evaluation.task));
        }
    }
    others.first().map(|example| {
        format!(
            "{} of {} runs were made with other settings than the description has now, e.g. {example}",
            others.len(),
            runs.len()
        )
    })
}

/// A machine's own affair: parts of a study may run on different ones.
const DEVICE: &str = "train.device";

/// The configuration of a run; `set` are values of the command line.
fn settings(study: &Study, arm: &Arm, seed: u64, set: &[String]) -> Layers {
    Layers {
        preset: study.preset.clone(),
        file: study.config.clone(),
        options: vec![Setting::option("--seed", "seed", i64::try_from(seed).unwrap_or(i64::MAX))],
        set: [&study.set[..], &arm.set[..], set].concat(),
    }
}

/// The scores of a run on a task, if all seeds are there.
fn results_of(evaluation: &Evaluation, run: &Path) -> Option<Results> {
    let path = evaluation_folder(run, evaluation).join(results::RESULTS);
    let found = results::read::<Results>(&path).ok().flatten()?;
    (found.seeds.len() as u64 >= evaluation.seeds).then_some(found)
}

/// Whether the folder of scores was made with what the evaluation says now.
fn is_same(evaluation: &Evaluation, run: &Path) -> bool {
    let path = evaluation_folder(run, evaluation).join(SETTINGS);
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let Ok(made) = toml::from_str::<Settings>(&text) else { return false };
    let now = || -> Result<Settings, CliError> {
        let task = Task::open(&evaluation.task)?;
        let (arch, model) = hf::read_encoder(&run.join(rundir::MODEL)).map_err(CliError::input_from)?;
        let recipe = support::set_values(&task.recipe(arch, model.hidden_size), &evaluation.set)?;
        // The model is the run's own, by whatever path it was reached.
        Ok(Settings::of_task(&task, &made.model, &evaluation.data, evaluation.limit, recipe))
    };
    now().is_ok_and(|now| now == made)
}

/// A description that is wrong is a wrong configuration.
fn wrong(error: study::StudyError) -> CliError {
    match error {
        study::StudyError::Wrong { .. } => CliError::usage(error.to_string()),
        error => CliError::input_from(error),
    }
}

/// What there is to do.
struct Plan<'a> {
    args: &'a StudyRunArgs,
    study: &'a Study,
    out: PathBuf,
    stop: Stop,
}

/// How a run of a study ended.
enum Ran {
    Done,
    Failed(String),
    Busy,
    Stopped,
}

fn run_missing(args: &StudyRunArgs) -> Result<Outcome, CliError> {
    let study = Study::open(&args.study).map_err(wrong)?;
    let stop = support::interruptible()?;
    let plan = Plan { args, study: &study, out: folder(&study, args.out.as_ref()), stop };
    plan.check()?;
    let mut runs = study.runs();
    if let Some(name) = args.arms.iter().find(|name| study.arms.iter().all(|arm| arm.name != **name)) {
        let known: Vec<&str> = study.arms.iter().map(|arm| arm.name.as_str()).collect();
        return Err(CliError::usage(format!("--arm {name}: no such arm; known: {}", known.join(", "))));
    }
    runs.retain(|(arm, _)| args.arms.is_empty() || args.arms.contains(&arm.name));
    let mine: Vec<(&Arm, u64)> = match part(args.part.as_deref())? {
        Some((i, n)) => {
            runs.into_iter().enumerate().filter(|(at, _)| at % n == i).map(|(_, run)| run).collect()
        }
        None => runs,
    };
    if args.dry_run {
        return plan.print(&mine);
    }
    let mut failed = Vec::new();
    let mut busy = 0;
    for (at, (arm, seed)) in mine.iter().enumerate() {
        term::note(args.common.quiet, &format!("[{}/{}] {} seed {seed}", at + 1, mine.len(), arm.name));
        match plan.one(arm, *seed)? {
            Ran::Done => {}
            Ran::Busy => {
                busy += 1;
                term::note(args.common.quiet, "another process is at it; left to that one");
            }
            Ran::Failed(message) => {
                term::note(false, &format!("warning: {message}"));
                failed.push(message);
            }
            Ran::Stopped => {
                term::note(args.common.quiet, "stopped; the same command goes on from there");
                return Ok(Outcome::Stopped { saved: true });
            }
        }
    }
    if !failed.is_empty() {
        let left = if busy > 0 { format!(", {busy} are left to another process") } else { String::new() };
        return Err(CliError::failed(format!(
            "{} of {} runs failed{left}, the others are done:\n  {}\nThe same command tries them again",
            failed.len(),
            mine.len(),
            failed.join("\n  ")
        )));
    }
    let done = match (busy, mine.len() == study.runs().len()) {
        (0, true) => "all runs are done".to_owned(),
        (0, false) => format!("these {} of {} runs are done", mine.len(), study.runs().len()),
        _ => format!("{busy} of {} runs are left to another process, the others are done", mine.len()),
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

impl Plan<'_> {
    fn config(&self, arm: &Arm, seed: u64) -> Layers {
        settings(self.study, arm, seed, &self.args.set)
    }

    /// Every configuration and every data set, before anything runs.
    fn check(&self) -> Result<(), CliError> {
        if let Some(seed) = self.args.set.iter().find(|setting| study::sets_seed(setting)) {
            return Err(CliError::usage(format!(
                "--set {seed} would give every run the same seed; change `seeds` in {}",
                self.args.study.display()
            )));
        }
        for arm in &self.study.arms {
            let config = self.config(arm, 1).resolve().and_then(Resolved::runnable);
            let config = config.map_err(|error| CliError::usage(format!("arm {}: {error}", arm.name)))?;
            if self.args.arms.is_empty() || self.args.arms.contains(&arm.name) {
                // What another run of the study writes first need not be there yet.
                config.require_files(|path| path.starts_with(&self.out)).map_err(|error| {
                    CliError::input(format!("arm {}: {error}; or choose other arms with --arm", arm.name))
                })?;
            }
        }
        for evaluation in &self.study.evaluations {
            let task = Task::open(&evaluation.task)?;
            support::set_values(&Recipe::default(), &evaluation.set).map_err(|error| match error {
                CliError::Usage(message) => CliError::usage(format!("{}: {message}", evaluation.task)),
                other => other,
            })?;
            for split in [Split::Train, Split::Dev] {
                if task.find(&evaluation.data, split).map_err(CliError::input_from)?.is_none() {
                    return Err(CliError::input(format!(
                        "{}: found no {split:?} set of {}, expected the task's files there; check `data` in {}",
                        evaluation.data.display(),
                        task.name(),
                        self.args.study.display()
                    )));
                }
            }
        }
        Ok(())
    }

    fn is_done(&self, evaluation: &Evaluation, run: &Path) -> bool {
        results_of(evaluation, run).is_some() && is_same(evaluation, run)
    }

    /// What a run that is done has otherwise than it would have now.
    fn unlike(&self, arm: &Arm, seed: u64, run: &Path) -> Result<Option<String>, CliError> {
        let now = self.config(arm, seed).resolve()?;
        let before = match config::read(&run.join(rundir::CONFIG)) {
            Ok(before) => before,
            Err(error) => return Ok(Some(format!("its own cannot be read: {error}"))),
        };
        let keys = rundir::unlike(&before, &now, &[DEVICE.to_owned()]);
        Ok(keys.first().map(|(key, old, new)| format!("{key}: {old} there, {new} now")))
    }

    /// What is missing of one run.
    fn one(&self, arm: &Arm, seed: u64) -> Result<Ran, CliError> {
        let run = run_folder(&self.out, arm, seed);
        // This one is held to the end of the run, between its processes as well.
        let folder = run_folder(&self.out.join(LOCKS), arm, seed);
        let Some(held) = Lease::take(&folder)? else { return Ok(Ran::Busy) };
        // And these by a process that outlived the study that started it.
        let seeds = |e: &Evaluation| -> Vec<PathBuf> {
            (1..=e.seeds).map(|seed| evaluation_folder(&run, e).join(format!("seed-{seed}"))).collect()
        };
        let inner = std::iter::once(run.clone()).chain(self.study.evaluations.iter().flat_map(seeds));
        for folder in inner.filter(|folder| folder.exists()) {
            if free(&folder)?.is_none() {
                return Ok(Ran::Busy);
            }
        }
        if run.join(rundir::MODEL).exists() {
            if let Some(difference) = self.unlike(arm, seed, &run)? {
                return Ok(Ran::Failed(format!(
                    "{} seed {seed} is done with other settings ({difference}); remove {} to run it again, or choose another --out",
                    arm.name,
                    run.display()
                )));
            }
        } else {
            let mut command = self.pretrain(arm, seed, &run);
            command.stdout(Stdio::null());
            match self.child(command, &held, &format!("{} seed {seed}, pre-training", arm.name))? {
                Ran::Done => {}
                other => return Ok(other),
            }
        }
        for evaluation in self.study.evaluations.iter().filter(|e| !self.is_done(e, &run)) {
            let command = self.finetune(evaluation, &run)?;
            match self.child(command, &held, &format!("{} seed {seed}, {}", arm.name, evaluation.task))? {
                Ran::Done => {}
                other => return Ok(other),
            }
        }
        Ok(Ran::Done)
    }

    fn pretrain(&self, arm: &Arm, seed: u64, run: &Path) -> Command {
        let config = self.config(arm, seed);
        let mut command = program();
        command.arg("pretrain").arg("--run").arg(run).args(["--seed", &seed.to_string()]);
        if let Some(path) = &config.file {
            command.arg("--config").arg(path);
        }
        if let Some(preset) = &config.preset {
            command.args(["--preset", preset]);
        }
        for setting in &config.set {
            command.args(["--set", setting]);
        }
        command
    }

    fn finetune(&self, evaluation: &Evaluation, run: &Path) -> Result<Command, CliError> {
        let device = fn_train::config::read(&run.join(rundir::CONFIG))?.train.device;
        let mut command = program();
        command.args(["finetune", "--no-models", "--task", &evaluation.task, "--device", &device]);
        command.arg("--data").arg(&evaluation.data).arg("--model").arg(run.join(rundir::MODEL));
        command
            .arg("--out")
            .arg(evaluation_folder(run, evaluation))
            .args(["--seeds", &evaluation.seeds.to_string()]);
        if let Some(limit) = evaluation.limit {
            command.args(["--limit", &limit.to_string()]);
        }
        for setting in &evaluation.set {
            command.args(["--set", setting]);
        }
        command.stdout(Stdio::null());
        Ok(command)
    }

    /// Runs a process to its end, unless the run is lost to another machine meanwhile.
    fn child(&self, mut command: Command, held: &Lease, what: &str) -> Result<Ran, CliError> {
        if held.is_lost() {
            return Ok(Ran::Busy);
        }
        if self.args.common.quiet {
            command.arg("--quiet");
        }
        let (status, told) = run_to_end(command, &|| self.stop.requested() || held.is_lost())?;
        Ok(match status.code() {
            Some(0) => Ran::Done,
            _ if told && !self.stop.requested() => Ran::Busy,
            _ if told => Ran::Stopped,
            Some(75) => Ran::Stopped,
            Some(code) => {
                Ran::Failed(format!("{what}: ended with exit code {code}; its messages stand above"))
            }
            None => Ran::Failed(format!("{what}: ended by a signal")),
        })
    }
}

/// Runs a process to its end, which is asked of it when `stop` says so; and whether it was asked.
pub(super) fn run_to_end(
    mut command: Command,
    stop: &dyn Fn() -> bool,
) -> Result<(ExitStatus, bool), CliError> {
    let mut child = command.spawn().map_err(CliError::failed_from)?;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().map_err(CliError::failed_from)? {
            return Ok((status, told));
        }
        if !told && stop() {
            told = true;
            pass_on(&child);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Folder of the locks, beside the arms.
const LOCKS: &str = ".locks";

/// This program again.
pub(super) fn program() -> Command {
    // The path is that of the running program; where the system does not know it, the one that was typed.
    let program = std::env::current_exe().ok().or_else(|| std::env::args_os().next().map(PathBuf::from));
    Command::new(program.unwrap_or_else(|| "fnlm".into()))
}

/// Asks a process to stop.
fn pass_on(child: &Child) {
    // SAFETY: `kill` only takes a process id and a number; the child is ours and has not been waited for.
    #[allow(unsafe_code)]
    unsafe {
        libc::kill(child.id() as i32, libc::SIGTERM);
    }
}
