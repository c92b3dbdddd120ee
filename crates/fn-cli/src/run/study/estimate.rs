//! `fnlm study run --dry-run`: what is to do, and about how long it takes.
//!
//! Pre-training is measured, by a probe of a few steps for each kind of arm. Fine-tuning is derived from it: the ids of a task's sets
//! by the ids a second of the probes. A step of pre-training does more with an id (a generator, a vocabulary), but a batch of a task
//! is small; so the figure is rough, and the line says what it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fn_data::task::{Split, TaskData};
use fn_data::tokenise::TextTokenizer;
use fn_eval::finetune::fit::Recipe;
use fn_eval::finetune::{Encoded, Task};
use fn_eval::table::Table;
use fn_models::Arch;
use fn_study::study::{Arm, Evaluation, run_folder};
use fn_train::config::{CheckpointConfig, EvalConfig, LogConfig, RunConfig};
use fn_train::schedule::ScheduleConfig;

use super::{Plan, support};
use crate::error::{CliError, Outcome};
use crate::term;
use fn_train::rundir;

/// Time for probes; the kinds that are left then are taken to be as slow as the slowest.
const BUDGET: Duration = Duration::from_secs(300);
/// Examples of a set that are tokenised to know how long one is.
const SAMPLE: usize = 1_000;

/// What is missing of a run.
struct Job<'a> {
    arm: &'a Arm,
    run: RunConfig,
    /// Optimiser steps.
    steps: u64,
    evaluations: Vec<&'a Evaluation>,
}

/// A kind of arm and the seconds of a step, if they were measured.
struct Kind {
    like: RunConfig,
    seconds: Option<f64>,
}

impl Plan<'_> {
    /// Prints what is done and what is not, and about how long the rest takes.
    pub(super) fn print(&self, mine: &[(&Arm, u64)]) -> Result<Outcome, CliError> {
        let mut table = Table::new(["arm", "seed", "pre-training", "fine-tuning"]);
        let (mut missing, mut jobs, mut refused) = (0, Vec::new(), Vec::new());
        for (arm, seed) in mine {
            let folder = run_folder(&self.out, arm, *seed);
            let done = folder.join(rundir::MODEL).exists();
            missing += usize::from(!done);
            let unlike = if done { self.unlike(arm, *seed, &folder)? } else { None };
            let state = match (done, folder.join(rundir::CHECKPOINTS).exists()) {
                (true, _) if unlike.is_some() => "done with other settings",
                (true, _) => "done",
                (false, true) => "half-way",
                (false, false) => "to do",
            };
            refused.extend(unlike.map(|difference| format!("{} seed {seed}: {difference}", arm.name)));
            let all = &self.study.evaluations;
            let evaluations: Vec<&Evaluation> = all.iter().filter(|e| !self.is_done(e, &folder)).collect();
            let tasks = format!("{} of {} done", all.len() - evaluations.len(), all.len());
            table.row([arm.name.clone(), seed.to_string(), state.to_owned(), tasks]);
            if !done || !evaluations.is_empty() {
                let run = self.config(arm, *seed).resolve()?.into_config();
                let steps = if done { 0 } else { run.train.steps.saturating_sub(reached(&folder)) };
                jobs.push(Job { arm, run, steps, evaluations });
            }
        }
        term::out(&table.to_text())?;
        if let Some(example) = refused.first() {
            let text = format!(
                "{} runs are done with other settings and would be refused, e.g. {example}; remove them or choose another --out\n",
                refused.len()
            );
            term::out(&text)?;
        }
        let scores: usize = jobs.iter().map(|job| job.evaluations.len()).sum();
        term::out(&format!("{missing} of {} runs and {scores} fine-tunings are to do\n", mine.len()))?;
        if !jobs.is_empty() {
            self.estimate(&jobs)?;
        }
        Ok(Outcome::Done)
    }

    fn estimate(&self, jobs: &[Job<'_>]) -> Result<(), CliError> {
        let kinds = self.probe_all(jobs)?;
        let measured: Vec<f64> = kinds.iter().filter_map(|kind| kind.seconds).collect();
        let range = |pick: fn(f64, f64) -> f64| measured.iter().copied().reduce(pick);
        let (Some(least), Some(most)) = (range(f64::min), range(f64::max)) else {
            return term::out("no estimate: every arm reads what another run of the study writes first\n");
        };
        let (mut pretraining, mut finetuning) = (0.0, 0.0);
        let mut sets = Sets::default();
        for job in jobs {
            let like = kind(&job.run);
            let step =
                kinds.iter().find(|kind| kind.like == like).and_then(|kind| kind.seconds).unwrap_or(most);
            pretraining += step * job.steps as f64;
            let ids = job.run.train.batch * job.run.train.accumulation * job.run.data.length;
            for evaluation in &job.evaluations {
                finetuning += sets.ids(evaluation, &job.run.data.tokenizer)? * step / ids as f64;
            }
        }
        let probes = match measured.len() {
            1 => format!("a probe: {most:.3}"),
            n => format!("{n} probes: {least:.3} to {most:.3}"),
        };
        let mut text = format!(
            "pre-training: about {} ({probes} s a step; measuring and saving come on top)\n",
            term::clock(pretraining)
        );
        if jobs.iter().any(|job| !job.evaluations.is_empty()) {
            text.push_str(&format!(
                "fine-tuning: about {} (derived from the ids a second of pre-training, not measured)\ntogether: about {}\n",
                term::clock(finetuning),
                term::clock(pretraining + finetuning)
            ));
        }
        let others = kinds.len() - measured.len();
        if others > 0 {
            text.push_str(&format!(
                "{others} of {} kinds of arms were not probed (time was up, or another run writes first what they read): taken to be as \
                 slow as the slowest\n",
                kinds.len()
            ));
        }
        term::out(&text)
    }

    /// A probe for each kind of arm among the jobs.
    fn probe_all(&self, jobs: &[Job<'_>]) -> Result<Vec<Kind>, CliError> {
        let start = Instant::now();
        let mut kinds: Vec<Kind> = Vec::new();
        for job in jobs {
            let like = kind(&job.run);
            if kinds.iter().any(|kind| kind.like == like) {
                continue;
            }
            let run = &job.run;
            let mut read =
                run.model.init.iter().chain(&run.correction.verifier.model).chain(&run.lexicon.path);
            let can = read.all(|path| path.exists()) && start.elapsed() < BUDGET;
            let seconds = if can { Some(self.probe(job)?) } else { None };
            kinds.push(Kind { like, seconds });
        }
        Ok(kinds)
    }

    /// Seconds of a step.
    fn probe(&self, job: &Job<'_>) -> Result<f64, CliError> {
        let arm = job.arm;
        term::note(self.args.common.quiet, &format!("{}: a probe of a few steps", arm.name));
        let mut command = self.pretrain(arm, job.run.seed, &std::env::temp_dir());
        command.arg("--dry-run").arg("--quiet");
        let printed = command.output().map_err(CliError::failed_from)?;
        if self.stop.requested() {
            return Err(support::interrupted(&self.stop));
        }
        let text = String::from_utf8_lossy(&printed.stdout);
        let step = text.strip_prefix("one step: ").and_then(|t| t.split(' ').next()?.parse().ok());
        step.filter(|_| printed.status.success()).ok_or_else(|| {
            CliError::failed(format!(
                "arm {}: a probe of a few steps failed:\n{}",
                arm.name,
                String::from_utf8_lossy(&printed.stderr).trim()
            ))
        })
    }
}

/// What the time of a step depends on: two runs that agree in it take equally long.
fn kind(run: &RunConfig) -> RunConfig {
    let mut kind = RunConfig {
        seed: 0,
        schedule: ScheduleConfig::default(),
        checkpoint: CheckpointConfig::default(),
        eval: EvalConfig::default(),
        log: LogConfig::default(),
        ..run.clone()
    };
    kind.train.steps = 0;
    // Sets of another lexicon are a little wider or narrower, which hardly shows.
    (kind.lexicon.path, kind.lexicon.wordnet) = (None, None);
    kind
}

/// The step of the newest checkpoint, by its name.
fn reached(run: &Path) -> u64 {
    let entries = run.join(rundir::CHECKPOINTS).read_dir().into_iter().flatten().flatten();
    let steps = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok());
    steps.max().unwrap_or(0)
}

