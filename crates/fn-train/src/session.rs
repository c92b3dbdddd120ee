//! A pre-training run from its configuration and run directory.
//!
//! [`Session::open`] opens all inputs of the configuration; [`Session::run`] makes the model (new, from a Hugging Face
//! folder, or from the newest checkpoint of the run directory), trains it and writes `model/` in the Hugging Face format.

mod judges;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use burn::tensor::{Device, FloatDType};
use fn_core::corrupt::{Corruptor, Unit};
use fn_core::files::hex;
use fn_core::lexicon::Lexicon;
use fn_data::lexicon::{WordNet, WordNetError, WordNetOptions, build_wordnet_lexicon};
use fn_data::mixture::Mixture;
use fn_data::shard::{Dataset, PreparedData, Progress, prepare};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::SaveOptions;
use fn_models::{Pretrained, params};
use fn_ops::MatmulPrecision;
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoints, TrainState};
use crate::collective::{Agreement, Collective, Meeting, Patience, Single, Wire, agree, meet, tell_path};
use crate::config::{Dtype, RunConfig, Runnable, text};
use crate::error::TrainError;
use crate::faults;
use crate::heldout::{Evaluation, Truth};
use crate::lock::RunLock;
use crate::machine::this_program;
use crate::model;
use crate::objective::{self, MovingAverage, Objective};
use crate::optim::{AdamW, Groups};
use crate::pretraining::{HeldOut, Inputs, Pretraining, stage, warnings};
use crate::report::Reporter;
use crate::stop::Stop;
pub use crate::texts::prepare_config;
use crate::texts::{Passes, open_training, passes};
use crate::training_loop::{Start, Together, checksum, train_together};

/// Folder of the trained model in a run directory.
const MODEL: &str = "model";
/// Folder of the moving average of its weights.
const AVERAGE: &str = "average";

/// The opened and checked inputs of a pre-training run.
pub struct Session {
    config: Runnable,
    dir: PathBuf,
    device: Device,
    tokenizer: TextTokenizer,
    data: Mixture,
    held_out: Option<Arc<Dataset>>,
    corruptor: Arc<Corruptor>,
    lexicon: Option<Lexicon>,
    /// The lexicon of held-out metrics, if it is not that of the corrections.
    measured_by: Option<Lexicon>,
    stop: Stop,
    ranks: Rc<dyn Collective>,
    /// The lock of `dir`, held as long as the session exists.
    _held: RunLock,
}

/// Held-out rows with ground truth, which replace `data.held_out`.
pub struct Planted<'a> {
    /// The rows, in the order of `truth`.
    pub data: Arc<Dataset>,
    /// Ground truth of which words fit.
    pub truth: &'a dyn Truth,
}

/// How a session ended.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Optimiser steps done.
    pub step: u64,
    /// Whether all steps of `train.steps` are done; false if the run was stopped before.
    pub complete: bool,
    /// The last held-out metrics, if there was an evaluation.
    pub evaluation: Option<Evaluation>,
    /// The newest checkpoint.
    pub saved: Option<PathBuf>,
    /// Folder of the trained model in the Hugging Face format, if the run is complete.
    pub model: Option<PathBuf>,
    /// How often each training text was read up to `step`.
    pub passes: Vec<Passes>,
    /// Mean seconds of a step, without evaluations and saves, and without the first step if there are others; NaN if no step
    /// was taken.
    pub seconds_per_step: f64,
}

impl Session {
    /// [`open`](Self::open)s a run in `dir`, which is created if necessary, without progress reports and without a stop flag.
    ///
    /// # Errors
    /// Those of `open`; another process trains in `dir`.
    pub fn start(config: Runnable, dir: &Path, device: &Device) -> Result<Self, TrainError> {
        let held = RunLock::take(dir)?;
        Self::open(config, dir, device, &Stop::new(), held, &mut |_| ())
    }

