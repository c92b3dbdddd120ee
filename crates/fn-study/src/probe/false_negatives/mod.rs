//! Wrong predictions of a model on held-out text, and which of them are false negatives by which judge.
//!
//! [`Subject::find`] finds the models to analyse: a run's model, its checkpoints, or another model. [`examine`] makes the [`Report`], [`export`]
//! a sample of the errors in context that people can label.

mod export;
mod judges;
mod passages;
mod report;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::Predictions;
use fn_core::corrupt::Corruptor;
use fn_core::progress::Counter;
use fn_core::sample::Prediction;
use fn_data::lexicon::WordNet;
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::shard::{Dataset, prepare};
use fn_data::tokenise::TextTokenizer;
use fn_models::{Pretrained, hf};
use fn_ops::Noise;
use fn_train::checkpoint::{self, Checkpoints};
use fn_train::config::RunConfig;
use fn_train::model;
use fn_train::objective::DeviceBatch;
use fn_train::pretraining::HELD_OUT_SEED;
use fn_train::rundir;
use fn_train::session::prepare_config;
use fn_train::stop::Stop;

pub use self::export::{ErrorInContext, Exported, Wanted, export};
use self::judges::Judges;
pub use self::report::Report;
use super::ProbeError;
use crate::runs::RunRecord;

/// Tokens shown on either side of a masked position.
const CONTEXT: usize = 12;

/// A wrong prediction at a masked position.
struct Mistake {
    gold: u32,
    predicted: u32,
    probability: f64,
    of_gold: f64,
    /// Whether each judge flags it as a false negative.
    flagged: Vec<bool>,
    context: String,
}

/// All predictions of one model.
#[derive(Default)]
struct Found {
    masked: usize,
    mistakes: Vec<Mistake>,
    /// Number of occurrences of each token.
    seen: HashMap<u32, u64>,
}

/// Counts of one checkpoint.
struct Step {
    step: u64,
    masked: usize,
    wrong: usize,
    /// Number of false negatives that each judge flags.
    flagged: Vec<usize>,
}

/// Options of [`examine`].
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Lexicons that act as judges; if empty, the run's own.
    pub lexicons: &'a [PathBuf],
    /// Masked LMs that act as judges, with the thresholds of the run; if empty, the run's own.
    pub verifiers: &'a [PathBuf],
    /// WordNet's `dict` folder, for parts of speech and shared senses.
    pub wordnet: Option<&'a Path>,
    /// Text to mask and predict; if empty, the run's held-out text.
    pub text: &'a [PathBuf],
    /// Number of batches to predict, at least 1.
    pub batches: usize,
    /// Number of false negatives to show.
    pub examples: usize,
}

/// The models to analyse: one checkpoint, one model, or a whole run.
#[derive(Debug)]
pub struct Subject {
    /// The run directory.
    pub run: PathBuf,
    /// Checkpoints, oldest first; without `folder` the last one is analysed in full.
    checkpoints: Vec<PathBuf>,
    /// A model in the Hugging Face format.
    folder: Option<PathBuf>,
    /// Whether the checkpoints are listed as well.
    whole: bool,
}

impl Subject {
    /// From a run directory or one of its checkpoints; `model`, with the vocabulary of the run, is analysed instead of the run's.
    ///
    /// # Errors
    /// A checkpoint outside of a run; both a checkpoint and a model.
    pub fn find(path: &Path, model: Option<&Path>) -> Result<Self, ProbeError> {
        if path.join(checkpoint::MANIFEST).exists() {
            let Some(run) = rundir::of_checkpoint(path) else {
                return Err(ProbeError::NoRun { path: path.to_owned() });
            };
            if model.is_some() {
                return Err(ProbeError::TwoModels);
            }
            return Ok(Self { run, checkpoints: vec![path.to_owned()], folder: None, whole: true });
        }
        let run = path.to_owned();
        if let Some(model) = model {
            let folder = Some(model.to_owned());
            return Ok(Self { run, checkpoints: Vec::new(), folder, whole: false });
        }
        let kept = Checkpoints::new(run.join(rundir::CHECKPOINTS), 1, false).list();
        let model = run.join(rundir::MODEL);
        Ok(Self {
            run,
            checkpoints: kept.into_iter().map(|(_, path)| path).collect(),
            folder: model.exists().then_some(model),
            whole: true,
        })
    }
}

