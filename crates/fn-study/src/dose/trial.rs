//! One run: a small ELECTRA or BERT on a generated language in memory.

use std::rc::Rc;
use std::sync::Arc;

use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::corrupt::Corruptor;
use fn_core::judge::{DeviceLexicon, THRESHOLD, Teacher};
use fn_data::language::{Language, LanguageConfig, LexiconNoise, PlannedRow};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_train::config::{RunConfig, preset};
use fn_train::heldout::Truth;
use fn_train::objective::{self, Judging};
use fn_train::optim::{AdamW, Groups};
use fn_train::pretraining::{HeldOut, Inputs, Pretraining};
use fn_train::report::{ReportError, Reporter, StepReport};
use fn_train::schedule::ScheduleKind;
use fn_train::stop::Stop;
use fn_train::training_loop::{self, Start};
use serde::{Deserialize, Serialize};

use super::oracle::Oracle;
use super::probe::{self, Probed};
use super::{Arm, DoseError, or_nan};

/// What the guesser knows by which the language is set: about what an ELECTRA generator of this size knows of it, over a run.
pub const KNOWLEDGE: f64 = 0.6;
/// Tokens of a row.
const LENGTH: usize = 24;
/// Rows of a batch.
const BATCH: usize = 64;
/// Held-out rows.
const HELD_OUT_ROWS: usize = 512;
/// Evaluations of a run.
const EVALUATIONS: u64 = 8;
/// XORed into the seed, so that held-out and training text differ.
const HELD_OUT: u64 = 0x0e1d;

/// A point of the held-out curves of a run. NaN where a model has no discriminator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Optimiser steps.
    pub step: u64,
    /// Area under the detector's curve, errors against originals.
    #[serde(deserialize_with = "or_nan")]
    pub error_auc: f64,
    /// The same with every replacement on the side of the errors: hard labels.
    #[serde(deserialize_with = "or_nan")]
    pub label_auc: f64,
    /// Share of the sampled replacements that fit.
    #[serde(deserialize_with = "or_nan")]
    pub fitting: f64,
    /// Mean divergence of the masked LM from the true conditional at masked places, in nats; None in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
}

/// What a run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The dial: percent of the replacements that fit, of a guesser that knows [`KNOWLEDGE`].
    pub share: u32,
    /// Seed of language, text and model.
    pub seed: u64,
    /// What was done.
    #[serde(flatten)]
    pub arm: Arm,
    /// Optimiser steps.
    pub steps: u64,
    /// The curves.
    pub curve: Vec<Point>,
    /// Share of the masked words that the generator predicts exactly, at the end.
    pub masked_accuracy: f64,
    /// Share of the masked words for which it predicts one that fits, at the end.
    pub fitting_accuracy: f64,
    /// Precision of the judge on held-out replacements at the end; None if it excuses nothing.
    pub precision: Option<f64>,
    /// Its recall.
    pub recall: Option<f64>,
    /// The linear probe.
    pub probe: Probed,
    /// Seconds of a step, without evaluations.
    pub seconds_per_step: f64,
}

impl Record {
    /// Area of errors against originals at the end.
    pub fn error_auc(&self) -> f64 {
        self.curve.last().map_or(f64::NAN, |point| point.error_auc)
    }

    /// Area of errors against originals as a mean over all evaluations: how soon it rises, with less noise than its end.
    pub fn mean_error_auc(&self) -> f64 {
        self.curve.iter().map(|point| point.error_auc).sum::<f64>() / self.curve.len() as f64
    }

    /// Area by hard labels at the end.
    pub fn label_auc(&self) -> f64 {
        self.curve.last().map_or(f64::NAN, |point| point.label_auc)
    }

    /// How close the masked LM comes to the true conditional at the end: minus its divergence from it, in nats; NaN if it was not measured.
    pub fn closeness(&self) -> f64 {
        self.closeness_curve().last().map_or(f64::NAN, |point| point.1)
    }

    /// The same as a mean over all evaluations.
    pub fn mean_closeness(&self) -> f64 {
        let curve = self.closeness_curve();
        curve.iter().map(|point| point.1).sum::<f64>() / curve.len() as f64
    }

    /// Steps and [`closeness`](Self::closeness).
    pub fn closeness_curve(&self) -> Vec<(f64, f64)> {
        self.curve.iter().map(|point| (point.step as f64, -point.divergence.unwrap_or(f64::NAN))).collect()
    }

