//! `fnlm robust`: perturbed copies of a development set, and what a model loses on them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_data::lexicon::wordnet::WordNet;
use fn_data::perturb::{Options, Perturbation, Perturber, keeps_label, keeps_label_of_kind, squad, write};
use fn_data::task::{Example, Places, Split, TaskData, TaskKind};
use fn_eval::finetune::{Encoded, SquadCard, Task, TaskCard, predict_squad};
use fn_eval::predictions::Record;
use fn_eval::robust::{compare_records, compare_values, question_f1};
use fn_eval::squad::{ById, Dataset};
use fn_train::stop::Stop;
use serde_json::Value;

use super::robust_table::{self, Results, Row, Settings};
use super::{predict, support};
use crate::args::RobustArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Results in the folder.
const RESULTS: &str = "robust.json";
/// Folder of the set as it was; no kind has this name.
const ORIGINAL: &str = "original";

/// Runs it.
///
/// # Errors
/// Kinds that do not suit the task, another set in --out (2); files or a model that cannot be used (3).
pub fn run(args: &RobustArgs) -> Result<Outcome, CliError> {
    if args.limit == Some(0) || args.resamples == 0 {
        return Err(CliError::usage("--limit and --resamples are at least 1, found 0"));
    }
    let task = if predict::is_squad(&args.task) { None } else { Some(Task::open(&args.task)?) };
    let kinds = kinds(args, task.as_ref())?;
    let wordnet = args.wordnet.as_deref().map(WordNet::open).transpose().map_err(CliError::input_from)?;
    let options = Options { rate: args.rate, seed: args.seed, wordnet: wordnet.as_ref() };
    let perturbers: Vec<Perturber<'_>> = kinds
        .iter()
        .map(|&kind| Perturber::new(kind, options))
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let settings = settings(args, &kinds);
    if args.model.is_some() {
        robust_table::claim(&args.out.join(RESULTS), &settings)?;
    }
    let rows = match &task {
        Some(task) => sentences(args, task, &perturbers)?,
        None => questions(args, &perturbers)?,
    };
    if args.model.is_some() {
        robust_table::print(&args.out.join(RESULTS), &args.format, &Results { settings, rows })?;
    }
    Ok(Outcome::Done)
}

fn settings(args: &RobustArgs, kinds: &[Perturbation]) -> Settings {
    let shown = |path: Option<&PathBuf>| path.map(|p| p.display().to_string()).unwrap_or_default();
    Settings {
        task: args.task.clone(),
        data: shown(args.input.as_ref().or(args.data.as_ref())),
        model: shown(args.model.as_ref()),
        kinds: kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        rate: args.rate,
        seed: args.seed,
        limit: args.limit,
        resamples: args.resamples,
    }
}