/// How much there is to read in the sets of a task, by the task and the tokenizer.
#[derive(Default)]
struct Sets {
    tokenizers: BTreeMap<PathBuf, TextTokenizer>,
    ids: BTreeMap<(String, PathBuf), f64>,
}

impl Sets {
    /// Ids that all seeds of an evaluation go over, forwards and backwards.
    fn ids(&mut self, evaluation: &Evaluation, tokenizer: &Path) -> Result<f64, CliError> {
        let key = (evaluation.task.clone(), tokenizer.to_owned());
        if let Some(ids) = self.ids.get(&key) {
            return Ok(*ids);
        }
        if !self.tokenizers.contains_key(tokenizer) {
            self.tokenizers.insert(tokenizer.to_owned(), support::tokenizer(tokenizer)?);
        }
        let ids = evaluation.seeds as f64 * ids_of_seed(evaluation, &self.tokenizers[tokenizer])?;
        self.ids.insert(key, ids);
        Ok(ids)
    }
}

fn ids_of_seed(evaluation: &Evaluation, tokenizer: &TextTokenizer) -> Result<f64, CliError> {
    let task = Task::open(&evaluation.task)?;
    // Architecture and size decide about the learning rate alone.
    let recipe = support::set_values(&task.recipe(Arch::Electra, 256), &evaluation.set)?;
    let find = |set: &Task, split| set.find(&evaluation.data, split).map_err(CliError::input_from);
    let mut ids = 0.0;
    if let Some(mut train) = find(&task, Split::Train)? {
        train.examples.truncate(evaluation.limit.unwrap_or(usize::MAX));
        let pairs = train.examples.iter().any(|example| example.second.is_some());
        let orders = if recipe.double_pairs && pairs { 2.0 } else { 1.0 };
        ids += recipe.epochs * orders * ids_of_set(&task, train, tokenizer, &recipe)?;
    }
    let measured = if recipe.patience > 0 { 1.0 + recipe.epochs } else { 1.0 };
    for (sets, split, times) in
        [(task.dev_sets(), Split::Dev, measured), (task.test_sets(), Split::Test, 1.0)]
    {
        for set in sets {
            if let Some(data) = find(&set, split)? {
                // Forwards only is a third of the work.
                ids += times * ids_of_set(&set, data, tokenizer, &recipe)? / 3.0;
            }
        }
    }
    Ok(ids)
}

fn ids_of_set(
    task: &Task,
    mut data: TaskData,
    tokenizer: &TextTokenizer,
    recipe: &Recipe,
) -> Result<f64, CliError> {
    let examples = data.examples.len();
    data.examples.truncate(SAMPLE);
    let sample = data.examples.len().max(1);
    let encoded = Encoded::new(task, data, tokenizer, recipe.length)?;
    Ok(encoded.ids() as f64 * examples as f64 / sample as f64)
}