    /// Opens tokenizer, data and lexicon of `config`; prepares the data unless it is in the cache.
    /// `device` is the plain device, without autodiff; `held` is the lock of `dir`, taken before anything is written there.
    ///
    /// # Errors
    /// A file that is missing, damaged, or does not fit the others; the error names it.
    pub fn open(
        config: Runnable,
        dir: &Path,
        device: &Device,
        stop: &Stop,
        held: RunLock,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Self, TrainError> {
        Self::open_of_ranks(config, dir, device, stop, held, progress, Rc::new(Single))
    }

    /// [`open`](Self::open)s a run of several processes, on each of them: `ranks` are this one and the others. The first rank prepares
    /// the data; the others find it in the cache. Only the first one holds the lock of `dir`, which all of them see.
    ///
    /// # Errors
    /// As `open`; ranks that do not have the same program, configuration and inputs.
    pub fn open_of_ranks(
        config: Runnable,
        dir: &Path,
        device: &Device,
        stop: &Stop,
        held: RunLock,
        progress: &mut dyn FnMut(&Progress),
        ranks: Rc<dyn Collective>,
    ) -> Result<Self, TrainError> {
        faults::opening();
        let tokenizer = TextTokenizer::load(&config.data.tokenizer)?;
        if let Some(folder) = &config.model.init {
            tokenizer.check_model(&config.data.tokenizer, folder)?;
        }
        let mut open_all = || -> Result<_, TrainError> {
            let (rows, prepared) = open_training(&config, &tokenizer, progress, &stop.flag())?;
            let held_out = match config.data.held_out.as_slice() {
                [] => None,
                paths => {
                    let prepare_config = prepare_config(&config, paths);
                    let prepared = prepare(&prepare_config, &tokenizer, progress, &stop.flag())?;
                    Some((Arc::new(Dataset::open(&prepared.dir)?), shards([&prepared])))
                }
            };
            Ok(((rows, shards(&prepared)), held_out))
        };
        let prepared = Meeting { what: "the prepared data", patience: Patience::Endless };
        let opened = ranks.is_first().then(&mut open_all).transpose()?;
        meet(&*ranks, prepared)?;
        let ((data, train_shards), held_out) = match opened {
            Some(opened) => opened,
            None => open_all()?,
        };
        let (held_out, held_out_shards) = held_out.unzip();
        let lexicon = open_lexicon(&config, &tokenizer)?;
        let measured_by = match &config.eval.lexicon {
            Some(path) => Some(checked(Lexicon::load(path)?, &tokenizer)?),
            None => None,
        };
        if config.corruption.unit == Unit::WholeWord {
            tokenizer.require_words()?;
        }
        let corruptor = Arc::new(Corruptor::new(config.corruption.clone(), tokenizer.facts())?);
        stage(&config, &corruptor)?; // so that a vocabulary that is too small is detected now
        if ranks.world() > 1 {
            let of =
                |lexicon: &Option<Lexicon>| lexicon.as_ref().map(Lexicon::fingerprint).unwrap_or_default();
            let same = [
                Agreement::new("the program", this_program()),
                Agreement::new("the configuration", hex(&Sha256::digest(text(&config)?))),
                Agreement::new("the tokenizer", tokenizer.sha256()),
                Agreement::new("the training text", train_shards),
                Agreement::new("the held-out text", held_out_shards.unwrap_or_default()),
                Agreement::new("the lexicon", of(&lexicon)),
                Agreement::new("the lexicon of the evaluation", of(&measured_by)),
            ];
            agree(&*ranks, Meeting { what: "its checksums", patience: Patience::Endless }, &same)?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            device: device.clone(),
            tokenizer,
            data,
            held_out,
            corruptor,
            lexicon,
            measured_by,
            stop: stop.clone(),
            ranks,
            _held: held,
            config,
        })
    }

    /// Trains to `train.steps`, from the newest intact checkpoint of the run directory if there is one.
    ///
    /// # Errors
    /// Data or checkpoints that cannot be read or written, a loss that stays non-finite.
    pub fn run(
        &self,
        reporter: &mut dyn Reporter,
        planted: Option<Planted<'_>>,
    ) -> Result<Summary, TrainError> {
        self.set_precision(reporter)?;
        let device = self.device.clone().autodiff();
        let model = self.model(reporter, &device)?;
        let mut average = None;
        let resources = self.resources(&mut average)?;
        let judging = self.judging(&resources, average)?;
        let objective = objective::build(&self.config, &resources, judging, device)?;
        self.finish(reporter, planted, &*objective, model)
    }

    /// Sets the data type of matrix products to `train.dtype`.
    fn set_precision(&self, reporter: &mut dyn Reporter) -> Result<(), TrainError> {
        let train = &self.config.train;
        use_dtype(train.dtype, &self.device, &train.device)?;
        if train.dtype == Dtype::Bf16
            && train.device == "flex"
            && fn_ops::bf16_unit() == fn_ops::Bf16Unit::None
        {
            reporter.notice(
                "this processor does not multiply bf16 (AMX or AVX-512 BF16): products are rounded and computed in f32, slower than f32",
            )?;
        }
        Ok(())
    }

    /// The model before the first step.
    fn model(&self, reporter: &mut dyn Reporter, device: &Device) -> Result<Pretrained, TrainError> {
        let (model, report) = model::for_tokenizer(&self.config, &self.tokenizer, device)?;
        if let Some(report) = report {
            reporter.notice(&report.to_string())?;
        }
        Ok(model)
    }

