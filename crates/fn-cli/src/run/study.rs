//! `fnlm study`: many runs, each a process of its own, and what they say together.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use fn_data::task::Split;
use fn_eval::finetune::{Task, results};
use fn_eval::study::{self, Arm, Evaluation, Study, evaluation_folder, run_folder};
use fn_train::TrainError;
use fn_train::fsutil::write_atomic;
use fn_train::lock::RunLock;
use fn_train::stop::Stop;

use super::support;
use crate::args::{StudyCommand, StudyReportArgs, StudyRunArgs};
use crate::config::ConfigArgs;
use crate::error::{CliError, Outcome};
use crate::{rundir, term};

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
    let runs = study::collect(&study, &out).map_err(CliError::input_from)?;
    let table = study::table(&study, &runs);
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
    for (at, (arm, seed)) in mine.iter().enumerate() {
        term::note(args.common.quiet, &format!("[{}/{}] {} seed {seed}", at + 1, mine.len(), arm.name));
        match plan.one(arm, *seed)? {
            Ran::Done => {}
            Ran::Busy => term::note(args.common.quiet, "another process is at it; left to that one"),
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
        return Err(CliError::failed(format!(
            "{} of {} runs failed, the others are done:\n  {}\nThe same command tries them again",
            failed.len(),
            mine.len(),
            failed.join("\n  ")
        )));
    }
    term::note(args.common.quiet, &format!("all runs are done; fnlm study report {}", args.study.display()));
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
    fn config(&self, arm: &Arm, seed: u64) -> ConfigArgs {
        let set = [&self.study.set[..], &arm.set[..], &self.args.set[..]].concat();
        ConfigArgs {
            config: self.study.config.clone(),
            preset: self.study.preset.clone(),
            set,
            seed: Some(seed),
            ..ConfigArgs::default()
        }
    }

    /// Every configuration and every data set, before anything runs.
    fn check(&self) -> Result<(), CliError> {
        for arm in &self.study.arms {
            let resolved = self.config(arm, 1).resolve().and_then(|r| r.require_inputs());
            resolved.map_err(|error| match error {
                CliError::Usage(message) => CliError::usage(format!("arm {}: {message}", arm.name)),
                other => other,
            })?;
        }
        for evaluation in &self.study.evaluations {
            let task = Task::open(&evaluation.task)?;
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
        let path = evaluation_folder(run, evaluation).join(results::RESULTS);
        let found = results::read::<fn_eval::finetune::Results>(&path).ok().flatten();
        found.is_some_and(|found| found.seeds.len() as u64 >= evaluation.seeds)
    }

    /// Prints what is done and what is not, and how long the rest takes by a probe of a few steps.
    fn print(&self, mine: &[(&Arm, u64)]) -> Result<Outcome, CliError> {
        let mut table = fn_eval::table::Table::new(["arm", "seed", "pre-training", "fine-tuning"]);
        let (mut missing, mut scores) = (0_u64, 0);
        for (arm, seed) in mine {
            let run = run_folder(&self.out, arm, *seed);
            let done = run.join(rundir::MODEL).exists();
            let finished = self.study.evaluations.iter().filter(|e| self.is_done(e, &run)).count();
            missing += u64::from(!done);
            scores += self.study.evaluations.len() - finished;
            let state = match (done, run.join(rundir::CHECKPOINTS).exists()) {
                (true, _) => "done",
                (false, true) => "half-way",
                (false, false) => "to do",
            };
            let tasks = format!("{finished} of {} done", self.study.evaluations.len());
            table.row([arm.name.clone(), seed.to_string(), state.to_owned(), tasks]);
        }
        term::out(&table.to_text())?;
        let mut line = format!("{missing} of {} runs and {scores} fine-tunings are to do", mine.len());
        if let (true, Some((arm, seed))) = (missing > 0, mine.first()) {
            let config = self.config(arm, *seed);
            let steps = config.resolve()?.run.train.steps;
            let mut command = self.pretrain(arm, *seed, &std::env::temp_dir());
            command.arg("--dry-run").arg("--quiet").stderr(Stdio::null());
            let printed = command.output().map_err(CliError::failed_from)?;
            let text = String::from_utf8_lossy(&printed.stdout).into_owned();
            let step = text.strip_prefix("one step: ").and_then(|t| t.split(' ').next()?.parse::<f64>().ok());
            if let Some(step) = step {
                let seconds = step * steps as f64 * missing as f64;
                line.push_str(&format!(
                    "; pre-training takes about {} (a probe: {step:.3} s a step, {steps} steps a run)",
                    term::clock(seconds)
                ));
            }
        }
        term::out(&format!("{line}\n"))?;
        Ok(Outcome::Done)
    }

    /// What is missing of one run.
    fn one(&self, arm: &Arm, seed: u64) -> Result<Ran, CliError> {
        let run = run_folder(&self.out, arm, seed);
        match RunLock::take(&run) {
            Ok(lock) => drop(lock),
            Err(TrainError::InUse { .. }) => return Ok(Ran::Busy),
            Err(error) => return Err(error.into()),
        }
        if !run.join(rundir::MODEL).exists() {
            let mut command = self.pretrain(arm, seed, &run);
            command.stdout(Stdio::null());
            match self.child(command, &format!("{} seed {seed}, pre-training", arm.name))? {
                Ran::Done => {}
                other => return Ok(other),
            }
        }
        for evaluation in self.study.evaluations.iter().filter(|e| !self.is_done(e, &run)) {
            let command = self.finetune(evaluation, &run)?;
            match self.child(command, &format!("{} seed {seed}, {}", arm.name, evaluation.task))? {
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
        if let Some(path) = &config.config {
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
        let device = crate::config::read(&run.join(rundir::CONFIG))?.train.device;
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

    /// Runs a process to its end; a stop that is asked for is passed on.
    fn child(&self, mut command: Command, what: &str) -> Result<Ran, CliError> {
        if self.args.common.quiet {
            command.arg("--quiet");
        }
        let mut child = command.spawn().map_err(CliError::failed_from)?;
        let mut told = false;
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait().map_err(CliError::failed_from)? {
                break status;
            }
            if self.stop.requested() && !told {
                told = true;
                pass_on(&child);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        Ok(match status.code() {
            Some(0) => Ran::Done,
            _ if told => Ran::Stopped,
            Some(75) => Ran::Stopped,
            Some(code) => {
                Ran::Failed(format!("{what}: ended with exit code {code}; its messages stand above"))
            }
            None => Ran::Failed(format!("{what}: ended by a signal")),
        })
    }
}

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
