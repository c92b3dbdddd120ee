//! Fine-tuning: an encoder with a fresh head, a few epochs over labelled examples, as google-research/electra does it.
//!
//! All random numbers are functions of (seed, epoch, step): a run can be repeated exactly, and one that is resumed from a
//! checkpoint gives the same weights as one that was never stopped.

mod batch;
mod recipe;
mod train;

pub use batch::{Sequence, TaskBatch};
pub use recipe::Recipe;
pub use train::{Ended, Job, Measure, Step, fit};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::progress::Counter;
use fn_models::{Classifier, TokenModel};
use fn_ops::Noise;

use fn_train::TrainError;
use fn_train::stop::Stop;

/// Logit of padding positions: far below any real logit, but finite, so that softmax and its gradient stay finite.
const NEVER: f32 = -1e9;

/// Labels for training a classifier or a regression.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Class index of each example.
    Classes(Vec<u32>),
    /// Regression target of each example.
    Scores(Vec<f32>),
}

/// Trains a classifier (or a regression) on `sequences`, see [`fit`].
///
/// # Errors
/// As [`fit`].
pub fn fit_classifier(
    model: Classifier,
    job: &mut Job<'_>,
    sequences: &[Sequence],
    targets: &Targets,
    measure: Option<&Measure<'_, Classifier>>,
) -> Result<Ended<Classifier>, TrainError> {
    let device = job.device;
    let loss = |model: &Classifier, chosen: &[usize], noise: &Noise| {
        let batch = TaskBatch::new(chosen.iter().map(|&i| &sequences[i]), device);
        let logits = model.forward(&batch.inputs, noise);
        match targets {
            Targets::Classes(classes) => {
                let gold: Vec<i32> = chosen.iter().map(|&i| classes[i] as i32).collect();
                fn_ops::cross_entropy_rows(logits, Tensor::from_ints(gold.as_slice(), device)).mean()
            }
            Targets::Scores(scores) => {
                let gold: Vec<f32> = chosen.iter().map(|&i| scores[i]).collect();
                let gold = Tensor::<1>::from_floats(gold.as_slice(), device).unsqueeze_dim(1);
                (logits - gold).square().mean()
            }
        }
    };
    fit(model, job, &lengths(sequences), &|_| 1, &loss, measure)
}

/// Trains an extractive question-answering model; `spans` are the token positions of start and end, (0, 0) where there is no
/// answer. See [`fit`].
///
/// # Errors
/// As [`fit`].
pub fn fit_spans(
    model: TokenModel,
    job: &mut Job<'_>,
    sequences: &[Sequence],
    spans: &[(u32, u32)],
    measure: Option<&Measure<'_, TokenModel>>,
) -> Result<Ended<TokenModel>, TrainError> {
    let device = job.device;
    let loss = |model: &TokenModel, chosen: &[usize], noise: &Noise| {
        let batch = TaskBatch::new(chosen.iter().map(|&i| &sequences[i]), device);
        let [start, end] = span_logits(model, &batch, noise);
        let gold = |pick: fn(&(u32, u32)) -> u32| -> Tensor<1, Int> {
            let gold: Vec<i32> = chosen.iter().map(|&i| pick(&spans[i]) as i32).collect();
            Tensor::from_ints(gold.as_slice(), device)
        };
        let start = fn_ops::cross_entropy_rows(start, gold(|s| s.0)).mean();
        let end = fn_ops::cross_entropy_rows(end, gold(|s| s.1)).mean();
        (start + end) * 0.5
    };
    fit(model, job, &lengths(sequences), &|_| 1, &loss, measure)
}

/// Trains a token classifier; `tags` are, for each sequence, positions and the tag index at each, at least one in all. See
/// [`fit`].
///
/// # Errors
/// As [`fit`].
pub fn fit_tags(
    model: TokenModel,
    job: &mut Job<'_>,
    sequences: &[Sequence],
    tags: &[Vec<(usize, u32)>],
    measure: Option<&Measure<'_, TokenModel>>,
) -> Result<Ended<TokenModel>, TrainError> {
    let device = job.device;
    let loss = |model: &TokenModel, chosen: &[usize], noise: &Noise| {
        let batch = TaskBatch::new(chosen.iter().map(|&i| &sequences[i]), device);
        let logits = model.forward(&batch.inputs, noise);
        let [rows, length, outputs] = logits.dims();
        let (mut places, mut gold) = (Vec::new(), Vec::new());
        for (row, &i) in chosen.iter().enumerate() {
            places.extend(tags[i].iter().map(|&(place, _)| (row * length + place) as i32));
            gold.extend(tags[i].iter().map(|&(_, tag)| tag as i32));
        }
        if places.is_empty() {
            // A batch without any tag has loss 0 (and a gradient of 0).
            return logits.sum() * 0.0;
        }
        let ints = |values: &[i32]| Tensor::<1, Int>::from_ints(values, device);
        let chosen = logits.reshape([rows * length, outputs]).select(0, ints(&places));
        fn_ops::cross_entropy_rows(chosen, ints(&gold)).mean()
    };
    fit(model, job, &lengths(sequences), &|example| tags[example].len(), &loss, measure)
}