    /// Resumes, trains and exports.
    fn finish(
        &self,
        reporter: &mut dyn Reporter,
        planted: Option<Planted<'_>>,
        objective: &dyn Objective,
        model: Pretrained,
    ) -> Result<Summary, TrainError> {
        let keep = &self.config.checkpoint;
        let checkpoints = Checkpoints::new(self.dir.join("checkpoints"), keep.keep_last, keep.keep_best);
        let ranks = &*self.ranks;
        let optimizer = AdamW::new(self.config.optimizer.clone(), Groups::default());
        let newest = self.newest(&checkpoints, reporter)?;
        let branched = newest.is_none();
        let mut averaged = BTreeMap::new();
        let start = match newest.or_else(|| self.config.train.branch.clone()) {
            Some(path) => {
                let mut loaded = checkpoints.load(&path)?;
                objective.restore(&model, &mut loaded.optim);
                averaged = MovingAverage::taken_from(&mut loaded.optim);
                faults::average(&mut averaged);
                if branched {
                    self.check_branch(&path, &loaded.state)?;
                    // The best checkpoint of the other run is not in this directory.
                    loaded.state.best = None;
                }
                reporter.resumed(loaded.state.step, &path)?;
                let start = Start::resumed(model, optimizer, loaded)?;
                // A branch saves at its first step, into its own directory.
                Start { checkpoint: start.checkpoint.filter(|_| !branched), ..start }
            }
            None => {
                objective.follow(&model);
                let special = self.tokenizer.special();
                let unknown = (special.unk, self.tokenizer.unknown_in_own_text());
                let mut found = warnings::of_data(&self.config, &self.data, unknown);
                let around = [special.cls, special.sep, special.pad];
                let held_out = self.held_out.as_deref().filter(|_| ranks.is_first());
                found.extend(held_out.and_then(|held| warnings::of_held_out(&self.data, held, &around)));
                for warning in found {
                    reporter.warning(&warning)?;
                }
                Start::new(model, optimizer, self.config.seed)
            }
        };
        let config = &self.config.average;
        let average = (config.decay > 0.0).then(|| Arc::new(MovingAverage::of_weights(config.decay)));
        if let Some(average) = average.as_ref().filter(|_| start.state.step >= config.start) {
            average.resume(&start.model, averaged)?;
            if self.config.optimizer.shard && ranks.world() > 1 {
                average.divide(ranks);
            }
        }
        let held_out = match planted {
            Some(Planted { data, truth }) => Some(HeldOut { data, truth: Some(truth) }),
            None => self.held_out.clone().map(|data| HeldOut { data, truth: None }),
        };
        let inputs = Inputs { data: self.data.clone(), corruptor: self.corruptor.clone(), held_out };
        // Several ranks stop when all of them have agreed, not when this one is asked to.
        let agreed = if ranks.world() == 1 { self.stop.clone() } else { Stop::new() };
        if ranks.world() > 1 {
            let same = [
                Agreement::new("the step to begin at", start.state.step.to_string()),
                Agreement::new("the weights to begin with", checksum(&params::collect(&start.model))),
            ];
            agree(ranks, Meeting::disk("its weights"), &same)?;
            if !ranks.world().is_power_of_two() {
                reporter.notice(&format!(
                    "{} ranks: sums are rounded in another order than in one process; 1, 2, 4, 8, ... ranks give equal bits",
                    ranks.world()
                ))?;
            } else if self.config.train.wire == Wire::Bf16 {
                reporter.notice("`train.wire` is bf16: gradients are rounded between ranks, so another number of ranks gives other bits")?;
            }
            if self.config.train.overlap && !self.config.overlaps() {
                reporter.notice("`train.overlap` has no effect with this correction, whose gradients would be added in another order: they are sent after the backward pass")?;
            }
        }
        let state = &start.state;
        let mut training =
            Pretraining::of_ranks(&self.config, objective, inputs, state, reporter, &agreed, ranks)?
                .beginning_at(if branched { state.step } else { 0 })
                .with_average(average.clone());
        if start.checkpoint.is_none() && state.step == 0 {
            training.evaluate_before(&start.model)?;
        }
        let skipped = self.config.train.max_skipped;
        let together = Together { ranks, signal: &self.stop };
        let mut ended = train_together(training, start, Some(&checkpoints), skipped, &agreed, together)?;
        let average = average.filter(|_| ended.complete).map(|average| average.model(ranks, &ended.model));
        let model = match ended.complete && ranks.is_first() {
            true => {
                if let Some(average) = average.transpose()?.flatten() {
                    self.write_model(&average, AVERAGE)?;
                }
                Some(self.write_model(&ended.model, MODEL)?)
            }
            false => None,
        };
        let (step, complete, saved) = (ended.state.step, ended.complete, ended.saved);
        let evaluation = ended.training.evaluation(&ended.model)?;
        let seconds_per_step = ended.training.seconds_per_step();
        let passes = passes(&self.config, &self.data, step);
        for of_text in passes.iter().filter(|_| passes.len() > 1) {
            reporter.notice(&format!("up to step {step}: {of_text}"))?;
        }
        Ok(Summary { step, complete, evaluation, saved, model, passes, seconds_per_step })
    }

