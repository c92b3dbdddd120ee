//! Fine-tunes on a task with one seed, or with several in turn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_data::task::{Example, Split, TaskData};
use fn_data::tokenise::TextTokenizer;
use fn_models::TaskConfig;
use fn_models::hf::{self, LoadReport};
use fn_train::checkpoint::CheckpointError;
use fn_train::collective::Collective;
use fn_train::stop::Stop;

use super::alike::same_examples;
use super::card::CARD;
use super::course::{self, Course, Measured, Shared};
use super::fit::{Ended, Job, Recipe, Step};
use super::results::{self, RESULT, RESULTS};
use super::{Encoded, FinetuneError, Results, SeedResult, Task, TaskModel, warnings};
use crate::predictions;
use crate::table::thousands;

/// Inputs that are the same for all seeds.
pub struct Setup<'a> {
    /// The task.
    pub task: &'a Task,
    /// The encoder, in the Hugging Face layout.
    pub model: &'a Path,
    /// Tokenizer of the encoder.
    pub tokenizer: &'a TextTokenizer,
    /// Folder of the task's files, or a folder with one folder for each task.
    pub data: &'a Path,
    /// Train only on this many examples, the first of the file.
    pub limit: Option<usize>,
    /// The fine-tuning recipe.
    pub recipe: &'a Recipe,
    /// Device to train on, with autodiff.
    pub device: &'a Device,
    /// Polled before each step.
    pub stop: &'a Stop,
    /// Whether the fine-tuned model is saved.
    pub keep_model: bool,
    /// The processes that fine-tune together; a process alone is [`Single`](fn_train::collective::Single).
    pub ranks: &'a dyn Collective,
}

