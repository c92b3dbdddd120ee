//! Fine-tuned models, read and written.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::CONFIG_FILE;
use super::config_json;
use super::error::HfError;
use super::export::save;
use super::files::read_json;
use super::import::{Part, fill, read_config};
use super::names::{Layout, Role};
use super::report::LoadReport;
use super::weights::Weights;
use crate::arch::{Arch, Task};
use crate::params;
use crate::task::{Classifier, TaskConfig, TokenModel};

/// Fields of `config.json` that belong to one task: another one does not take them over.
const OF_A_TASK: [&str; 6] =
    ["finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params"];

/// Names of the classes (`id2label` in `config.json`) in the order of the outputs. Empty for a regression and for spans.
pub type Labels<'a> = &'a [&'a str];

/// Reads an encoder (BERT, or ELECTRA's discriminator) with a classifier of `outputs` classes. A head that is not in the file
/// is drawn from `seed` and reported; heads of other tasks are reported as unused.
///
/// # Errors
/// Everything of [`HfError`] that concerns reading; a classifier of another number of classes is a shape that does not fit.
pub fn load_classifier(
    dir: &Path,
    outputs: usize,
    seed: u64,
    device: &Device,
) -> Result<(Classifier, TaskConfig, LoadReport), HfError> {
    load(dir, outputs, seed, Task::SequenceClassification, |config| Classifier::zeros(config, device))
}

/// Reads an encoder with a span head, see [`load_classifier`].
///
/// # Errors
/// Everything of [`HfError`] that concerns reading.
pub fn load_spans(
    dir: &Path,
    seed: u64,
    device: &Device,
) -> Result<(TokenModel, TaskConfig, LoadReport), HfError> {
    load(dir, 2, seed, Task::QuestionAnswering, |config| TokenModel::spans(config, device))
}

/// Reads an encoder with a tagger of `outputs` tags, see [`load_classifier`].
///
/// # Errors
/// Everything of [`HfError`] that concerns reading; a head of another number of tags is a shape that does not fit.
pub fn load_tags(
    dir: &Path,
    outputs: usize,
    seed: u64,
    device: &Device,
) -> Result<(TokenModel, TaskConfig, LoadReport), HfError> {
    load(dir, outputs, seed, Task::TokenClassification, |config| TokenModel::tags(config, device))
}

fn load<M: Module>(
    dir: &Path,
    outputs: usize,
    seed: u64,
    task: Task,
    zeros: impl Fn(&TaskConfig) -> M,
) -> Result<(M, TaskConfig, LoadReport), HfError> {
    let file = read_config(dir, &Arch::ALL)?;
    let weights = Weights::open(dir)?;
    let mut notes = file.notes.clone();
    let part = Part::new(&weights, file.arch.family(), Role::Task(task), false, &mut notes)?.of_file(&file);
    let head_dropout = match (task, file.spans_dropout) {
        (Task::QuestionAnswering, Some(own)) => own,
        // Who has two rates of its own has that of its layers before tags.
        (Task::TokenClassification, Some(_)) => file.config.hidden_dropout,
        _ => file.classifier_dropout,
    };
    let fields = file.other.into_iter().filter(|(key, _)| !OF_A_TASK.contains(&key.as_str())).collect();
    let config = TaskConfig { arch: file.arch, encoder: file.config, outputs, head_dropout, fields };
    let (model, mut report) = fill(zeros(&config), &[part], config.encoder.init_std, seed)?;
    report.notes.extend(notes);
    Ok((model, config, report))
}

/// Writes a classifier as `BertForSequenceClassification` or that of its architecture.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_classifier(
    dir: &Path,
    model: &Classifier,
    config: &TaskConfig,
    labels: Labels<'_>,
) -> Result<(), HfError> {
    let mut fields = Map::new();
    if config.outputs == 1 {
        fields.insert("problem_type".into(), json!("regression"));
    }
    add_labels(&mut fields, config.outputs, labels);
    write(dir, model, config, Task::SequenceClassification, &fields)
}

/// Writes a tagger as `BertForTokenClassification` or that of its architecture.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_tags(
    dir: &Path,
    model: &TokenModel,
    config: &TaskConfig,
    labels: Labels<'_>,
) -> Result<(), HfError> {
    let mut fields = Map::new();
    add_labels(&mut fields, config.outputs, labels);
    write(dir, model, config, Task::TokenClassification, &fields)
}

/// Names of the classes in `config.json`, in the order of their numbers; empty if there are none.
///
/// # Errors
/// A file that cannot be read; numbers that are not 0, 1, ...; a name that is no text.
pub fn labels(dir: &Path) -> Result<Vec<String>, HfError> {
    let path = dir.join(CONFIG_FILE);
    let config = read_json(&path, config_json::MAX_CONFIG)?;
    let wrong = |field: String, found: Option<&Value>| HfError::Field {
        path: path.clone(),
        field,
        found: found.map_or_else(|| "missing".into(), |value| value.to_string().chars().take(80).collect()),
        expected: "names by numbers from \"0\" on".into(),
    };
    let names = match config.get("id2label") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(names)) => names,
        found => return Err(wrong("id2label".into(), found)),
    };
    let name = |number: usize| match names.get(&number.to_string()) {
        Some(Value::String(name)) => Ok(name.clone()),
        found => Err(wrong(format!("id2label.{number}"), found)),
    };
    (0..names.len()).map(name).collect()
}

fn add_labels(fields: &mut Map<String, Value>, outputs: usize, labels: Labels<'_>) {
    let names: Vec<String> = match labels {
        [] => (0..outputs).map(|i| format!("LABEL_{i}")).collect(),
        labels => labels.iter().map(|&l| l.to_owned()).collect(),
    };
    let forth = names.iter().enumerate().map(|(i, name)| (i.to_string(), json!(name))).collect();
    let back = names.iter().enumerate().map(|(i, name)| (name.clone(), json!(i))).collect();
    fields.insert("id2label".into(), Value::Object(forth));
    fields.insert("label2id".into(), Value::Object(back));
}

/// Writes a span model as `BertForQuestionAnswering` or that of its architecture.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_spans(dir: &Path, model: &TokenModel, config: &TaskConfig) -> Result<(), HfError> {
    write(dir, model, config, Task::QuestionAnswering, &Map::new())
}

fn write<M: Module>(
    dir: &Path,
    model: &M,
    config: &TaskConfig,
    task: Task,
    fields: &Map<String, Value>,
) -> Result<(), HfError> {
    let mut fields: Map<String, Value> = config.fields.clone().into_iter().chain(fields.clone()).collect();
    let keys = &config.arch.family().files().keys;
    let own = match (task, keys.spans_dropout) {
        (Task::QuestionAnswering, Some(own)) => Some(own),
        (Task::TokenClassification, Some(_)) => None,
        _ => {
            let default = keys.default_classifier_dropout.unwrap_or(config.encoder.hidden_dropout);
            Some((keys.classifier_dropout, default))
        }
    };
    if let Some((key, default)) = own
        && (config.head_dropout != default || config.encoder.modern.is_some())
    {
        fields.insert(key.into(), json!(config.head_dropout));
    }
    let text =
        config_json::write(&config.encoder, config.arch, &config.arch.task_class(task), false, &fields);
    let layout = Layout::new(config.arch.family(), Role::Task(task));
    save(dir, layout, params::collect(model).iter(), &text)
}