/// Predicts masked tokens of the text; the judges flag false negatives among the errors. `warn` gets a message for each damaged
/// checkpoint, which is skipped.
///
/// # Errors
/// A run without model, text or judge; files that cannot be read; a requested stop.
pub fn examine<'a>(
    subject: &Subject,
    asked: &Asked<'_>,
    config: &RunConfig,
    tokenizer: &'a TextTokenizer,
    device: &Device,
    stop: &Stop,
    warn: &mut dyn FnMut(String),
) -> Result<Report<'a>, ProbeError> {
    let judges = Judges::open(asked, config, tokenizer, device)?;
    let net = asked.wordnet.map(WordNet::open).transpose()?;
    let paths = if asked.text.is_empty() { &config.data.held_out[..] } else { asked.text };
    if paths.is_empty() {
        return Err(ProbeError::NoText);
    }
    let prepared = prepare(&prepare_config(config, paths), tokenizer, &mut |_| (), &stop.flag())?;
    let probe = Probe {
        data: Arc::new(Dataset::open(&prepared.dir)?),
        corruptor: Arc::new(Corruptor::new(config.corruption.clone(), tokenizer.facts())?),
        batches: asked.batches,
        config,
        tokenizer,
        judges: &judges,
        device,
        stop,
    };
    let (steps, last) = probe.checkpoints(&subject.checkpoints, warn)?;
    let found = match &subject.folder {
        Some(folder) => {
            hf::check_fit(folder, tokenizer.size(), config.data.length)?;
            probe.look(&Pretrained::open_masked_lm(folder, device)?.0)?
        }
        None => last.ok_or_else(|| ProbeError::NoModel { path: subject.run.clone() })?,
    };
    if found.masked == 0 {
        return Err(ProbeError::NothingMasked);
    }
    Ok(Report {
        // Evaluations during training; a copied model may lack `metrics.jsonl`.
        by_step: RunRecord::open(&subject.run).map(|record| by_step(&record)).unwrap_or_default(),
        kept: subject.whole.then(|| report::kept(&config.checkpoint, steps.len())),
        ranks: ranks(&found.seen),
        steps,
        examples: asked.examples,
        judges: judges.names,
        net,
        tokenizer,
        found,
    })
}

/// The same text, masked at the same positions, for every model.
struct Probe<'a> {
    data: Arc<Dataset>,
    corruptor: Arc<Corruptor>,
    batches: usize,
    config: &'a RunConfig,
    tokenizer: &'a TextTokenizer,
    judges: &'a Judges,
    device: &'a Device,
    stop: &'a Stop,
}