/// A progress report of fine-tuning.
#[derive(Debug)]
pub enum Event<'a> {
    /// A warning for the user.
    Notice(String),
    /// An optimiser step was taken.
    Step(Step),
    /// Something that looks wrong.
    Warning(&'a str),
    /// Prediction of a set begins.
    Predicting(&'a str),
    /// Fine-tuning with this seed begins.
    Seed(u64),
    /// Fine-tuning with a seed is finished.
    Done {
        /// The scores.
        result: &'a SeedResult,
        /// Whether the result was read from an earlier run instead of computed now.
        known: bool,
    },
}

/// Tokenised examples of all sets of a task.
#[derive(Debug)]
pub struct Prepared {
    /// Training set; with [`Recipe::double_pairs`] each pair in both orders.
    pub train: Encoded,
    /// Development sets.
    pub dev: Vec<(Task, Encoded)>,
    /// Test sets; those without a file are absent.
    pub test: Vec<(Task, Encoded)>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Compares the training and development examples of all ranks.
    ///
    /// # Errors
    /// Ranks that read other examples than the first one.
    pub fn agree(&self, ranks: &dyn Collective) -> Result<(), FinetuneError> {
        let sets = std::iter::once(&self.train).chain(self.dev.iter().map(|(_, encoded)| encoded));
        Ok(same_examples(ranks, || sets.fold(0, |checksum, set| set.checksum(checksum)))?)
    }

    /// Number of examples and steps, in one line for the terminal.
    pub fn summary(&self, task: &Task, recipe: &Recipe) -> String {
        let of = |(set, data): &(Task, Encoded)| {
            format!("{} {}", thousands(data.data.examples.len() as u64), set.set_name())
        };
        let sets = |sets: &[(Task, Encoded)]| match sets {
            [] => "none".to_owned(),
            sets => sets.iter().map(of).collect::<Vec<_>>().join(", "),
        };
        let train = self.train.data.examples.len();
        format!(
            "{}: {} training examples, {} steps a seed; development: {}; test: {}",
            task.name(),
            thousands(train as u64),
            thousands(recipe.steps(train)),
            sets(&self.dev),
            sets(&self.test),
        )
    }
}

/// Reads and tokenises all sets.
///
/// # Errors
/// A training or development set that is missing, unlabelled or cannot be read.
pub fn prepare(setup: &Setup<'_>) -> Result<Prepared, FinetuneError> {
    let task = setup.task;
    if *task == Task::Glue(fn_data::task::GlueTask::Ax) {
        return Err(FinetuneError::NoTraining { task: task.name().to_owned() });
    }
    let (mut warnings, mut noticed) = (Vec::new(), Vec::new());
    let mut read = |data: TaskData, labels: bool| -> Result<TaskData, FinetuneError> {
        if labels {
            data.require_labels()?;
        }
        warnings.extend(data.report.warnings());
        Ok(data)
    };
    let mut train = read(task.load(setup.data, Split::Train)?, true)?;
    train.examples.truncate(setup.limit.unwrap_or(usize::MAX));
    if setup.recipe.double_pairs {
        double(&mut train.examples);
    }
    let encode = |task: &Task, data| Encoded::new(task, data, setup.tokenizer, setup.recipe.length);
    let (mut dev, mut test) = (Vec::new(), Vec::new());
    for set in task.dev_sets() {
        let data = match set == *task {
            true => set.load(setup.data, Split::Dev)?,
            // The second development set of MNLI may be missing.
            false => match set.find(setup.data, Split::Dev)? {
                Some(data) => data,
                None => continue,
            },
        };
        let data = read(data, true)?;
        set.check_scoring(&data)?;
        for warning in warnings::of_data(&set, &train, &data) {
            if !noticed.contains(&warning) {
                noticed.push(warning);
            }
        }
        let encoded = encode(&set, data)?;
        dev.push((set, encoded));
    }
    for set in task.test_sets() {
        if let Some(data) = set.find(setup.data, Split::Test)? {
            let data = read(data, false)?;
            let encoded = encode(&set, data)?;
            test.push((set, encoded));
        }
    }
    let train = encode(task, train)?;
    let pieces = train.sequences.iter().flat_map(|sequence| &sequence.ids);
    noticed.extend(warnings::of_pieces(pieces, setup.tokenizer));
    let (arch, config) = hf::read_encoder(setup.model)?;
    noticed.extend(warnings::of_rate(setup.recipe, &task.recipe(arch, config.hidden_size)));
    warnings.extend(noticed);
    Ok(Prepared { train, dev, test, warnings })
}

/// Appends each pair with its two sentences swapped.
fn double(examples: &mut Vec<Example>) {
    let swapped = |e: &Example| {
        let second = e.second.clone()?;
        Some(Example { first: second, second: Some(e.first.clone()), ..e.clone() })
    };
    let more: Vec<Example> = examples.iter().filter_map(swapped).collect();
    examples.extend(more);
    for (index, example) in examples.iter_mut().enumerate() {
        example.index = index;
    }
}

/// Fine-tunes, evaluates and predicts with one seed, or reads the result of a finished run. None if a stop was requested.
///
/// # Errors
/// See [`FinetuneError`].
pub fn run_seed(
    setup: &Setup<'_>,
    prepared: &Prepared,
    seed: u64,
    dir: &Path,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Option<SeedResult>, FinetuneError> {
    course::run(&Tuning { setup, prepared }, seed, dir, tell)
}

struct Tuning<'a> {
    setup: &'a Setup<'a>,
    prepared: &'a Prepared,
}

impl Course for Tuning<'_> {
    type Model = TaskModel;

    fn shared(&self) -> Shared<'_> {
        let Setup { task, model, tokenizer, recipe, device, stop, keep_model, ranks, .. } = *self.setup;
        Shared {
            task: task.name(),
            kind: Some(task.kind()),
            model,
            tokenizer,
            recipe,
            length: recipe.length,
            train_examples: self.prepared.train.data.examples.len(),
            warnings: &self.prepared.warnings,
            device,
            stop,
            keep_model,
            ranks,
        }
    }

    fn load(&self, seed: u64) -> Result<(TaskModel, TaskConfig, LoadReport), FinetuneError> {
        TaskModel::load(self.setup.task, self.setup.model, seed, self.setup.device)
    }

    fn fit(&self, model: TaskModel, job: &mut Job<'_>) -> Result<Ended<TaskModel>, FinetuneError> {
        let Setup { device, stop, .. } = *self.setup;
        let dev = &self.prepared.dev;
        let measure = |model: &TaskModel| {
            let mut sum = 0.0;
            for (set, encoded) in dev {
                let records = model.predict(set, encoded, device, stop)?;
                sum += set.score(&records).map_or(f64::NAN, |scores| scores.main);
            }
            Some(sum / dev.len() as f64)
        };
        model.fit(job, &self.prepared.train, Some(&measure))
    }

    fn measure(
        &self,
        model: &TaskModel,
        dir: &Path,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Measured>, FinetuneError> {
        let mut scores = BTreeMap::new();
        let (mut main, mut metric, mut warnings) = (Vec::new(), String::new(), Vec::new());
        for (split, sets) in [("dev", &self.prepared.dev), ("test", &self.prepared.test)] {
            for (set, encoded) in sets {
                tell(Event::Predicting(set.set_name()));
                let Some(records) = model.predict(set, encoded, self.setup.device, self.setup.stop) else {
                    return Ok(None);
                };
                let path = dir.join(format!("{split}-{}.jsonl", set.set_name()));
                predictions::write(&path, &records).map_err(crate::EvalError::from)?;
                if split == "dev" {
                    let found = set.score(&records)?;
                    warnings.extend(warnings::of_predictions(set.set_name(), &records));
                    main.push(found.main);
                    metric.clone_from(&found.main_name);
                    let finite = |(name, value): (String, f64)| (name, value.is_finite().then_some(value));
                    scores.insert(set.set_name().to_owned(), found.all.into_iter().map(finite).collect());
                }
            }
        }
        let main = main.iter().sum::<f64>() / main.len() as f64;
        Ok(Some(Measured { main, metric, scores, null_threshold: None, warnings }))
    }

    fn save(
        &self,
        model: &TaskModel,
        config: &TaskConfig,
        _: Option<f64>,
        folder: &Path,
    ) -> Result<(), FinetuneError> {
        model.save(self.setup.task, folder, config)?;
        save_card(folder, self.setup.task, self.setup.recipe.length)
    }
}

