//! One run: a small ELECTRA on a generated language in memory.

use std::sync::Arc;

use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::corrupt::Corruptor;
use fn_core::judge::{DeviceLexicon, THRESHOLD};
use fn_data::language::{Language, LanguageConfig, LexiconNoise, TruthRow};
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

use super::probe::{self, Probed};
use super::{Arm, DoseError};

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

/// A point of the held-out curves of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Optimiser steps.
    pub step: u64,
    /// Area under the detector's curve, errors against originals.
    pub error_auc: f64,
    /// The same with every replacement on the side of the errors: hard labels.
    pub label_auc: f64,
    /// Share of the sampled replacements that fit.
    pub fitting: f64,
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

    /// Mean share of the replacements that fit, over the evaluations.
    pub fn fitting(&self) -> f64 {
        self.curve.iter().map(|point| point.fitting).sum::<f64>() / self.curve.len() as f64
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { share, seed, arm, probe, .. } = self;
        let (name, area, fitting) = (arm.name(), self.error_auc(), self.fitting());
        write!(
            f,
            "share {share}, seed {seed}, {name}: true AUC {area:.3}, probe {:.2}, fitting {fitting:.3}",
            probe.errors
        )
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
    pub(super) rows: Vec<TruthRow>,
    truth: DeviceLexicon,
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
        let rows = |n: usize, seed: u64| -> Result<(Arc<Dataset>, Vec<TruthRow>), DoseError> {
            let rows = language.rows(n, LENGTH, seed);
            let packed = rows.iter().map(|r| PackedRow { ids: r.ids.clone(), second: r.ids.len() as u16 });
            Ok((Arc::new(Dataset::from_rows(packed.collect(), LENGTH)?), rows))
        };
        let (data, _) = rows(steps as usize * BATCH, seed)?;
        let (held_out, rows) = rows(HELD_OUT_ROWS, seed ^ HELD_OUT)?;
        let lexicon = language.lexicon(&language.vocabulary_sha256(), LexiconNoise::default())?;
        let truth = DeviceLexicon::new(&lexicon, None, device);
        let device = device.clone();
        Ok(Self { share, seed, steps, language, config, corruptor, data, held_out, rows, truth, device })
    }

    /// Trains and measures one arm. None if a stop was requested.
    ///
    /// # Errors
    /// A loss that stays non-finite.
    pub fn run(&self, arm: Arm, stop: &Stop) -> Result<Option<Record>, DoseError> {
        let mut config = self.config.clone();
        config.correction.discriminator = arm.detection();
        let device = self.device.clone().autodiff();
        let (model, _) =
            fn_train::model::initial(&config.model, self.language.size(), 0, self.seed, &device)?;
        let judging = Judging {
            judge: arm.judge(&self.truth, self.seed)?,
            threshold: THRESHOLD,
            measured_by: Some(arm.judge(&self.truth, self.seed)?),
            ..Judging::by(Box::new(fn_core::judge::NoJudge))
        };
        let objective = objective::build(&config, &Resources::default(), judging, device)?;
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
        let slot = self.rows.get(row).and_then(|r| r.slots.get(position)).copied().flatten();
        slot.is_some_and(|slot| self.language.truth_fits(slot, word))
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