    /// Steps and area of errors against originals, from 1/2 at step 0.
    pub fn error_auc_curve(&self) -> Vec<(f64, f64)> {
        let points = self.curve.iter().map(|point| (point.step as f64, point.error_auc));
        std::iter::once((0.0, 0.5)).chain(points).collect()
    }

    /// Mean share of the replacements that fit, over the evaluations.
    pub fn fitting(&self) -> f64 {
        self.curve.iter().map(|point| point.fitting).sum::<f64>() / self.curve.len() as f64
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { share, seed, arm, .. } = self;
        let (name, area, closeness) = (arm.name(), self.error_auc(), self.closeness());
        write!(f, "share {share}, seed {seed}, {name}: ")?;
        if area.is_finite() {
            let (probe, fitting) = (self.probe.errors, self.fitting());
            write!(f, "true AUC {area:.3}, probe {probe:.2}, fitting {fitting:.3}, ")?;
        }
        write!(f, "masked accuracy {:.3}, divergence {:.3}", self.masked_accuracy, -closeness)
    }
}

/// A language and its text, which all arms of a seed share.
pub struct Trial {
    share: u32,
    seed: u64,
    steps: u64,
    pub(super) language: Language,
    pub(super) config: RunConfig,
    pub(super) corruptor: Arc<Corruptor>,
    data: Arc<Dataset>,
    pub(super) held_out: Arc<Dataset>,
    pub(super) rows: Vec<PlannedRow>,
    /// The true conditional at each position of the held-out rows.
    conditionals: Vec<Vec<Vec<(u32, f64)>>>,
    truth: DeviceLexicon,
    oracle: Rc<dyn Teacher>,
    device: Device,
}

/// The language before its dial is set: 14 concepts in use, each with six words; what a word likes beside it is certain, so that a
/// detector of this size can learn to tell errors.
pub fn base_language() -> LanguageConfig {
    LanguageConfig {
        topics: 1,
        nouns_per_topic: 6,
        adjectives: 4,
        verbs: 4,
        adverbs: 4,
        noun_classes: 1,
        prepositions: 1,
        set_sizes: vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        polysemy: 0.0,
        favourites: 1,
        templates: ["As Ns V Ao No .", "Ns V Ao No .", "As Ns V No ."].map(String::from).to_vec(),
        ..LanguageConfig::default()
    }
}

impl Trial {
    /// Makes language and text.
    ///
    /// # Errors
    /// A share that no choice within the sets reaches.
    pub fn new(share: u32, seed: u64, steps: u64, device: &Device) -> Result<Self, DoseError> {
        let wanted = f64::from(share) / 100.0;
        let language = base_language().with_fitting_replacements(wanted, KNOWLEDGE, seed)?;
        let language = Language::new(language, seed)?;
        let config = configuration(seed, steps)?;
        let corruptor = Arc::new(Corruptor::new(config.corruption.clone(), language.facts())?);
        let rows = |n: usize, seed: u64| -> Vec<PlannedRow> {
            (0..n as u64).map(|i| language.planned_row(i, LENGTH, seed)).collect()
        };
        let packed = |rows: &[PlannedRow]| {
            let packed = |row: &PlannedRow| {
                let ids = row.truth.ids.clone();
                PackedRow { second: ids.len() as u16, ids }
            };
            Dataset::from_rows(rows.iter().map(packed).collect(), LENGTH).map(Arc::new)
        };
        let learnt = rows(steps as usize * BATCH, seed);
        let data = packed(&learnt)?;
        let rows = rows(HELD_OUT_ROWS, seed ^ HELD_OUT);
        let held_out = packed(&rows)?;
        let at_each = |row: &PlannedRow| {
            (0..row.truth.ids.len()).map(|position| language.conditional(row, position)).collect()
        };
        let conditionals = rows.iter().map(at_each).collect();
        let oracle = Rc::new(Oracle::new(&language, learnt.into_iter().chain(rows.iter().cloned())));
        let lexicon = language.lexicon(&language.vocabulary_sha256(), LexiconNoise::default())?;
        let truth = DeviceLexicon::new(&lexicon, None, device);
        let device = device.clone();
        Ok(Self {
            share,
            seed,
            steps,
            language,
            config,
            corruptor,
            data,
            held_out,
            rows,
            conditionals,
            truth,
            oracle,
            device,
        })
    }