    /// Checks that the run of a checkpoint can go on here.
    fn check_branch(&self, path: &Path, state: &TrainState) -> Result<(), TrainError> {
        let refused =
            |what, found, expected| Err(TrainError::Branch { path: path.to_owned(), what, found, expected });
        let (config, micro) = (&self.config, self.config.micro_batches().before(state.step));
        if state.seed != config.seed {
            return refused("seed", state.seed.to_string(), config.seed.to_string());
        }
        if state.micro_step != micro {
            return refused("micro-batches so far", state.micro_step.to_string(), micro.to_string());
        }
        if state.step >= config.train.steps {
            return refused("step", state.step.to_string(), format!("less than {}", config.train.steps));
        }
        Ok(())
    }

    /// The newest valid checkpoint: the first rank looks, and all take what it found.
    fn newest(
        &self,
        checkpoints: &Checkpoints,
        reporter: &mut dyn Reporter,
    ) -> Result<Option<PathBuf>, TrainError> {
        let mut newest = None;
        if self.ranks.is_first() {
            checkpoints.remove_leftovers();
            if let Some(found) = checkpoints.latest()? {
                for notice in &found.notices {
                    reporter.notice(notice)?;
                }
                if !found.notices.is_empty() {
                    let older = format!("an older checkpoint is taken instead: {}", found.path.display());
                    reporter.notice(&older)?;
                }
                newest = Some(found.path);
            }
        }
        Ok(tell_path(&*self.ranks, Meeting::disk("the newest checkpoint"), newest)?)
    }

    /// Writes a folder in the Hugging Face format, to a temporary name that is then renamed, because `model/` marks a complete run.
    fn write_model(&self, model: &Pretrained, name: &str) -> Result<PathBuf, TrainError> {
        let (folder, temporary) = (self.dir.join(name), self.dir.join(format!(".{name}.tmp")));
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary).map_err(io("remove", &temporary))?;
        }
        let options = SaveOptions::with_special(model.arch(), &self.tokenizer.special());
        model.save(&temporary, &options)?;
        self.tokenizer.save(&temporary)?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(io("remove", &folder))?;
        }
        std::fs::rename(&temporary, &folder).map_err(io("write", &folder))?;
        Ok(folder)
    }
}

/// Sets the data type of matrix products on this thread; `name` is the name of the device in the configuration.
///
/// # Errors
/// [`TrainError::NoBf16`] if the device does not support bf16.
pub fn use_dtype(dtype: Dtype, device: &Device, name: &str) -> Result<(), TrainError> {
    let precision = match dtype {
        Dtype::F32 => MatmulPrecision::F32,
        Dtype::Bf16 if !device.supports_dtype(FloatDType::BF16) => {
            return Err(TrainError::NoBf16 { device: name.to_owned() });
        }
        Dtype::Bf16 => MatmulPrecision::Bf16,
    };
    fn_ops::set_matmul_precision(precision);
    Ok(())
}

/// SHA-256 of the shards of data sets, one after the other.
fn shards<'a>(prepared: impl IntoIterator<Item = &'a PreparedData>) -> String {
    prepared
        .into_iter()
        .flat_map(|prepared| &prepared.manifest.shards)
        .map(|shard| shard.sha256.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The lexicon of the configuration, if it names one, checked against the tokenizer.
fn open_lexicon(config: &RunConfig, tokenizer: &TextTokenizer) -> Result<Option<Lexicon>, TrainError> {
    let lexicon = match (&config.lexicon.path, &config.lexicon.wordnet) {
        (Some(path), _) => Lexicon::load(path)?,
        (None, Some(dict)) => wordnet_lexicon(dict, tokenizer)?,
        (None, None) => return Ok(None),
    };
    checked(lexicon, tokenizer).map(Some)
}

/// The lexicon that a run with `lexicon.wordnet` builds at its start, from the WordNet files in `dict`.
///
/// # Errors
/// Files that cannot be read; a vocabulary without any entry.
pub fn wordnet_lexicon(dict: &Path, tokenizer: &TextTokenizer) -> Result<Lexicon, WordNetError> {
    let options = WordNetOptions::default();
    build_wordnet_lexicon(&WordNet::open(dict)?, tokenizer.spelled(), tokenizer.sha256(), &options)
}

/// Checks that the lexicon was built for this vocabulary.
fn checked(lexicon: Lexicon, tokenizer: &TextTokenizer) -> Result<Lexicon, TrainError> {
    lexicon.check_vocabulary(tokenizer.size(), tokenizer.sha256())?;
    Ok(lexicon)
}

/// Error of a file operation.
fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { path, action, source }
}