/// Runs one seed in a folder and reports its progress; None if a stop was requested.
pub type OneSeed<'a> =
    dyn FnMut(u64, &Path, &mut dyn FnMut(Event<'_>)) -> Result<Option<SeedResult>, FinetuneError> + 'a;

/// Runs `one` for each seed, in `out/seed-N`, and keeps `out/results.json` up to date where `writes`, as one of several processes does.
/// None if a stop was requested.
///
/// # Errors
/// Those of `one`; a file that cannot be written.
pub fn run_seeds(
    task: &str,
    seeds: std::ops::Range<u64>,
    out: &Path,
    writes: bool,
    one: &mut OneSeed<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Option<Results>, FinetuneError> {
    let mut done = Results { task: task.to_owned(), metric: String::new(), seeds: Vec::new() };
    for seed in seeds {
        let dir = out.join(format!("seed-{seed}"));
        if writes && !done.seeds.is_empty() && !out.join(RESULTS).exists() {
            // The folder was removed meanwhile; another one would hold a part of the seeds.
            return Err(CheckpointError::Gone { path: out.to_owned() }.into());
        }
        let known = dir.join(RESULT).exists();
        tell(Event::Seed(seed));
        let Some(result) = one(seed, &dir, tell)? else {
            return Ok(None);
        };
        tell(Event::Done { result: &result, known });
        done.metric.clone_from(&result.metric);
        done.seeds.push(result);
        if writes {
            results::write(&out.join(RESULTS), &done)?;
        }
    }
    let scores: Vec<Option<f64>> = done.seeds.iter().map(|seed| seed.main).collect();
    if let Some(warning) = warnings::of_seeds(&scores).filter(|_| writes) {
        tell(Event::Warning(&warning));
    }
    Ok(Some(done))
}

/// The task of a fine-tuned model, saved beside its weights; read by `fnlm predict`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskCard {
    /// Name of the task: of GLUE, of a task description (a TOML file), or `SQuAD`.
    pub task: String,
    /// The task description, if the task is not of GLUE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<fn_data::task::TaskSpec>,
    /// Maximum sequence length in training, in tokens.
    pub length: usize,
}

impl TaskCard {
    /// The task.
    ///
    /// # Errors
    /// An unknown name.
    pub fn task(self) -> Result<Task, FinetuneError> {
        match self.spec {
            Some(spec) => Ok(Task::Own { name: self.task, spec }),
            None => Task::open(&self.task),
        }
    }

    /// Reads the task card from a model's folder; None if there is none.
    ///
    /// # Errors
    /// A card that cannot be read.
    pub fn read(model: &Path) -> Result<Option<Self>, FinetuneError> {
        results::read(&model.join(CARD))
    }
}

fn save_card(folder: &Path, task: &Task, length: usize) -> Result<(), FinetuneError> {
    let spec = match task {
        Task::Own { spec, .. } => Some(spec.clone()),
        Task::Glue(_) => None,
    };
    let card = TaskCard { task: task.name().to_owned(), spec, length };
    let path: PathBuf = folder.join(CARD);
    results::write(&path, &card)
}
