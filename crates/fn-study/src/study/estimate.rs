//! Lists the unfinished runs of a study and estimates how long they take.
//!
//! Pre-training is measured by a probe of a few steps for each kind of arm. Fine-tuning is derived from it: the tokens of a task's
//! sets divided by the tokens per second of the probes. Pre-training does more per token (generator, output vocabulary), but a
//! fine-tuning batch is small; so the estimate is rough.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fn_data::task::{Split, TaskData};
use fn_data::tokenise::TextTokenizer;
use fn_eval::finetune::fit::Recipe;
use fn_eval::finetune::{Encoded, FinetuneError, Task};
use fn_eval::table::{Table, clock};
use fn_models::Arch;
use fn_train::config::Runnable;
use fn_train::rundir;

use super::run::Plan;
use super::{Arm, Evaluation, StudyError, arms, run_folder};
use crate::process::run_to_end;

/// Time limit of all probes; kinds that were not probed by then are assumed to be as slow as the slowest.
const BUDGET: Duration = Duration::from_secs(300);
/// Examples of a set that are tokenised to estimate the mean length.
const SAMPLE: usize = 1_000;

/// Progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started.
    ToDo,
    /// Stopped before the end.
    HalfWay,
    /// Pre-trained.
    Done,
    /// Pre-trained, but with other settings than the study has now.
    DoneOtherwise,
}

impl State {
    /// Name for tables.
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
    /// Progress of its pre-training.
    pub state: State,
    /// How its settings differ from those that the study has now.
    pub difference: Option<String>,
    /// Tasks without finished fine-tuning.
    pub missing: Vec<&'a Evaluation>,
    /// Measures that were not taken.
    pub unmeasured: usize,
    config: Runnable,
    /// Remaining optimiser steps.
    steps: u64,
}

/// Estimated time of the rest of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Seconds of pre-training, without evaluations and checkpoints.
    pub pretraining: f64,
    /// Seconds of fine-tuning, derived from the probes.
    pub finetuning: f64,
    /// Seconds per step of each probed kind of arm; empty if every arm needs files that another run has not written yet.
    pub probes: Vec<f64>,
    /// Number of kinds of arms.
    pub kinds: usize,
}

impl Outlook {
    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let range = |pick: fn(f64, f64) -> f64| self.probes.iter().copied().reduce(pick);
        let (Some(least), Some(most)) = (range(f64::min), range(f64::max)) else {
            return "no estimate: every arm needs files that another run of the study writes first\n"
                .to_owned();
        };
        let probes = match self.probes.len() {
            1 => format!("a probe: {most:.3}"),
            n => format!("{n} probes: {least:.3} to {most:.3}"),
        };
        let mut text = format!(
            "pre-training: about {} ({probes} s a step; without evaluation and checkpoints)\n",
            clock(self.pretraining)
        );
        if self.finetuning > 0.0 {
            text.push_str(&format!(
                "fine-tuning: about {} (derived from the tokens per second of pre-training, not measured)\ntogether: about {}\n",
                clock(self.finetuning),
                clock(self.pretraining + self.finetuning)
            ));
        }
        let others = self.kinds - self.probes.len();
        if others > 0 {
            text.push_str(&format!(
                "{others} of {} kinds of arms were not probed (time was up, or another run writes first what they read): taken to be as \
                 slow as the slowest\n",
                self.kinds
            ));
        }
        text
    }
}

/// Arms with the same step time: the settings on which it depends, and the seconds per step, if measured.
struct Kind {
    like: Vec<(String, String)>,
    seconds: Option<f64>,
}

impl Plan<'_> {
    /// The progress of these runs, as the terminal shows it.
    pub fn text(&self, entries: &[Entry<'_>]) -> String {
        let mut table = Table::new(["arm", "seed", "pre-training", "fine-tuning"]);
        let all = self.study.evaluations.len();
        for entry in entries {
            let tasks = format!("{} of {all} done", all - entry.missing.len());
            table.row([entry.arm.name.clone(), entry.seed.to_string(), entry.state.name().to_owned(), tasks]);
        }
        let mut text = table.to_text();
        let refused = |entry: &Entry<'_>| {
            let difference = entry.difference.as_ref()?;
            Some(format!("{} seed {}: {difference}", entry.arm.name, entry.seed))
        };
        let refused: Vec<String> = entries.iter().filter_map(refused).collect();
        if let Some(example) = refused.first() {
            text.push_str(&format!(
                "{} runs were made with other settings, which is an error, e.g. {example}; remove them or choose another --out\n",
                refused.len()
            ));
        }
        let missing = entries.iter().filter(|e| matches!(e.state, State::ToDo | State::HalfWay)).count();
        let scores: usize = entries.iter().map(|entry| entry.missing.len()).sum();
        let unmeasured: usize = entries.iter().map(|entry| entry.unmeasured).sum();
        let measures =
            if self.study.measures.is_empty() { String::new() } else { format!(", {unmeasured} measures") };
        text.push_str(&format!(
            "{missing} of {} runs and {scores} fine-tunings{measures} are to do\n",
            entries.len()
        ));
        text
    }

    /// The progress of these runs and the estimate of their rest, as JSON.
    pub fn json(&self, entries: &[Entry<'_>], outlook: Option<&Outlook>) -> serde_json::Value {
        let run = |entry: &Entry<'_>| {
            let missing: Vec<&str> =
                entry.missing.iter().map(|evaluation| evaluation.task.as_str()).collect();
            serde_json::json!({
                "arm": entry.arm.name, "seed": entry.seed, "pretraining": entry.state.name(), "difference": entry.difference,
                "finetuning_missing": missing, "measures_missing": entry.unmeasured, "steps_left": entry.steps,
            })
        };
        let seconds = outlook.map(|outlook| {
            serde_json::json!({
                "pretraining_seconds": outlook.pretraining, "finetuning_seconds": outlook.finetuning,
                "seconds_per_step": outlook.probes, "kinds": outlook.kinds,
            })
        });
        serde_json::json!({"study": self.study.name, "runs": entries.iter().map(run).collect::<Vec<_>>(), "estimate": seconds})
    }

    /// The progress of each of these runs.
    ///
    /// # Errors
    /// An invalid configuration.
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
            let mut unmeasured = 0;
            for measure in &self.study.measures {
                unmeasured += usize::from(measure.figures(&folder)?.is_none());
            }
            Ok(Entry { arm, seed, state, difference, missing, unmeasured, config, steps })
        };
        mine.iter().map(entry).collect()
    }

    /// Estimates the time of the unfinished runs; `tell` is called with each arm that is probed. None if nothing is missing.
    ///
    /// # Errors
    /// A probe that fails, files of a task that cannot be read; a requested stop.
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

    /// Probes each kind of arm among the runs.
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

    /// Measures the seconds per step of an arm.
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
        let _ = std::fs::remove_dir_all(&scratch); // best effort: leftovers in the temporary folder are harmless
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

/// Number of tokens in the sets of a task, by task and tokenizer.
#[derive(Default)]
struct Sets {
    tokenizers: BTreeMap<PathBuf, TextTokenizer>,
    ids: BTreeMap<(String, PathBuf), f64>,
}

impl Sets {
    /// Tokens that all seeds of an evaluation process, forward and backward.
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
    // Architecture and size only affect the learning rate, not the time.
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
                // A forward pass alone is a third of the work of a training step.
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
