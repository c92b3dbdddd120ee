//! Runs the unfinished jobs of a study: each job is a separate process, which gets a resolved configuration and reports in
//! records.

use std::path::{Path, PathBuf};
use std::process::Command;

use fn_core::files::{parent, write_atomic};
use fn_train::rundir;
use fn_train::stop::Stop;

use super::{Arm, Evaluation, Study, StudyError, arms, evaluation_folder, run_folder};
use crate::lease::{Lease, free};
use crate::process::{Ended, Finished, run_to_end};

/// Folder of the locks, beside the arms; also holds the record files of child processes.
const LOCKS: &str = ".locks";
/// Record file of a child process.
const RECORDS: &str = "records.jsonl";

/// A study and the options with which it is run.
pub struct Plan<'a> {
    /// The description.
    pub study: &'a Study,
    /// Folder of all runs.
    pub out: &'a Path,
    /// `key=value` settings for all arms, which override the description.
    pub set: &'a [String],
    /// Path of the `fnlm` executable.
    pub program: &'a Path,
    /// Whether child processes run with `--quiet`.
    pub quiet: bool,
    /// Stop flag of this process.
    pub stop: &'a Stop,
}

/// How a run of a study ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// Finished, now or before.
    Done,
    /// Failed, with the reason.
    Failed(String),
    /// Failed because the disk or the memory is full, with the reason.
    Full(String),
    /// Skipped: another process is running it.
    Busy,
    /// A stop was requested; the same command resumes the run.
    Stopped,
}

impl Plan<'_> {
    /// Runs the unfinished parts of one run: pre-training, then each task, then each measure.
    ///
    /// # Errors
    /// Locks, processes or records that cannot be used; an invalid configuration. A job that fails is [`Ran::Failed`].
    pub fn run(&self, arm: &Arm, seed: u64) -> Result<Ran, StudyError> {
        let run = run_folder(self.out, arm, seed);
        // The lease is held until the end of the run, also between its child processes.
        let lock = run_folder(&self.out.join(LOCKS), arm, seed);
        let Some(held) = Lease::take(&lock)? else { return Ok(Ran::Busy) };
        // These locks may be held by a child process that outlived the study that started it.
        let seeds = |e: &Evaluation| -> Vec<PathBuf> {
            (1..=e.seeds).map(|seed| evaluation_folder(&run, e).join(format!("seed-{seed}"))).collect()
        };
        let inner = std::iter::once(run.clone()).chain(self.study.evaluations.iter().flat_map(seeds));
        for folder in inner.filter(|folder| folder.exists()) {
            if free(&folder)?.is_none() {
                return Ok(Ran::Busy);
            }
        }
        let records = lock.join(RECORDS);
        let configuration = self.study.resolve(arm, seed, self.set)?;
        let done = run.join(rundir::MODEL).exists();
        if (done || rundir::has_started(&run))
            && let Some(difference) = arms::unlike(&run, &configuration)
        {
            return Ok(Ran::Failed(format!(
                "{} seed {seed} is {} with other settings ({difference}); remove {} to run it again, or choose another --out",
                arm.name,
                if done { "done" } else { "half-way" },
                run.display()
            )));
        }
        if !done {
            let config = run.with_extension("toml");
            write(&config, &configuration.to_toml())?;
            let mut command = self.pretrain(&config);
            command.arg("--run").arg(&run);
            match self.child(command, &records, &held, &format!("{} seed {seed}, pre-training", arm.name))? {
                Ran::Done => {}
                other => return Ok(other),
            }
        }
        for evaluation in self.study.evaluations.iter().filter(|e| !e.is_done(&run)) {
            let command = self.finetune(evaluation, &run)?;
            let what = format!("{} seed {seed}, {}", arm.name, evaluation.task);
            match self.child(command, &records, &held, &what)? {
                Ran::Done => {}
                other => return Ok(other),
            }
        }
        for measure in &self.study.measures {
            if measure.figures(&run)?.is_some() {
                continue;
            }
            let what = format!("{} seed {seed}, {}", arm.name, measure.name);
            let finished = match self.finished(measure.command(self.program, &run)?, &records, &held)? {
                Some(finished) => finished,
                None => return Ok(Ran::Busy),
            };
            match (self.ran(&finished, &what), finished.figures()) {
                (Ran::Done, Some(figures)) => measure.keep(&run, figures.to_vec())?,
                (Ran::Done, None) => return Ok(Ran::Failed(format!("{what}: it reported no figures"))),
                (other, _) => return Ok(other),
            }
        }
        Ok(Ran::Done)
    }

    /// The command for pre-training with a configuration.
    pub(super) fn pretrain(&self, config: &Path) -> Command {
        let mut command = Command::new(self.program);
        command.arg("pretrain").arg("--config").arg(config);
        command
    }

    /// The command for fine-tuning a run's model, with the recipe in a file beside the folder of scores.
    fn finetune(&self, evaluation: &Evaluation, run: &Path) -> Result<Command, StudyError> {
        let device = fn_train::config::read(&run.join(rundir::CONFIG))?.train.device;
        let (out, model) = (evaluation_folder(run, evaluation), run.join(rundir::MODEL));
        let recipe = out.with_extension("toml");
        let text = toml::to_string(&evaluation.settings(run, &model)?.recipe)
            .map_err(|error| StudyError::Wrong { path: recipe.clone(), message: error.to_string() })?;
        write(&recipe, &text)?;
        let mut command = Command::new(self.program);
        command.args(["finetune", "--no-models", "--task", &evaluation.task, "--device", &device]);
        command.arg("--data").arg(&evaluation.data).arg("--model").arg(model);
        command.arg("--recipe-file").arg(recipe).arg("--out").arg(out);
        command.args(["--seeds", &evaluation.seeds.to_string()]);
        if let Some(limit) = evaluation.limit {
            command.args(["--limit", &limit.to_string()]);
        }
        Ok(command)
    }

    /// Runs a process to its end, unless another machine takes over the run meanwhile.
    fn child(&self, command: Command, records: &Path, held: &Lease, what: &str) -> Result<Ran, StudyError> {
        let finished = self.finished(command, records, held)?;
        Ok(finished.map_or(Ran::Busy, |finished| self.ran(&finished, what)))
    }

    /// The process at its end; None if another machine has taken over the run before it began.
    fn finished(
        &self,
        mut command: Command,
        records: &Path,
        held: &Lease,
    ) -> Result<Option<Finished>, StudyError> {
        if held.is_lost() {
            return Ok(None);
        }
        if self.quiet {
            command.arg("--quiet");
        }
        Ok(Some(run_to_end(command, records, &|| self.stop.requested() || held.is_lost())?))
    }

    /// How a process ended.
    fn ran(&self, finished: &Finished, what: &str) -> Ran {
        match finished.ended() {
            Some(Ended::Done) => Ran::Done,
            _ if finished.asked_to_stop && !self.stop.requested() => Ran::Busy,
            _ if finished.asked_to_stop => Ran::Stopped,
            Some(Ended::Stopped { saved: true }) => Ran::Stopped,
            _ if finished.is_out_of_resources() => Ran::Full(format!("{what}: {}", finished.failure())),
            _ => Ran::Failed(format!("{what}: {}", finished.failure())),
        }
    }
}

/// Writes an input file of a child process.
fn write(path: &Path, text: &str) -> Result<(), StudyError> {
    let folder = parent(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| write_atomic(path, text.as_bytes()))
        .map_err(|source| StudyError::Write { path: path.to_owned(), source })
}
