//! Writes perturbed copies of a development set and evaluates a model on them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_data::perturb::{Perturbation, Perturber, keeps_label, keeps_label_of_kind, squad, write};
use fn_data::task::{Example, Places, Split, TaskData, TaskKind};
use fn_data::tokenise::TextTokenizer;
use fn_train::stop::Stop;

use super::{RobustError, Row, compare_records, compare_values, question_f1};
use crate::finetune::{Encoded, LENGTH, SquadCard, Task, TaskCard, TaskModel, predict_squad};
use crate::predictions::Record;
use crate::squad::{ById, Dataset};

/// Folder of the unperturbed set; no perturbation has this name.
const ORIGINAL: &str = "original";

/// A progress report.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A warning for the user.
    Warning(String),
    /// A file was written.
    Wrote(&'a Path),
    /// Prediction of a set begins.
    Predicting {
        /// Name of the set.
        set: &'a str,
        /// Name of the perturbation, or `the original`.
        kind: &'a str,
    },
}

/// The model that is evaluated.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its folder.
    pub model: &'a Path,
    /// The model's tokenizer.
    pub tokenizer: &'a TextTokenizer,
    /// Device of the model.
    pub device: &'a Device,
    /// Polled before each batch.
    pub stop: &'a Stop,
    /// Number of resamples of the bootstrap.
    pub resamples: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// Inputs of an evaluation on perturbed text.
pub struct Job<'a> {
    /// Name of the task on the command line, for messages.
    pub asked: &'a str,
    /// Folder of the task's files; used if there is no `input`.
    pub data: Option<&'a Path>,
    /// A single file of examples.
    pub input: Option<&'a Path>,
    /// Output folder, with a subfolder for each perturbation.
    pub out: &'a Path,
    /// Use only this many examples or questions, the first of the file.
    pub limit: Option<usize>,
    /// The perturbations.
    pub perturbers: &'a [Perturber<'a>],
    /// The model; if None, the copies are written and nothing is predicted.
    pub subject: Option<Subject<'a>>,
    /// Receives progress reports.
    pub tell: &'a mut dyn FnMut(Event<'_>),
}

impl Job<'_> {
    /// Warns if a perturbation changed no example (for instance names in a set without capital letters).
    fn unchanged(&mut self, kind: Perturbation, set: &str, changed: usize) {
        if changed == 0 {
            (self.tell)(Event::Warning(format!("`{kind}` changed none of the examples of {set}")));
        }
    }
}

/// Writes perturbed copies of a development set (of SQuAD if `task` is None) and, if a model is given, compares its predictions
/// on them with those on the original. Inputs are checked before anything is written.
///
/// # Errors
/// See [`RobustError`].
pub fn run(job: &mut Job<'_>, task: Option<&Task>) -> Result<Vec<Row>, RobustError> {
    match task {
        Some(task) => sentences(job, task),
        None => questions(job),
    }
}

/// Whether `name` is the name of SQuAD.
pub fn is_squad(name: &str) -> bool {
    name.to_lowercase().starts_with("squad")
}