    /// Trains and measures one arm. None if a stop was requested.
    ///
    /// # Errors
    /// A loss that stays non-finite.
    pub fn run(&self, arm: Arm, stop: &Stop) -> Result<Option<Record>, DoseError> {
        let mut config = self.config.clone();
        arm.configure(&mut config);
        let device = self.device.clone().autodiff();
        let (model, _) =
            fn_train::model::initial(&config.model, self.language.size(), 0, self.seed, &device)?;
        let judge = || arm.judge(&self.truth, &self.oracle, self.seed);
        let judging = Judging {
            judge: judge()?,
            threshold: THRESHOLD,
            measured_by: Some(judge()?),
            ..Judging::by(Box::new(fn_core::judge::NoJudge))
        };
        let resources = Resources { verifier: Some(self.oracle.clone()), ..Resources::default() };
        let objective = objective::build(&config, &resources, judging, device)?;
        let start = Start::new(model, AdamW::new(config.optimizer.clone(), Groups::default()), self.seed);
        let mut kept = Kept::default();
        let held_out = HeldOut { data: self.held_out.clone(), truth: Some(self as &dyn Truth) };
        let inputs = Inputs {
            data: self.data.clone().into(),
            corruptor: self.corruptor.clone(),
            held_out: Some(held_out),
        };
        let training = Pretraining::new(&config, &*objective, inputs, &start.state, &mut kept, stop)?;
        let ended = training_loop::train(training, start, None, config.train.max_skipped, stop)?;
        let seconds_per_step = ended.training.seconds_per_step();
        let model = ended.model;
        if !ended.complete {
            return Ok(None);
        }
        let last = kept.evaluations.last().map(|(_, metrics)| metrics.as_slice()).unwrap_or_default();
        let found = |name: &str| of(last, name);
        let finite = |name: &str| Some(of(last, name)).filter(|value| value.is_finite());
        Ok(Some(Record {
            share: self.share,
            seed: self.seed,
            arm,
            steps: self.steps,
            curve: kept.curve(),
            masked_accuracy: found("masked_accuracy"),
            fitting_accuracy: found("fitting_accuracy"),
            precision: finite("replaced_detection_precision"),
            recall: finite("replaced_detection_recall"),
            probe: probe::probe(self, &model, &self.device),
            seconds_per_step,
        }))
    }
}

impl Truth for Trial {
    fn fits(&self, row: usize, position: usize, word: u32) -> bool {
        let slot = self.rows.get(row).and_then(|r| r.truth.slots.get(position)).copied().flatten();
        slot.is_some_and(|slot| self.language.truth_fits(slot, word))
    }

    fn conditional(&self, row: usize, position: usize) -> Option<&[(u32, f64)]> {
        Some(self.conditionals.get(row)?.get(position)?)
    }
}

/// One layer of 32 for generator and discriminator each, rows of 24, a constant learning rate after the warm-up: "steps to" a figure is then not a question of the decay.
fn configuration(seed: u64, steps: u64) -> Result<RunConfig, DoseError> {
    let mut config = preset("quickstart")?;
    config.seed = seed;
    config.model.hidden_size = 32;
    config.model.embedding_size = 32;
    config.model.intermediate_size = 128;
    config.model.max_positions = LENGTH;
    config.data.length = LENGTH;
    config.data.workers = 0;
    config.train.steps = steps;
    config.train.batch = BATCH;
    config.corruption.rate = 0.25;
    config.schedule.kind = ScheduleKind::Constant;
    config.schedule.lr = 4e-3;
    config.schedule.warmup = config.schedule.warmup.min(steps / 10);
    config.lexicon.path = None;
    config.eval.every = (steps / EVALUATIONS).max(1);
    config.eval.batches = 0;
    config.log.every = steps;
    Ok(config)
}

/// Keeps the evaluations of a run.
#[derive(Default)]
struct Kept {
    evaluations: Vec<(u64, Vec<(String, f64)>)>,
}

impl Kept {
    fn curve(&self) -> Vec<Point> {
        let point = |(step, metrics): &(u64, Vec<(String, f64)>)| Point {
            step: *step,
            error_auc: of(metrics, "detector_error_auc"),
            label_auc: of(metrics, "detector_auc"),
            fitting: of(metrics, "replaced_true_false_negative_share"),
            divergence: Some(of(metrics, "conditional_divergence")),
        };
        self.evaluations.iter().map(point).collect()
    }
}

fn of(metrics: &[(String, f64)], name: &str) -> f64 {
    metrics.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, value)| *value)
}

impl Reporter for Kept {
    fn step(&mut self, _report: &StepReport) -> Result<(), ReportError> {
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.evaluations.push((step, metrics.to_vec()));
        Ok(())
    }
}
