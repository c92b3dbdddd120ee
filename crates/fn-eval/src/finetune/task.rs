//! Fine-tuning tasks: those of GLUE, and tasks described in a TOML file.

use std::path::{Path, PathBuf};

use fn_data::DataError;
use fn_data::task::{Example, GlueTask, Label, Split, TaskData, TaskError, TaskKind, TaskSpec, glue};
use fn_models::Arch;

use super::FinetuneError;
use crate::finetune::fit::Recipe;
use crate::glue as scores;
use crate::metrics;
use crate::predictions::{self, Answer, PredictionError, Record};
use crate::stats::{Comparison, StatsError, paired_bootstrap};

/// A fine-tuning task.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// A task of GLUE. MNLI is one task with two development sets.
    Glue(GlueTask),
    /// A task that is described in a TOML file.
    Own {
        /// Name of the description, without `.toml`.
        name: String,
        /// The description.
        spec: TaskSpec,
    },
}

/// What a task predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of several classes (classification).
    Classes,
    /// A number (regression).
    Score,
    /// One of several tags for each word (token classification).
    Tags,
}

/// Metrics of a set of predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskScores {
    /// Value of the main metric, a fraction; higher is better.
    pub main: f64,
    /// Name of the main metric.
    pub main_name: String,
    /// All metrics: (name, value).
    pub all: Vec<(String, f64)>,
}

