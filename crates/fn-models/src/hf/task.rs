//! Task models, in and out.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::config_json;
use super::error::HfError;
use super::export::save;
use super::import::{Part, fill, read_any_config};
use super::names::Layout;
use super::report::LoadReport;
use super::weights::Weights;
use crate::params;
use crate::task::{Classifier, Family, SpanModel, TaskConfig};

/// What `config.json` says of the classes: names in the order of the outputs. Empty for a regression and for spans.
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
    load(dir, outputs, seed, [Layout::BertClassifier, Layout::ElectraClassifier], |config| {
        Classifier::zeros(config, device)
    })
}

/// Reads an encoder with a span head, see [`load_classifier`].
///
/// # Errors
/// Everything of [`HfError`] that concerns reading.
pub fn load_spans(
    dir: &Path,
    seed: u64,
    device: &Device,
) -> Result<(SpanModel, TaskConfig, LoadReport), HfError> {
    load(dir, 2, seed, [Layout::BertSpans, Layout::ElectraSpans], |config| SpanModel::zeros(config, device))
}

fn load<M: Module>(
    dir: &Path,
    outputs: usize,
    seed: u64,
    [bert, electra]: [Layout; 2],
    zeros: impl Fn(&TaskConfig) -> M,
) -> Result<(M, TaskConfig, LoadReport), HfError> {
    let (family, file) = read_any_config(dir)?;
    let weights = Weights::open(dir)?;
    let config = TaskConfig { family, encoder: file.config, outputs };
    let layout = if family == Family::Bert { bert } else { electra };
    let (model, report) =
        fill(zeros(&config), &[Part { layout, weights: &weights }], config.encoder.init_std, seed)?;
    Ok((model, config, report))
}

/// Writes a classifier as `BertForSequenceClassification` or `ElectraForSequenceClassification`.
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
    let names: Vec<String> = match labels {
        [] => (0..config.outputs).map(|i| format!("LABEL_{i}")).collect(),
        labels => labels.iter().map(|&l| l.to_owned()).collect(),
    };
    let forth: Map<String, Value> =
        names.iter().enumerate().map(|(i, name)| (i.to_string(), json!(name))).collect();
    let back: Map<String, Value> =
        names.iter().enumerate().map(|(i, name)| (name.clone(), json!(i))).collect();
    fields.insert("id2label".into(), Value::Object(forth));
    fields.insert("label2id".into(), Value::Object(back));
    let layouts = [Layout::BertClassifier, Layout::ElectraClassifier];
    write(dir, model, config, layouts, "SequenceClassification", &fields)
}

/// Writes a span model as `BertForQuestionAnswering` or `ElectraForQuestionAnswering`.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_spans(dir: &Path, model: &SpanModel, config: &TaskConfig) -> Result<(), HfError> {
    write(dir, model, config, [Layout::BertSpans, Layout::ElectraSpans], "QuestionAnswering", &Map::new())
}

fn write<M: Module>(
    dir: &Path,
    model: &M,
    config: &TaskConfig,
    [bert, electra]: [Layout; 2],
    task: &str,
    fields: &Map<String, Value>,
) -> Result<(), HfError> {
    let (layout, kind, class) = match config.family {
        Family::Bert => (bert, "bert", "Bert"),
        Family::Electra => (electra, "electra", "Electra"),
    };
    let text = config_json::write(&config.encoder, kind, &format!("{class}For{task}"), fields);
    save(dir, layout, params::collect(model).iter(), &text)
}
