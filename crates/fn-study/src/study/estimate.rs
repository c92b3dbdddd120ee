//! What is to do of a study, and about how long it takes.
//!
//! Pre-training is measured, by a probe of a few steps for each kind of arm. Fine-tuning is derived from it: the ids of a task's sets
//! by the ids a second of the probes. A step of pre-training does more with an id (a generator, a vocabulary), but a batch of a task
//! is small; so the figure is rough.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fn_data::task::{Split, TaskData};
use fn_data::tokenise::TextTokenizer;
use fn_eval::finetune::fit::Recipe;
use fn_eval::finetune::{Encoded, FinetuneError, Task};
use fn_models::Arch;
use fn_train::config::Runnable;
use fn_train::rundir;

use super::run::Plan;
use super::{Arm, Evaluation, StudyError, arms, run_folder};
use crate::process::run_to_end;

/// Time for probes; the kinds that are left then are taken to be as slow as the slowest.
const BUDGET: Duration = Duration::from_secs(300);
/// Examples of a set that are tokenised to know how long one is.
const SAMPLE: usize = 1_000;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is there.
    ToDo,
    /// It was stopped.
    HalfWay,
    /// Pre-trained.
    Done,
    /// Pre-trained, but not as the study says now.
    DoneOtherwise,
}

impl State {
    /// In words.
    pub fn name(self) -> &'static str {
        ["to do", "half-way", "done", "done with other settings"][self as usize]
    }
}

/// One run of the study.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its arm.
    pub arm: &'a Arm,
    /// Its seed.
    pub seed: u64,
    /// How far its pre-training is.
    pub state: State,
    /// What is otherwise than the study says now.
    pub difference: Option<String>,
    /// Tasks that are not done.
    pub missing: Vec<&'a Evaluation>,
    config: Runnable,
    /// Optimiser steps that are left.
    steps: u64,
}

/// About how long the rest of a study takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Seconds of pre-training, without measuring and saving.
    pub pretraining: f64,
    /// Seconds of fine-tuning, derived.
    pub finetuning: f64,
    /// Seconds of a step of each kind of arm that was probed; empty where every arm reads what another run writes first.
    pub probes: Vec<f64>,
    /// Kinds of arms.
    pub kinds: usize,
}

/// Arms whose steps take equally long: the values on which that depends, and the seconds of a step, if they were measured.
struct Kind {
    like: Vec<(String, String)>,
    seconds: Option<f64>,
}