/// The perturbations that were named, or all that keep the labels of the task (None: SQuAD). With `force`, named ones that may
/// change labels are accepted. Without a WordNet (`wordnet` is false), synonyms are used only if they are named.
///
/// # Errors
/// An unknown kind, one that cannot be applied to the task, or one that may change labels.
pub fn kinds(
    asked: &[String],
    task: Option<&Task>,
    wordnet: bool,
    force: bool,
) -> Result<Vec<Perturbation>, RobustError> {
    let possible = |kind: Perturbation| match task {
        None => kind.suits_squad(),
        Some(Task::Own { spec, .. }) if spec.kind == TaskKind::Tag => kind.suits_tags(),
        Some(_) => kind.suits_sentences(),
    };
    let keeps = |kind: Perturbation| match task {
        None => true,
        Some(Task::Glue(task)) => keeps_label(*task, kind),
        Some(Task::Own { spec, .. }) => keeps_label_of_kind(spec.kind, kind),
    };
    let list = |test: &dyn Fn(Perturbation) -> bool| {
        let all = Perturbation::ALL.into_iter().filter(|&kind| test(kind));
        all.map(Perturbation::name).collect::<Vec<_>>().join(", ")
    };
    let of = task.map_or("SQuAD", Task::name).to_owned();
    if asked.is_empty() {
        let can = |kind: &Perturbation| *kind != Perturbation::Synonyms || wordnet;
        let all = Perturbation::ALL.into_iter();
        return Ok(all.filter(|&kind| possible(kind) && keeps(kind)).filter(can).collect());
    }
    let mut kinds = Vec::new();
    for name in asked {
        let kind: Perturbation = name.parse().map_err(RobustError::Kind)?;
        if !possible(kind) {
            return Err(RobustError::Unsuited { kind: kind.name(), task: of, possible: list(&possible) });
        }
        if !keeps(kind) && !force {
            let keeping = list(&|kind| possible(kind) && keeps(kind));
            return Err(RobustError::ChangesLabel { kind: kind.name(), task: of, keeping });
        }
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}
/// Writes the files; if one of them exists with other contents, nothing is written.
fn write_all(files: &[(PathBuf, String)], tell: &mut dyn FnMut(Event<'_>)) -> Result<(), RobustError> {
    let mut new = Vec::new();
    for (path, text) in files {
        // Files of different length differ; there is no need to read them.
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => new.push((path, text)),
            Err(error) => return Err(RobustError::io("read", path)(error)),
            Ok(about) => {
                let same = about.is_file() && about.len() == text.len() as u64;
                if !same
                    || fn_core::files::read(path).map_err(RobustError::io("read", path))? != text.as_bytes()
                {
                    return Err(RobustError::OtherSet { path: path.clone() });
                }
            }
        }
    }
    for (path, text) in new {
        let folder = fn_core::files::parent(path);
        std::fs::create_dir_all(folder).map_err(RobustError::io("create", folder))?;
        fn_core::files::write_atomic(path, text.as_bytes()).map_err(RobustError::io("write", path))?;
        tell(Event::Wrote(path));
    }
    Ok(())
}

/// An unperturbed set and its file name.
struct Set {
    task: Task,
    data: TaskData,
    file: String,
}

impl Set {
    /// `table` is the official file name of the set.
    fn new(task: Task, data: TaskData, table: String) -> Self {
        let json = data.places.as_ref().is_some_and(Places::is_json);
        let file = if json { plain_name(&data.report.path) } else { table };
        Self { task, data, file }
    }

    /// The contents of the file with `examples` in place of its own; other columns are kept if the file is a text table.
    fn text(&self, examples: &[Example]) -> Result<String, RobustError> {
        if let Some(text) = self.data.copy_with(examples)? {
            return Ok(text);
        }
        Ok(match &self.task {
            Task::Glue(task) => write::glue(*task, examples),
            Task::Own { spec, .. } => write::own(spec, examples),
        })
    }
}

fn sets(job: &mut Job<'_>, task: &Task) -> Result<Vec<Set>, RobustError> {
    let mut sets = Vec::new();
    let named = |task: &Task| match task {
        Task::Glue(task) => write::glue_file(*task).map(str::to_owned),
        Task::Own { spec, .. } => Some(write::own_file(spec).to_owned()),
    };
    let none = || RobustError::NoDevelopmentSet { task: task.name().to_owned() };
    if let Some(input) = job.input {
        let data = task.read(input)?;
        sets.push(Set::new(task.clone(), data, named(task).ok_or_else(none)?));
    } else if let Some(folder) = job.data {
        for task in task.dev_sets() {
            let file = named(&task).ok_or_else(none)?;
            if let Some(data) = task.find(folder, Split::Dev)? {
                sets.push(Set::new(task, data, file));
            }
        }
        if sets.is_empty() {
            // There is no file: `load` returns the error that names it.
            task.load(folder, Split::Dev)?;
        }
    }
    for set in &mut sets {
        set.data.require_labels()?;
        for warning in set.data.report.warnings() {
            (job.tell)(Event::Warning(warning));
        }
        if let Some(limit) = job.limit {
            set.data.examples.truncate(limit);
        }
    }
    Ok(sets)
}
fn sentences(job: &mut Job<'_>, task: &Task) -> Result<Vec<Row>, RobustError> {
    let sets = sets(job, task)?;
    let out = job.out;
    let path = |set: &Set, kind: &str| out.join(kind).join(&set.file);
    let (mut files, mut changed) = (Vec::new(), Vec::new());
    for set in &sets {
        for perturber in job.perturbers {
            let examples = perturber.examples(&set.data.examples);
            let pairs = examples.iter().zip(&set.data.examples);
            let count = pairs.filter(|(a, b)| a.first != b.first || a.second != b.second).count();
            job.unchanged(perturber.kind(), set.task.set_name(), count);
            changed.push(count as f64 / examples.len() as f64);
            files.push((path(set, perturber.kind().name()), set.text(&examples)?));
        }
    }
    let Some(Subject { model, tokenizer, device, stop, resamples, seed }) = job.subject else {
        write_all(&files, job.tell)?;
        return Ok(Vec::new());
    };
    let card = TaskCard::read(model)?;
    let length = card.as_ref().map_or(LENGTH, |card| card.length);
    // The model's labels do not suffice to tell tasks apart: RTE and QNLI have the same.
    if let Some(trained) = card.map(TaskCard::task).transpose()?
        && !sets.iter().all(|set| trained.dev_sets().contains(&set.task))
    {
        return Err(RobustError::OtherTask {
            path: model.to_owned(),
            trained: trained.name().to_owned(),
            asked: job.asked.to_owned(),
        });
    }
    let loaded = TaskModel::load_finetuned(task, model, device)?;
    write_all(&files, job.tell)?;
    let predict = |task: &Task, data: TaskData| -> Result<Vec<Record>, RobustError> {
        let encoded = Encoded::new(task, data, tokenizer, length)?;
        loaded.predict(task, &encoded, device, stop).ok_or(RobustError::Stopped)
    };
    let (mut rows, mut changed) = (Vec::new(), changed.into_iter());
    for set in sets {
        (job.tell)(Event::Predicting { set: set.task.set_name(), kind: "the original" });
        let original = predict(&set.task, set.data.clone())?;
        let scores = set.task.score(&original)?;
        for (perturber, changed) in job.perturbers.iter().zip(&mut changed) {
            let kind = perturber.kind().name();
            (job.tell)(Event::Predicting { set: set.task.set_name(), kind });
            // The examples are read back from the file, so that the score belongs to what was written.
            let data = set.task.read(&path(&set, kind))?;
            let records = predict(&set.task, data)?;
            let loss = compare_records(&set.task, &original, &records, resamples, seed)?;
            rows.push(Row {
                set: set.task.set_name().to_owned(),
                kind: kind.to_owned(),
                changed,
                metric: scores.main_name.clone(),
                loss,
            });
        }
    }
    Ok(rows)
}
/// File name without the extension of a compression.
fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = [".gz", ".zst", ".xz"].into_iter().find_map(|end| name.strip_suffix(end));
    plain.map_or(name.clone(), str::to_owned)
}
fn questions(job: &mut Job<'_>) -> Result<Vec<Row>, RobustError> {
    let Some(input) = job.input else { return Err(RobustError::NoQuestions) };
    let mut original = squad::open(input)?;
    if let Some(limit) = job.limit {
        squad::first_questions(&mut original, limit);
    }
    let out = job.out;
    let path = |kind: &str| out.join(kind).join(plain_name(input));
    let mut files = Vec::new();
    if job.subject.is_some() {
        files.push((path(ORIGINAL), original.to_string()));
    }
    let mut changed = Vec::new();
    for perturber in job.perturbers {
        let copy = perturber.squad(&original);
        let (ids, all) = squad::changed(&original, &copy);
        job.unchanged(perturber.kind(), "SQuAD", ids.len());
        changed.push(ids.len() as f64 / all.max(1) as f64);
        files.push((path(perturber.kind().name()), copy.to_string()));
    }
    let Some(subject) = job.subject else {
        write_all(&files, job.tell)?;
        return Ok(Vec::new());
    };
    let card = SquadCard::require(subject.model)?;
    write_all(&files, job.tell)?;
    let tell = &mut *job.tell;
    let mut f1 = |kind: &str| -> Result<Vec<f64>, RobustError> {
        tell(Event::Predicting { set: "SQuAD", kind });
        answers(&subject, &card, &path(kind))
    };
    let before = f1(ORIGINAL)?;
    let mut rows = Vec::new();
    for (perturber, changed) in job.perturbers.iter().zip(changed) {
        let kind = perturber.kind().name();
        let loss = compare_values(&before, &f1(kind)?, subject.resamples, subject.seed)?;
        rows.push(Row {
            set: "SQuAD".to_owned(),
            kind: kind.to_owned(),
            changed,
            metric: "f1".to_owned(),
            loss,
        });
    }
    Ok(rows)
}
/// Answers the questions of a file, writes the predictions beside it and returns the F1 of each question.
fn answers(subject: &Subject<'_>, card: &SquadCard, file: &Path) -> Result<Vec<f64>, RobustError> {
    let Subject { model, tokenizer, device, stop, .. } = *subject;
    let folder = fn_core::files::parent(file);
    if predict_squad(model, tokenizer, card, file, folder, device, stop)?.is_none() {
        return Err(RobustError::Stopped);
    }
    let data = Dataset::from_json(&fn_data::task::squad::text(file)?, file)?;
    let predictions: ById<String> = ById::open(&folder.join("predictions.json"))?;
    Ok(question_f1(&data, &predictions))
}