/// The kinds that were asked for, or all that keep the labels.
fn kinds(args: &RobustArgs, task: Option<&Task>) -> Result<Vec<Perturbation>, CliError> {
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
    let name = task.map_or("SQuAD", Task::name);
    if args.kinds.is_empty() {
        let can = |kind: &Perturbation| *kind != Perturbation::Synonyms || args.wordnet.is_some();
        let all = Perturbation::ALL.into_iter();
        return Ok(all.filter(|&kind| possible(kind) && keeps(kind)).filter(can).collect());
    }
    let mut kinds = Vec::new();
    for asked in &args.kinds {
        let kind: Perturbation = asked
            .parse()
            .map_err(|error: fn_data::perturb::PerturbError| CliError::usage(format!("--kinds: {error}")))?;
        if !possible(kind) {
            return Err(CliError::usage(format!(
                "`{kind}` cannot be applied to {name}; kinds for it: {}",
                list(&possible)
            )));
        }
        if !keeps(kind) && !args.force {
            return Err(CliError::usage(format!(
                "`{kind}` may change what the right label of {name} is; kinds that keep it: {}; add --force to change the text all the same",
                list(&|kind| possible(kind) && keeps(kind))
            )));
        }
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// Writes files into the folder, unless one of them is there with other contents: then none.
fn write_all(files: &[(PathBuf, String)], quiet: bool) -> Result<(), CliError> {
    let mut new = Vec::new();
    for (path, text) in files {
        // A file of another length is not read.
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => new.push((path, text)),
            Err(error) => return Err(CliError::io("read", path, error)),
            Ok(about) => {
                let same = about.is_file() && about.len() == text.len() as u64;
                if !same || std::fs::read(path).map_err(|e| CliError::io("read", path, e))? != text.as_bytes()
                {
                    return Err(CliError::usage(format!(
                        "{} holds a different set (other data, --rate, --seed or --limit); give another --out, nothing was written",
                        path.display()
                    )));
                }
            }
        }
    }
    for (path, text) in new {
        let folder = fn_train::fsutil::parent(path);
        std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
        fn_train::fsutil::write_atomic(path, text.as_bytes())
            .map_err(|error| CliError::io("write", path, error))?;
        term::note(quiet, &format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Says so if there is nothing to change: a set without capitals has no names.
fn unchanged(kind: Perturbation, set: &str, changed: usize) {
    if changed == 0 {
        term::note(false, &format!("warning: `{kind}` changed none of the examples of {set}"));
    }
}

/// A set as it was and its file name.
struct Set {
    task: Task,
    data: TaskData,
    file: String,
}

impl Set {
    /// `table` is the official name of a table of the task.
    fn new(task: Task, data: TaskData, table: String) -> Self {
        let json = data.places.as_ref().is_some_and(Places::is_json);
        let file = if json { plain_name(&data.report.path) } else { table };
        Self { task, data, file }
    }

    /// The file with other examples: all else as it was, unless that has no lines of text.
    fn text(&self, examples: &[Example]) -> Result<String, CliError> {
        if let Some(text) = self.data.copy_with(examples).map_err(CliError::input_from)? {
            return Ok(text);
        }
        Ok(match &self.task {
            Task::Glue(task) => write::glue(*task, examples),
            Task::Own { spec, .. } => write::own(spec, examples),
        })
    }
}

fn sets(args: &RobustArgs, task: &Task) -> Result<Vec<Set>, CliError> {
    let mut sets = Vec::new();
    let named = |task: &Task| match task {
        Task::Glue(task) => write::glue_file(*task).map(str::to_owned),
        Task::Own { spec, .. } => Some(write::own_file(spec).to_owned()),
    };
    let none = || {
        CliError::usage(format!("{} has no development set with labels; choose another task", task.name()))
    };
    if let Some(input) = &args.input {
        let data = task.read(input).map_err(CliError::input_from)?;
        sets.push(Set::new(task.clone(), data, named(task).ok_or_else(none)?));
    } else if let Some(folder) = &args.data {
        for task in task.dev_sets() {
            let file = named(&task).ok_or_else(none)?;
            if let Some(data) = task.find(folder, Split::Dev).map_err(CliError::input_from)? {
                sets.push(Set::new(task, data, file));
            }
        }
        if sets.is_empty() {
            // Says which file is missing.
            task.load(folder, Split::Dev).map_err(CliError::input_from)?;
        }
    }
    for set in &mut sets {
        set.data.require_labels().map_err(CliError::input_from)?;
        for warning in set.data.report.warnings() {
            term::note(false, &format!("warning: {warning}"));
        }
        if let Some(limit) = args.limit {
            set.data.examples.truncate(limit);
        }
    }
    Ok(sets)
}

fn sentences(args: &RobustArgs, task: &Task, perturbers: &[Perturber<'_>]) -> Result<Vec<Row>, CliError> {
    let sets = sets(args, task)?;
    let path = |set: &Set, kind: &str| args.out.join(kind).join(&set.file);
    let (mut files, mut changed) = (Vec::new(), Vec::new());
    for set in &sets {
        for perturber in perturbers {
            let examples = perturber.examples(&set.data.examples);
            let pairs = examples.iter().zip(&set.data.examples);
            let count = pairs.filter(|(a, b)| a.first != b.first || a.second != b.second).count();
            unchanged(perturber.kind(), set.task.set_name(), count);
            changed.push(count as f64 / examples.len() as f64);
            files.push((path(set, perturber.kind().name()), set.text(&examples)?));
        }
    }
    let Some(model) = &args.model else {
        write_all(&files, args.common.quiet)?;
        return Ok(Vec::new());
    };
    let stop = support::interruptible()?;
    let card = TaskCard::read(model)?;
    let length = card.as_ref().map_or(predict::LENGTH, |card| card.length);
    // RTE and QNLI have the same labels: the heads do not tell them apart.
    if let Some(trained) = card.map(TaskCard::task).transpose()?
        && !sets.iter().all(|set| trained.dev_sets().contains(&set.task))
    {
        return Err(CliError::usage(format!(
            "{} was fine-tuned for {}, found --task {}; give the model that belongs to the task",
            model.display(),
            trained.name(),
            args.task
        )));
    }
    let tokenizer = support::tokenizer(args.tokenizer.as_ref().unwrap_or(model))?;
    let device = device::open(&args.device)?;
    let (loaded, ..) = predict::load(task, model, &device)?;
    write_all(&files, args.common.quiet)?;
    let predict = |task: &Task, data: TaskData| -> Result<Vec<Record>, CliError> {
        let encoded = Encoded::new(task, data, &tokenizer, length)?;
        loaded.predict(task, &encoded, &device, &stop).ok_or_else(|| support::interrupted(&stop))
    };
    let (mut rows, mut changed) = (Vec::new(), changed.into_iter());
    for set in sets {
        term::note(args.common.quiet, &format!("{}: predicting the original", set.task.set_name()));
        let original = predict(&set.task, set.data.clone())?;
        let scores = set.task.score(&original)?;
        for (perturber, changed) in perturbers.iter().zip(&mut changed) {
            let kind = perturber.kind().name();
            term::note(args.common.quiet, &format!("{}: predicting {kind}", set.task.set_name()));
            // From the file, so that the figures are those of what was written.
            let data = set.task.read(&path(&set, kind)).map_err(CliError::input_from)?;
            let records = predict(&set.task, data)?;
            let loss = compare_records(&set.task, &original, &records, args.resamples, args.seed)
                .map_err(CliError::input_from)?;
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

/// Name of a file without an ending of compression.
fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = [".gz", ".zst", ".xz"].into_iter().find_map(|end| name.strip_suffix(end));
    plain.map_or(name.clone(), str::to_owned)
}

fn questions(args: &RobustArgs, perturbers: &[Perturber<'_>]) -> Result<Vec<Row>, CliError> {
    let Some(input) = &args.input else {
        return Err(CliError::usage("SQuAD needs --input with the file of questions"));
    };
    let mut original = squad::open(input).map_err(CliError::input_from)?;
    if let Some(limit) = args.limit {
        squad::first_questions(&mut original, limit);
    }
    let path = |kind: &str| args.out.join(kind).join(plain_name(input));
    let mut files = Vec::new();
    if args.model.is_some() {
        files.push((path(ORIGINAL), json(&original)?));
    }
    let mut changed = Vec::new();
    for perturber in perturbers {
        let copy = perturber.squad(&original);
        let (ids, all) = squad::changed(&original, &copy);
        unchanged(perturber.kind(), "SQuAD", ids.len());
        changed.push(ids.len() as f64 / all.max(1) as f64);
        files.push((path(perturber.kind().name()), json(&copy)?));
    }
    let Some(model) = &args.model else {
        write_all(&files, args.common.quiet)?;
        return Ok(Vec::new());
    };
    let stop = support::interruptible()?;
    let card = SquadCard::read(model)?.ok_or_else(|| {
        CliError::input(format!(
            "{}: this model was not fine-tuned on SQuAD by fnlm (no fnlm-task.json that says so); give the model/ folder that `fnlm squad` wrote",
            model.display()
        ))
    })?;
    let tokenizer = support::tokenizer(args.tokenizer.as_ref().unwrap_or(model))?;
    let device = device::open(&args.device)?;
    write_all(&files, args.common.quiet)?;
    let f1 = |kind: &str| -> Result<Vec<f64>, CliError> {
        term::note(args.common.quiet, &format!("SQuAD: predicting {kind}"));
        answers(model, &tokenizer, &card, &path(kind), &device, &stop)
    };
    let before = f1(ORIGINAL)?;
    let mut rows = Vec::new();
    for (perturber, changed) in perturbers.iter().zip(changed) {
        let kind = perturber.kind().name();
        let loss =
            compare_values(&before, &f1(kind)?, args.resamples, args.seed).map_err(CliError::input_from)?;
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

fn json(value: &Value) -> Result<String, CliError> {
    serde_json::to_string(value).map_err(CliError::failed_from)
}

/// Answers a file beside it and gives the F1 of each question.
fn answers(
    model: &Path,
    tokenizer: &fn_data::tokenise::TextTokenizer,
    card: &SquadCard,
    file: &Path,
    device: &Device,
    stop: &Stop,
) -> Result<Vec<f64>, CliError> {
    let folder = fn_train::fsutil::parent(file);
    if predict_squad(model, tokenizer, card, file, folder, device, stop)?.is_none() {
        return Err(support::interrupted(stop));
    }
    let text = fn_data::task::squad::text(file).map_err(CliError::input_from)?;
    let data = Dataset::from_json(&text, file).map_err(CliError::input_from)?;
    let predictions: ById<String> =
        ById::open(&folder.join("predictions.json")).map_err(CliError::input_from)?;
    Ok(question_f1(&data, &predictions))
}