impl Plan<'_> {
    /// How far each of these runs is.
    ///
    /// # Errors
    /// A configuration that is wrong.
    pub fn survey<'a>(&'a self, mine: &[(&'a Arm, u64)]) -> Result<Vec<Entry<'a>>, StudyError> {
        let entry = |&(arm, seed): &(&'a Arm, u64)| -> Result<Entry<'a>, StudyError> {
            let folder = run_folder(self.out, arm, seed);
            let config = self.study.resolve(arm, seed, self.set)?;
            let done = folder.join(rundir::MODEL).exists();
            let difference = if done { arms::unlike(&folder, &config) } else { None };
            let state = match (done, folder.join(rundir::CHECKPOINTS).exists()) {
                (true, _) if difference.is_some() => State::DoneOtherwise,
                (true, _) => State::Done,
                (false, true) => State::HalfWay,
                (false, false) => State::ToDo,
            };
            let missing = self.study.evaluations.iter().filter(|e| !e.is_done(&folder)).collect();
            let steps = if done { 0 } else { config.train.steps.saturating_sub(reached(&folder)) };
            Ok(Entry { arm, seed, state, difference, missing, config, steps })
        };
        mine.iter().map(entry).collect()
    }

    /// How long what is missing will take; `tell` receives each arm before it is probed. None where nothing is missing.
    ///
    /// # Errors
    /// A probe that fails, files of a task that cannot be read; a stop.
    pub fn estimate(
        &self,
        entries: &[Entry<'_>],
        tell: &mut dyn FnMut(&Arm),
    ) -> Result<Option<Outlook>, StudyError> {
        let is_missing = |entry: &&Entry<'_>| !entry.is_done() || !entry.missing.is_empty();
        let entries: Vec<&Entry<'_>> = entries.iter().filter(is_missing).collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let kinds = self.probe_all(&entries, tell)?;
        let probes: Vec<f64> = kinds.iter().filter_map(|kind| kind.seconds).collect();
        let mut outlook = Outlook { pretraining: 0.0, finetuning: 0.0, probes, kinds: kinds.len() };
        let Some(slowest) = outlook.probes.iter().copied().reduce(f64::max) else {
            return Ok(Some(outlook));
        };
        let mut sets = Sets::default();
        for entry in entries {
            let run = &entry.config;
            let like = run.step_time();
            let known = kinds.iter().find(|kind| kind.like == like).and_then(|kind| kind.seconds);
            let step = known.unwrap_or(slowest);
            outlook.pretraining += step * entry.steps as f64;
            let ids = run.train.batch * run.train.accumulation * run.data.length;
            for evaluation in &entry.missing {
                outlook.finetuning += sets.ids(evaluation, &run.data.tokenizer)? * step / ids as f64;
            }
        }
        Ok(Some(outlook))
    }

    /// A probe for each kind of arm among the runs.
    fn probe_all(&self, entries: &[&Entry<'_>], tell: &mut dyn FnMut(&Arm)) -> Result<Vec<Kind>, StudyError> {
        let start = Instant::now();
        let mut kinds: Vec<Kind> = Vec::new();
        for entry in entries {
            let run = &entry.config;
            let like = run.step_time();
            if kinds.iter().any(|kind| kind.like == like) {
                continue;
            }
            let mut read =
                run.model.init.iter().chain(&run.correction.verifier.model).chain(&run.lexicon.path);
            let can = read.all(|path| path.exists()) && start.elapsed() < BUDGET;
            if can {
                tell(entry.arm);
            }
            let seconds = if can { Some(self.probe(entry)?) } else { None };
            kinds.push(Kind { like, seconds });
        }
        Ok(kinds)
    }

    /// Seconds of a step.
    fn probe(&self, entry: &Entry<'_>) -> Result<f64, StudyError> {
        let scratch = std::env::temp_dir().join(format!("fnlm-probe-{}", std::process::id()));
        let config = scratch.join("config.toml");
        let write = |source| StudyError::Write { path: config.clone(), source };
        std::fs::create_dir_all(&scratch).map_err(write)?;
        let measured = std::fs::write(&config, entry.config.to_toml()).map_err(write).and_then(|()| {
            let mut command = self.pretrain(&config);
            command.args(["--dry-run", "--quiet", "--run"]).arg(&scratch);
            Ok(run_to_end(command, &scratch.join("records.jsonl"), &|| self.stop.requested())?)
        });
        let _ = std::fs::remove_dir_all(&scratch); // what is left of it harms nobody
        let measured = measured?;
        if self.stop.requested() {
            return Err(StudyError::Stopped);
        }
        let seconds = measured.estimate().and_then(|estimate| estimate.seconds_per_step);
        seconds.ok_or_else(|| StudyError::Probe { arm: entry.arm.name.clone(), message: measured.failure() })
    }
}

impl Entry<'_> {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::DoneOtherwise)
    }
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
    fn ids(&mut self, evaluation: &Evaluation, tokenizer: &Path) -> Result<f64, StudyError> {
        let key = (evaluation.task.clone(), tokenizer.to_owned());
        if let Some(ids) = self.ids.get(&key) {
            return Ok(*ids);
        }
        if !self.tokenizers.contains_key(tokenizer) {
            let opened = TextTokenizer::load(tokenizer).map_err(FinetuneError::from)?;
            self.tokenizers.insert(tokenizer.to_owned(), opened);
        }
        let ids = evaluation.seeds as f64 * ids_of_seed(evaluation, &self.tokenizers[tokenizer])?;
        self.ids.insert(key, ids);
        Ok(ids)
    }
}

fn ids_of_seed(evaluation: &Evaluation, tokenizer: &TextTokenizer) -> Result<f64, StudyError> {
    // Architecture and size decide about the learning rate alone.
    let (task, recipe) = evaluation.recipe(Arch::Electra, 256)?;
    let find = |set: &Task, split| set.find(&evaluation.data, split).map_err(FinetuneError::from);
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
) -> Result<f64, StudyError> {
    let examples = data.examples.len();
    data.examples.truncate(SAMPLE);
    let sample = data.examples.len().max(1);
    let encoded = Encoded::new(task, data, tokenizer, recipe.length)?;
    Ok(encoded.ids() as f64 * examples as f64 / sample as f64)
}
