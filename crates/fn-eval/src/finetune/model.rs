//! Encoder and head for a task of any kind: classification, regression or token classification.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use fn_data::task::Label;
use fn_data::task::features::{Encoder, Features};
use fn_data::task::{Example, TaskData};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{self, LoadReport};
use fn_models::{Classifier, TaskConfig, TokenModel};
use fn_train::stop::Stop;
use rayon::prelude::*;

use super::alike::with_example;
use super::{FinetuneError, Kind, Task};
use crate::finetune::fit::{Ended, Job, Measure, Sequence, Targets, classify, fit_classifier, fit_tags, tag};
use crate::predictions::{Answer, Record};

/// Batch size of evaluation, in sequences.
const BATCH: usize = 32;

/// Tokenised examples.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The examples.
    pub data: TaskData,
    pub(super) sequences: Vec<Sequence>,
    /// Label of each example; tags beyond the end of a truncated sequence are cut off.
    labels: Vec<Option<Label>>,
    /// For tags: the position of the first token of each word.
    places: Vec<Vec<usize>>,
}

impl Encoded {
    /// Tokenises on all cores; sequences are truncated to `length` tokens.
    ///
    /// # Errors
    /// A length in which no sentence pair fits.
    pub fn new(
        task: &Task,
        data: TaskData,
        tokenizer: &TextTokenizer,
        length: usize,
    ) -> Result<Self, FinetuneError> {
        let encoder = Encoder::new(tokenizer, length)?;
        let tags = task.kind() == Kind::Tags;
        let encode = |example: &Example| {
            if tags { encoder.word_features(example) } else { encoder.features(example) }
        };
        let features: Vec<Features> = data.examples.par_iter().map(encode).collect();
        let mut encoded = Self { data, sequences: Vec::new(), labels: Vec::new(), places: Vec::new() };
        for features in features {
            encoded.sequences.push(Sequence { ids: features.ids, token_type: features.token_types });
            encoded.labels.push(features.label);
            encoded.places.push(features.words);
        }
        Ok(encoded)
    }

    /// Continues a checksum with these examples: tokens, segments, labels and places of words.
    pub(super) fn checksum(&self, before: u64) -> u64 {
        let rest = self.labels.iter().zip(&self.places);
        self.sequences.iter().zip(rest).fold(before, |checksum, (sequence, (label, places))| {
            let rest = format!("{:?} {label:?} {places:?}", sequence.token_type);
            with_example(checksum, &sequence.ids, &rest)
        })
    }

    /// Number of tokens of all sequences, without padding.
    pub fn ids(&self) -> usize {
        self.sequences.iter().map(Sequence::len).sum()
    }

    fn targets(&self) -> Targets {
        if self.labels.iter().any(|l| matches!(l, Some(Label::Score(_)))) {
            let score = |label: &Option<Label>| match label {
                Some(Label::Score(score)) => *score as f32,
                _ => 0.0,
            };
            return Targets::Scores(self.labels.iter().map(score).collect());
        }
        let class = |label: &Option<Label>| match label {
            Some(Label::Class(class)) => *class,
            _ => 0,
        };
        Targets::Classes(self.labels.iter().map(class).collect())
    }

    fn tags(&self) -> Vec<Vec<(usize, u32)>> {
        let pairs = |(places, label): (&Vec<usize>, &Option<Label>)| match label {
            Some(Label::Tags(tags)) => places.iter().copied().zip(tags.iter().copied()).collect(),
            _ => Vec::new(),
        };
        self.places.iter().zip(&self.labels).map(pairs).collect()
    }
}

/// An encoder with the head of a task.
#[derive(Debug)]
pub enum TaskModel {
    /// Classification or regression of the whole sequence.
    Sequence(Box<Classifier>),
    /// A tag for each word.
    Tokens(Box<TokenModel>),
}

impl TaskModel {
    /// Loads an encoder from a Hugging Face folder; a head that the folder does not hold is initialised at random from `seed`.
    ///
    /// # Errors
    /// A folder that cannot be read; a head of another size.
    pub fn load(
        task: &Task,
        dir: &Path,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, TaskConfig, LoadReport), FinetuneError> {
        Ok(if task.kind() == Kind::Tags {
            let (model, config, report) = hf::load_tags(dir, task.outputs(), seed, device)?;
            (Self::Tokens(Box::new(model)), config, report)
        } else {
            let (model, config, report) = hf::load_classifier(dir, task.outputs(), seed, device)?;
            (Self::Sequence(Box::new(model)), config, report)
        })
    }