impl Task {
    /// A task of GLUE by its name, or the description in a `.toml` file.
    ///
    /// # Errors
    /// An unknown name, a description that cannot be read.
    pub fn open(text: &str) -> Result<Self, FinetuneError> {
        let path = Path::new(text);
        if path.extension().is_some_and(|end| end == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Self::Own { name, spec: TaskSpec::load(path)? });
        }
        let unknown = |_| FinetuneError::UnknownTask { found: text.chars().take(60).collect() };
        text.parse().map(Self::Glue).map_err(unknown)
    }

    /// Name of the task: `RTE`, `MNLI`, or that of the task description.
    pub fn name(&self) -> &str {
        match self {
            Self::Glue(GlueTask::MnliMatched) => "MNLI",
            Self::Glue(task) => task.name(),
            Self::Own { name, .. } => name,
        }
    }

    /// What the task predicts.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Glue(task) if task.is_regression() => Kind::Score,
            Self::Glue(_) => Kind::Classes,
            Self::Own { spec, .. } => match spec.kind {
                TaskKind::Classify | TaskKind::Pair => Kind::Classes,
                TaskKind::Regress => Kind::Score,
                TaskKind::Tag => Kind::Tags,
            },
        }
    }

    /// Names of the classes or tags in the order of a model's outputs; empty for a regression.
    pub fn labels(&self) -> Vec<String> {
        match self {
            Self::Glue(task) => task.labels().iter().map(|&l| l.to_owned()).collect(),
            Self::Own { spec, .. } => spec.labels.clone(),
        }
    }

    /// Number of outputs of a model: one for each label, 1 for a regression.
    pub fn outputs(&self) -> usize {
        self.labels().len().max(1)
    }

    /// The folder with the task's files: `data/RTE` if it exists, otherwise `data` itself.
    pub fn folder(&self, data: &Path) -> PathBuf {
        let names: &[&str] = match self {
            Self::Glue(GlueTask::MnliMatched | GlueTask::MnliMismatched) => &["MNLI", "mnli"],
            Self::Glue(GlueTask::Ax) => &["AX", "ax", "diagnostic", "MNLI"],
            Self::Glue(task) => &[task.name()],
            Self::Own { name, .. } => &[name.as_str()],
        };
        let plain = |name: &str| name.to_lowercase().replace('-', "");
        let all = names.iter().flat_map(|&name| [name.to_owned(), plain(name)]);
        all.map(|name| data.join(name)).find(|path| path.is_dir()).unwrap_or_else(|| data.to_owned())
    }

    /// The examples of a split; None if there is no file for it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn find(&self, data: &Path, split: Split) -> Result<Option<TaskData>, TaskError> {
        match self.load(data, split) {
            Err(TaskError::Data(DataError::Missing { .. })) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The examples of a split.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn load(&self, data: &Path, split: Split) -> Result<TaskData, TaskError> {
        let folder = self.folder(data);
        match self {
            Self::Glue(task) => glue::load(*task, &folder, split),
            Self::Own { spec, .. } => {
                let stems: &[&str] = match split {
                    Split::Train => &["train"],
                    Split::Dev => &["dev", "validation", "valid"],
                    Split::Test => &["test"],
                };
                let names = stems.iter().flat_map(|stem| {
                    ["tsv", "csv", "txt", "jsonl", "parquet"].map(|end| format!("{stem}.{end}"))
                });
                let packed = names.flat_map(|n| ["", ".gz", ".zst", ".xz"].map(|end| format!("{n}{end}")));
                // A folder or a pipe where there is no file is read as well, and refused by what it is.
                let paths: Vec<PathBuf> = packed.map(|name| folder.join(name)).collect();
                let file = paths.iter().find(|path| path.is_file());
                let found = file.or_else(|| paths.iter().find(|path| path.exists())).cloned();
                let missing = || DataError::Missing { path: folder.join(format!("{}.tsv", stems[0])) };
                spec.read(&found.ok_or_else(missing)?)
            }
        }
    }

    /// The tasks of GLUE that have a folder under `data` with a training and a development set, and the names of the tasks of
    /// GLUE that have none.
    pub fn in_folder(data: &Path) -> (Vec<Self>, Vec<String>) {
        let all = GlueTask::ALL.into_iter().filter(|t| !matches!(t, GlueTask::MnliMismatched | GlueTask::Ax));
        let (mut tasks, mut absent) = (Vec::new(), Vec::new());
        for task in all.map(Self::Glue) {
            // Files directly in `data` do not count: they would match every task.
            let its_own = task.folder(data) != data;
            let mut splits = [Split::Train, Split::Dev].into_iter();
            let there = its_own && splits.all(|split| !matches!(task.find(data, split), Ok(None)));
            if there { tasks.push(task) } else { absent.push(task.name().to_owned()) }
        }
        (tasks, absent)
    }

    /// Reads one file of this task.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self, file: &Path) -> Result<TaskData, TaskError> {
        match self {
            Self::Glue(task) => glue::read(*task, file),
            Self::Own { spec, .. } => spec.read(file),
        }
    }

    /// The development sets: two for MNLI (matched and mismatched), otherwise one.
    pub fn dev_sets(&self) -> Vec<Self> {
        match self {
            Self::Glue(GlueTask::MnliMatched) => {
                [GlueTask::MnliMatched, GlueTask::MnliMismatched].map(Self::Glue).into()
            }
            task => vec![task.clone()],
        }
    }

    /// The test sets: for MNLI also the diagnostic set AX.
    pub fn test_sets(&self) -> Vec<Self> {
        match self {
            Self::Glue(GlueTask::MnliMatched) => {
                [GlueTask::MnliMatched, GlueTask::MnliMismatched, GlueTask::Ax].map(Self::Glue).into()
            }
            task => vec![task.clone()],
        }
    }

    /// Name of a set in files and tables.
    pub fn set_name(&self) -> &str {
        match self {
            Self::Glue(task) => task.name(),
            Self::Own { name, .. } => name,
        }
    }

    /// The recipe of google-research/electra for this task: three epochs (ten for RTE and STS-B), pairs of MRPC and STS-B in
    /// both orders, a learning rate that depends on the size of the encoder. For BERT encoders the rate is 1e-4 (hidden size
    /// below 512) or 5e-5.
    pub fn recipe(&self, arch: Arch, hidden_size: usize) -> Recipe {
        let lr = match (arch.has_discriminator(), hidden_size) {
            (true, ..512) => 3e-4,
            (true, 512..1024) | (false, ..512) => 1e-4,
            _ => 5e-5,
        };
        Recipe {
            epochs: if matches!(self, Self::Glue(GlueTask::Rte | GlueTask::Stsb)) { 10.0 } else { 3.0 },
            double_pairs: matches!(self, Self::Glue(GlueTask::Mrpc | GlueTask::Stsb)),
            lr,
            layer_decay: if hidden_size >= 1024 { 0.9 } else { 0.8 },
            ..Recipe::default()
        }
    }

    /// The label as it is written to files of predictions.
    pub fn answer(&self, label: &Label) -> Answer {
        let labels = self.labels();
        let name = |&class: &u32| labels.get(class as usize).cloned().unwrap_or_default();
        match label {
            Label::Class(class) => Answer::Class(name(class)),
            Label::Score(score) => Answer::Score(*score),
            Label::Tags(tags) => Answer::Tags(tags.iter().map(name).collect()),
        }
    }

    /// Scores predictions that have a `gold` label.
    ///
    /// # Errors
    /// A prediction without a gold label, or of another kind than the task's.
    pub fn score(&self, records: &[Record]) -> Result<TaskScores, FinetuneError> {
        match self {
            Self::Glue(task) => {
                let found = predictions::score_records(*task, records)?;
                Ok(TaskScores {
                    main: found.main(),
                    main_name: scores::main_metric(*task).name().to_owned(),
                    all: found.iter().map(|(metric, value)| (metric.name().to_owned(), value)).collect(),
                })
            }
            Self::Own { .. } => self.score_own(records),
        }
    }

    /// Scores the labels of `data` as if they were predictions, so that errors of scoring are found before a model is trained.
    ///
    /// # Errors
    /// See [`Task::score`].
    pub fn check_scoring(&self, data: &TaskData) -> Result<(), FinetuneError> {
        let record = |example: &Example| {
            let gold = self.answer(example.label.as_ref()?);
            let (index, id, prediction) = (example.index, example.id.clone(), gold.clone());
            Some(Record { index, id, gold: Some(gold), prediction, scores: Vec::new() })
        };
        let records: Vec<Record> = data.examples.iter().filter_map(record).collect();
        self.score(&records).map(drop)
    }

    /// Reads predictions for the examples of `data` from a file; the labels of `data` become their `gold`.
    ///
    /// # Errors
    /// A file that cannot be read, or that does not hold exactly one prediction for each example.
    pub fn read_predictions(&self, path: &Path, data: &TaskData) -> Result<Vec<Record>, PredictionError> {
        let mut records = predictions::align(predictions::read(path)?, data.examples.len(), path)?;
        // Gold labels are taken from the data, even if the file has its own.
        for (record, example) in records.iter_mut().zip(&data.examples) {
            record.gold = example.label.as_ref().map(|label| self.answer(label));
        }
        // Class indices become names here; for GLUE, the scorer does it for the tasks whose official files hold indices.
        if let Self::Own { .. } = self {
            predictions::name_classes(&mut records, &self.labels())?;
        }
        Ok(records)
    }

    /// Compares the main metric of two sets of predictions for the same examples, both with `gold`, by a paired bootstrap.
    ///
    /// # Errors
    /// No resample on which the metric of both is defined.
    pub fn compare(
        &self,
        a: &[Record],
        b: &[Record],
        resamples: usize,
        seed: u64,
    ) -> Result<Comparison, StatsError> {
        // Metrics do not use the probabilities; dropping them makes copies for resamples cheap.
        let bare = |record: &Record| Record { id: None, scores: Vec::new(), ..record.clone() };
        let [a, b] = [a, b].map(|all| all.iter().map(bare).collect::<Vec<_>>());
        let of = |records: &[Record], chosen: &[usize]| {
            let drawn: Vec<Record> = chosen.iter().map(|&i| records[i].clone()).collect();
            self.score(&drawn).map_or(f64::NAN, |scores| scores.main)
        };
        paired_bootstrap(a.len(), resamples, seed, &|chosen| (of(&a, chosen), of(&b, chosen)))
    }

    fn score_own(&self, records: &[Record]) -> Result<TaskScores, FinetuneError> {
        let labels = self.labels();
        let class = |name: &str| labels.iter().position(|label| label == name).unwrap_or(usize::MAX);
        let (mut predicted, mut expected) = (Vec::new(), Vec::new());
        let (mut numbers, mut gold_numbers) = (Vec::new(), Vec::new());
        for record in records {
            match (&record.prediction, &record.gold) {
                (Answer::Class(p), Some(Answer::Class(e))) => {
                    predicted.push(class(p));
                    expected.push(class(e));
                }
                (Answer::Score(p), Some(Answer::Score(e))) => {
                    numbers.push(*p);
                    gold_numbers.push(*e);
                }
                (Answer::Tags(p), Some(Answer::Tags(e))) => {
                    // Words that were truncated have no prediction; they count as wrong.
                    for (word, name) in e.iter().enumerate() {
                        predicted.push(p.get(word).map_or(usize::MAX, |name| class(name)));
                        expected.push(class(name));
                    }
                }
                _ => {
                    let (found, index) = (&record.prediction, record.index);
                    return Err(FinetuneError::WrongModel {
                        path: PathBuf::from(self.name()),
                        found: format!("example {index} has prediction {found:?} and gold {:?}", record.gold),
                        expected: "both, and of the task's kind".to_owned(),
                        remedy: "score predictions of this task on labelled data",
                    });
                }
            }
        }
        let mut all = Vec::new();
        if self.kind() == Kind::Score {
            let pearson = metrics::pearson(&numbers, &gold_numbers)?;
            let spearman = metrics::spearman(&numbers, &gold_numbers)?;
            all.push(("pearson".to_owned(), pearson));
            all.push(("spearman".to_owned(), spearman));
            all.push(("mean".to_owned(), f64::midpoint(pearson, spearman)));
            return Ok(TaskScores {
                main: f64::midpoint(pearson, spearman),
                main_name: "mean".to_owned(),
                all,
            });
        }
        let accuracy = metrics::accuracy(&predicted, &expected)?;
        all.push(("accuracy".to_owned(), accuracy));
        all.push(("matthews".to_owned(), metrics::matthews(&predicted, &expected)?));
        if self.kind() == Kind::Tags
            && let Some(f1) = super::entities::f1(records)
        {
            all.push(("entity_f1".to_owned(), f1));
            return Ok(TaskScores { main: f1, main_name: "entity_f1".to_owned(), all });
        }
        Ok(TaskScores { main: accuracy, main_name: "accuracy".to_owned(), all })
    }
}