impl Probe<'_> {
    /// Counts of every checkpoint, and all predictions of the last one. Damaged checkpoints are skipped with a warning.
    fn checkpoints(
        &self,
        folders: &[PathBuf],
        warn: &mut dyn FnMut(String),
    ) -> Result<(Vec<Step>, Option<Found>), ProbeError> {
        let (mut steps, mut last) = (Vec::new(), None);
        for folder in folders {
            let mut loaded = match checkpoint::load(folder) {
                Ok(loaded) => loaded,
                Err(error) => {
                    warn(format!("skipped: {error}"));
                    continue;
                }
            };
            let step = loaded.state.step;
            let found = self.look(&model::of_checkpoint(&self.config.model, &mut loaded, self.device)?)?;
            steps.push(Step {
                step,
                masked: found.masked,
                wrong: found.mistakes.len(),
                flagged: (0..self.judges.names.len()).map(|judge| found.flagged(judge)).collect(),
            });
            last = Some(found);
        }
        Ok((steps, last))
    }

    fn look(&self, model: &Pretrained) -> Result<Found, ProbeError> {
        let (data, corruptor) = (self.data.clone(), self.corruptor.clone());
        let size = self.config.train.batch.min(64);
        let mut found = Found::default();
        let mut counter = Counter::new("predicting", "batches", self.batches);
        for batch in fixed_batches(data, corruptor, size, HELD_OUT_SEED, self.batches) {
            if self.stop.requested() {
                return Err(ProbeError::Stopped);
            }
            self.add(&mut found, model, &batch);
            counter.add(1);
        }
        Ok(found)
    }

    fn add(&self, found: &mut Found, model: &Pretrained, batch: &MaskedBatch) {
        for &id in batch.original.iter().filter(|&&id| !is_frame(self.tokenizer, id)) {
            *found.seen.entry(id).or_default() += 1;
        }
        let on_device = DeviceBatch::new(batch, self.device);
        let logits =
            model.masked_logits(&on_device.inputs, on_device.batch.positions.clone(), &Noise::none());
        // The embedding may be padded beyond the vocabulary; drop those logits.
        let rows = logits.dims()[0];
        let logits = logits.slice([0..rows, 0..self.tokenizer.size()]);
        let predictions = Predictions::new(&on_device.batch, &logits, Prediction::Argmax);
        let probability = |ids: Tensor<1, Int>| -> Vec<f64> {
            let loss = fn_models::params::host(fn_ops::cross_entropy_rows(logits.clone(), ids));
            loss.into_iter().map(|loss| f64::from(-loss).exp()).collect()
        };
        let (of_predicted, of_gold) =
            (probability(predictions.ids.clone()), probability(on_device.batch.gold.clone()));
        let words = predictions.ids.clone().into_data();
        let ids: Vec<(u32, u32)> =
            batch.gold.iter().copied().zip(words.iter::<i32>().map(|id| id as u32)).collect();
        let verdicts = self.judges.flagged(&predictions);
        for (place, &(gold, word)) in ids.iter().enumerate().filter(|(place, _)| batch.weight[*place] > 0.0) {
            found.masked += 1;
            if word != gold {
                found.mistakes.push(Mistake {
                    gold,
                    predicted: word,
                    probability: of_predicted[place],
                    of_gold: of_gold[place],
                    flagged: verdicts.iter().map(|flags| flags[place]).collect(),
                    context: context(batch, batch.positions[place] as usize, self.tokenizer),
                });
            }
        }
    }
}

impl Found {
    /// Number of errors that a judge flags as false negatives.
    fn flagged(&self, judge: usize) -> usize {
        self.mistakes.iter().filter(|mistake| mistake.flagged[judge]).count()
    }
}

/// Whether a token is `[PAD]`, `[CLS]` or `[SEP]`.
fn is_frame(tokenizer: &TextTokenizer, id: u32) -> bool {
    let special = tokenizer.special();
    [special.pad, special.cls, special.sep].contains(&id)
}

/// The original text around a masked position, which is written `[...]`.
fn context(batch: &MaskedBatch, place: usize, tokenizer: &TextTokenizer) -> String {
    let start = place / batch.length * batch.length;
    let row = &batch.original[start..start + batch.length];
    let at = place - start;
    let side = |ids: &[u32]| {
        let words: Vec<u32> = ids.iter().copied().filter(|&id| !is_frame(tokenizer, id)).collect();
        tokenizer.decode(&words)
    };
    let (before, after) =
        (&row[at.saturating_sub(CONTEXT)..at], &row[at + 1..row.len().min(at + 1 + CONTEXT)]);
    format!("{} [...] {}", side(before), side(after)).trim().to_owned()
}

/// Rank of each token by its frequency, from 0.
fn ranks(seen: &HashMap<u32, u64>) -> HashMap<u32, usize> {
    let mut words: Vec<(&u32, &u64)> = seen.iter().collect();
    words.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    words.into_iter().enumerate().map(|(rank, (word, _))| (*word, rank)).collect()
}

/// For each evaluation of the run: step, share of wrong predictions, and share of these that are false negatives.
fn by_step(record: &RunRecord) -> Vec<(u64, f64, f64)> {
    let series = |name: &str| record.series.get(name).cloned().unwrap_or_default();
    let shares: HashMap<u64, f64> = series("eval.false_negative_share").into_iter().collect();
    let row = |(step, wrong)| shares.get(&step).map(|&share| (step, wrong, share));
    series("eval.wrong_share").into_iter().filter_map(row).collect()
}