    /// Loads a fine-tuned model, whose head must be in the folder and have the task's labels in the task's order.
    ///
    /// # Errors
    /// A folder that cannot be read; a model without a head for the task, or with other labels.
    pub fn load_finetuned(task: &Task, dir: &Path, device: &Device) -> Result<Self, FinetuneError> {
        let wrong = |found: String, expected: String, remedy| FinetuneError::WrongModel {
            path: dir.to_owned(),
            found,
            expected,
            remedy,
        };
        let (model, _, report) = Self::load(task, dir, 0, device)?;
        if !report.missing.is_empty() {
            let found = format!("no {}", report.missing.join(", "));
            let expected = format!("a model that was fine-tuned for {}", task.name());
            return Err(wrong(found, expected, "give the model/ folder that `fnlm finetune` wrote"));
        }
        let (named, labels) = (hf::labels(dir)?, task.labels());
        let numbered = named.iter().enumerate().all(|(i, name)| *name == format!("LABEL_{i}"));
        if task.kind() != Kind::Score && !numbered && named != labels {
            let (found, expected) = (format!("labels {}", named.join(", ")), labels.join(", "));
            return Err(wrong(found, expected, "give the model that belongs to the task"));
        }
        Ok(model)
    }

    /// Writes it as a Hugging Face folder (`...ForSequenceClassification`, `...ForTokenClassification`).
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, task: &Task, dir: &Path, config: &TaskConfig) -> Result<(), FinetuneError> {
        let labels = task.labels();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match self {
            Self::Sequence(model) => hf::save_classifier(dir, model, config, &labels)?,
            Self::Tokens(model) => hf::save_tags(dir, model, config, &labels)?,
        }
        Ok(())
    }

    /// Trains the model; `measure` is as for [`Measure`].
    pub(super) fn fit(
        self,
        job: &mut Job<'_>,
        train: &Encoded,
        measure: Option<&Measure<'_, Self>>,
    ) -> Result<Ended<Self>, FinetuneError> {
        // `measure` takes a whole TaskModel; cloning a module is cheap, its tensors are shared.
        Ok(match self {
            Self::Sequence(model) => {
                let wrapped = |m: &Classifier| measure?(&Self::Sequence(Box::new(m.clone())));
                let wrapped: Option<&Measure<'_, Classifier>> = measure.is_some().then_some(&wrapped);
                let targets = train.targets();
                boxed(fit_classifier(*model, job, &train.sequences, &targets, wrapped)?, |m| {
                    Self::Sequence(Box::new(m))
                })
            }
            Self::Tokens(model) => {
                let wrapped = |m: &TokenModel| measure?(&Self::Tokens(Box::new(m.clone())));
                let wrapped: Option<&Measure<'_, TokenModel>> = measure.is_some().then_some(&wrapped);
                boxed(fit_tags(*model, job, &train.sequences, &train.tags(), wrapped)?, |m| {
                    Self::Tokens(Box::new(m))
                })
            }
        })
    }

    /// The prediction for each example, in order. None if a stop was requested.
    pub fn predict(
        &self,
        task: &Task,
        examples: &Encoded,
        device: &Device,
        stop: &Stop,
    ) -> Option<Vec<Record>> {
        let sequences = &examples.sequences;
        let answers: Vec<(Answer, Vec<f32>)> = match self {
            Self::Sequence(model) => {
                let outputs = classify(model, sequences, BATCH, device, stop)?;
                outputs.into_iter().map(|row| answer(task, row)).collect()
            }
            Self::Tokens(model) => {
                let outputs = tag(model, sequences, &examples.places, BATCH, device, stop)?;
                let of = |words: Vec<Vec<f32>>| {
                    let tags: Vec<u32> = words.iter().map(|row| best(row)).collect();
                    (task.answer(&Label::Tags(tags)), Vec::new())
                };
                outputs.into_iter().map(of).collect()
            }
        };
        let record = |(example, (prediction, scores)): (&Example, (Answer, Vec<f32>))| Record {
            index: example.index,
            id: example.id.clone(),
            gold: example.label.as_ref().map(|label| task.answer(label)),
            prediction,
            scores,
        };
        Some(examples.data.examples.iter().zip(answers).map(record).collect())
    }

    /// The model without autodiff.
    pub fn valid(self) -> Self {
        match self {
            Self::Sequence(model) => Self::Sequence(Box::new(Module::valid(&*model))),
            Self::Tokens(model) => Self::Tokens(Box::new(Module::valid(&*model))),
        }
    }
}

fn boxed<M, N>(ended: Ended<M>, wrap: impl FnOnce(M) -> N) -> Ended<N> {
    match ended {
        Ended::Done { model, steps, best } => Ended::Done { model: wrap(model), steps, best },
        Ended::Stopped { step, saved } => Ended::Stopped { step, saved },
    }
}

/// The prediction from the logits of an example; and the probability of each class, or the raw score of a regression.
fn answer(task: &Task, row: Vec<f32>) -> (Answer, Vec<f32>) {
    if task.kind() == Kind::Score {
        let score = row.first().copied().unwrap_or(f32::NAN);
        return (Answer::Score(f64::from(score)), row);
    }
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = row.iter().map(|x| (x - highest).exp()).collect();
    let sum: f32 = exp.iter().sum();
    (task.answer(&Label::Class(best(&row))), exp.iter().map(|x| x / sum).collect())
}

/// Index of the highest value; the first of several.
fn best(row: &[f32]) -> u32 {
    let mut best = 0;
    for (place, x) in row.iter().enumerate() {
        if *x > row[best] {
            best = place;
        }
    }
    best as u32
}