fn lengths(sequences: &[Sequence]) -> Vec<usize> {
    sequences.iter().map(Sequence::len).collect()
}

/// Start and end logits, `[B, L]` each; those of padding are so low that padding is never chosen.
fn span_logits(model: &TokenModel, batch: &TaskBatch, noise: &Noise) -> [Tensor<2>; 2] {
    let logits = model.forward(&batch.inputs, noise);
    let side = |at| {
        let scores: Tensor<2> = logits.clone().narrow(2, at, 1).squeeze_dim(2);
        match &batch.inputs.mask {
            Some(mask) => scores + (mask.clone() - 1.0) * -NEVER,
            None => scores,
        }
    };
    [side(0), side(1)]
}

/// Logits of a classifier for every sequence, in the order of `sequences`; without dropout. None if a stop was requested.
pub fn classify(
    model: &Classifier,
    sequences: &[Sequence],
    batch: usize,
    device: &Device,
    stop: &Stop,
) -> Option<Vec<Vec<f32>>> {
    let model = Module::valid(model);
    let device = device.clone().inner();
    let mut out = vec![Vec::new(); sequences.len()];
    let mut counter = Counter::new("predicting", "examples", sequences.len());
    for chosen in by_length(sequences, batch) {
        if stop.requested() {
            return None;
        }
        let inputs = TaskBatch::new(chosen.iter().map(|&i| &sequences[i]), &device).inputs;
        let logits = model.forward(&inputs, &Noise::none());
        let [_, outputs] = logits.dims();
        let values = fn_models::params::host(logits);
        for (&index, row) in chosen.iter().zip(values.chunks_exact(outputs)) {
            out[index] = row.to_vec();
        }
        counter.add(chosen.len());
    }
    Some(out)
}

/// Start and end logits of every sequence, one of each per token, in the order of `sequences`. None if a stop was requested.
pub fn find_spans(
    model: &TokenModel,
    sequences: &[Sequence],
    batch: usize,
    device: &Device,
    stop: &Stop,
) -> Option<Vec<(Vec<f32>, Vec<f32>)>> {
    let model = Module::valid(model);
    let device = device.clone().inner();
    let mut out = vec![(Vec::new(), Vec::new()); sequences.len()];
    let mut counter = Counter::new("answering", "windows", sequences.len());
    for chosen in by_length(sequences, batch) {
        if stop.requested() {
            return None;
        }
        let batch = TaskBatch::new(chosen.iter().map(|&i| &sequences[i]), &device);
        let [start, end] = span_logits(&model, &batch, &Noise::none()).map(fn_models::params::host);
        for (row, &index) in chosen.iter().enumerate() {
            let (from, to) = (row * batch.length, row * batch.length + sequences[index].len());
            out[index] = (start[from..to].to_vec(), end[from..to].to_vec());
        }
        counter.add(chosen.len());
    }
    Some(out)
}

/// Logits of all tags at chosen positions of every sequence, in the order of `sequences`. None if a stop was requested.
pub fn tag(
    model: &TokenModel,
    sequences: &[Sequence],
    places: &[Vec<usize>],
    batch: usize,
    device: &Device,
    stop: &Stop,
) -> Option<Vec<Vec<Vec<f32>>>> {
    let model = Module::valid(model);
    let device = device.clone().inner();
    let mut out = vec![Vec::new(); sequences.len()];
    let mut counter = Counter::new("tagging", "examples", sequences.len());
    for chosen in by_length(sequences, batch) {
        if stop.requested() {
            return None;
        }
        let batch = TaskBatch::new(chosen.iter().map(|&i| &sequences[i]), &device);
        let logits = model.forward(&batch.inputs, &Noise::none());
        let [_, length, outputs] = logits.dims();
        let values = fn_models::params::host(logits);
        for (row, &index) in chosen.iter().enumerate() {
            let at = |place: usize| (row * length + place) * outputs;
            out[index] = places[index].iter().map(|&p| values[at(p)..at(p) + outputs].to_vec()).collect();
        }
        counter.add(chosen.len());
    }
    Some(out)
}

/// Groups sequences of similar length into batches, to keep padding short; predictions do not depend on the grouping.
fn by_length(sequences: &[Sequence], batch: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|&i| sequences[i].len());
    order.chunks(batch.max(1)).map(<[usize]>::to_vec).collect()
}
