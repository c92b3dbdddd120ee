//! A run as a user sees it: a configuration and a folder.
//!
//! [`Session::open`] reads everything that the configuration names; [`Session::run`] builds the model (new, from a Hugging
//! Face folder, or from the newest checkpoint of the folder), trains it and writes `model/` in the Hugging Face format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, FloatDType};
use fn_core::correct::registry::{JUDGES, Resources};
use fn_core::corrupt::Corruptor;
use fn_core::judge::{All, Any, DeviceLexicon, Judge, LexiconJudge, NoJudge, Verifier, WeightedMean};
use fn_core::lexicon::Lexicon;
use fn_core::loss::{MaskedLm, MaskedLmConfig, ReplacedTokenConfig};
use fn_core::sample::SampleConfig;
use fn_data::lexicon::{WordNet, WordNetOptions, build_wordnet_lexicon};
use fn_data::shard::{Dataset, PrepareConfig, Progress, prepare};
use fn_data::source::SourceOptions;
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::SaveOptions;
use fn_models::{GeneratorSize, Pretrained, params};
use fn_ops::MatmulPrecision;
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoints, LoadedCheckpoint, TrainState};
use crate::config::{Dtype, JudgeKind, RunConfig, Runnable, VerifierConfig};
use crate::error::TrainError;
use crate::faults;
use crate::heldout::{Evaluation, Truth};
use crate::lock::RunLock;
use crate::objective::{
    Judging, MaskedLanguageModel, MovingAverage, Objective, Reader, ReplacedTokenDetection,
};
use crate::optim::{AdamW, Groups};
use crate::report::Reporter;
use crate::stop::Stop;
use crate::trainer::{HeldOut, Run, stage};

/// Everything that a configuration names, opened and checked.
pub struct Session {
    config: Runnable,
    dir: PathBuf,
    device: Device,
    tokenizer: TextTokenizer,
    data: Arc<Dataset>,
    held_out: Option<Arc<Dataset>>,
    corruptor: Arc<Corruptor>,
    lexicon: Option<Lexicon>,
    /// The lexicon of held-out metrics, where it is another one.
    measured_by: Option<Lexicon>,
    stop: Stop,
    /// Nobody else trains in `dir` as long as this lives.
    _held: RunLock,
}

/// Held-out rows that replace `data.held_out`, with the truth about them.
pub struct Planted<'a> {
    /// The rows, in the order that `truth` counts them in.
    pub data: Arc<Dataset>,
    /// What fits where.
    pub truth: &'a dyn Truth,
}

/// How a session ended.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Optimiser steps done, of `train.steps`.
    pub step: u64,
    /// False when a signal stopped it before its last step.
    pub complete: bool,
    /// The last held-out metrics, if any were taken.
    pub evaluation: Option<Evaluation>,
    /// The newest checkpoint.
    pub saved: Option<PathBuf>,
    /// The model in the Hugging Face format, written when the run is complete.
    pub model: Option<PathBuf>,
    /// Mean seconds of a step (measuring and saving left out, and the first where there are others); NaN when no step was taken.
    pub seconds_per_step: f64,
}

impl Session {
    /// Opens tokenizer, data and lexicon of `config`; prepares the data where the cache does not have it yet.
    /// `device` is the plain device, without autodiff; `held` is the lock of `dir`, taken before anything is written there.
    ///
    /// # Errors
    /// Whatever is missing, damaged or does not fit, by name.
    pub fn open(
        config: Runnable,
        dir: &Path,
        device: &Device,
        stop: &Stop,
        held: RunLock,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Self, TrainError> {
        faults::opening();
        let tokenizer = TextTokenizer::load(&config.data.tokenizer)?;
        let mut open = |paths: &[PathBuf]| -> Result<Arc<Dataset>, TrainError> {
            let prepared = prepare(&prepare_config(&config, paths), &tokenizer, progress, &stop.flag())?;
            Ok(Arc::new(Dataset::open(&prepared.dir)?))
        };
        let data = open(&config.data.train)?;
        let held_out = match config.data.held_out.as_slice() {
            [] => None,
            paths => Some(open(paths)?),
        };
        let lexicon = open_lexicon(&config, &tokenizer)?;
        let measured_by = match &config.eval.lexicon {
            Some(path) => Some(checked(Lexicon::load(path)?, &tokenizer)?),
            None => None,
        };
        let corruptor = Arc::new(Corruptor::new(config.corruption.clone(), tokenizer.facts())?);
        stage(&config, &corruptor)?; // a vocabulary that is too small shows now
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
            _held: held,
            config,
        })
    }

    /// Trains to `train.steps`, from the newest valid checkpoint of the folder if there is one.
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
        let objective = self.objective(device)?;
        self.finish(reporter, planted, &*objective, model)
    }

    /// Matrix products in `train.dtype`.
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

    /// The model at its start: from `model.init`, or fresh.
    fn model(&self, reporter: &mut dyn Reporter, device: &Device) -> Result<Pretrained, TrainError> {
        let config = &self.config.model;
        let model = match &config.init {
            Some(folder) => {
                let (model, report) = Pretrained::open_as(config.arch, folder, device)?;
                reporter.notice(&report.to_string())?;
                model
            }
            None => {
                let generator =
                    GeneratorSize { width: config.generator_width, depth: config.generator_depth };
                let encoder = config.encoder(self.tokenizer.size());
                Pretrained::fresh(config.arch, encoder, generator, self.config.seed, device)?
            }
        };
        self.check_shape(model.encoder().vocab_size, model.encoder().max_positions)?;
        Ok(model)
    }

    /// What the model learns.
    fn objective(&self, device: Device) -> Result<Box<dyn Objective>, TrainError> {
        let (train, correction) = (&self.config.train, &self.config.correction);
        let resources = self.resources();
        let masked_lm = self.masked_lm(&resources)?;
        let judging = self.judging(&resources)?;
        if self.config.model.arch.discriminator_head().is_none() {
            let (prediction, weight) = (correction.prediction, train.generator_weight);
            return Ok(Box::new(MaskedLanguageModel { device, masked_lm, prediction, weight, judging }));
        }
        let replaced_token = ReplacedTokenConfig {
            correction: correction.discriminator.clone(),
            weight: train.discriminator_weight,
            hard_negatives: correction.hard_negatives,
        };
        Ok(Box::new(ReplacedTokenDetection {
            masked_lm,
            prediction: correction.prediction,
            generator_weight: train.generator_weight,
            replaced_token: replaced_token.init(&resources)?,
            sample: SampleConfig { temperature: train.temperature, disallow_correct: train.disallow_correct },
            judging,
            device,
        }))
    }

    /// Resumes, trains, exports.
    fn finish(
        &self,
        reporter: &mut dyn Reporter,
        planted: Option<Planted<'_>>,
        objective: &dyn Objective,
        model: Pretrained,
    ) -> Result<Summary, TrainError> {
        let keep = &self.config.checkpoint;
        let checkpoints = Checkpoints::new(self.dir.join("checkpoints"), keep.keep_last, keep.keep_best);
        let mut optimizer = AdamW::new(self.config.optimizer.clone(), Groups::default());
        let found = checkpoints.latest()?;
        let (model, state) = match &found {
            Some(found) => {
                for notice in &found.notices {
                    reporter.notice(notice)?;
                }
                let mut loaded = checkpoints.load(&found.path)?;
                objective.restore(&model, &mut loaded.optim);
                reporter.resumed(loaded.state.step, &found.path)?;
                restore(model, &mut optimizer, loaded)?
            }
            None => {
                objective.follow(&model);
                (model, TrainState::new(self.config.seed, self.fingerprint()))
            }
        };
        let held_out = match &planted {
            Some(p) => Some(HeldOut { data: p.data.clone(), truth: Some(p.truth) }),
            None => self.held_out.clone().map(|data| HeldOut { data, truth: None }),
        };
        let run = Run {
            config: &self.config,
            objective,
            model,
            optimizer,
            state,
            resumed_from: found.as_ref().map(|f| f.path.as_path()),
            data: self.data.clone(),
            corruptor: self.corruptor.clone(),
            held_out,
            checkpoints: Some(&checkpoints),
            extra: &[],
            reporter: &mut *reporter,
            stop: &self.stop,
        };
        let finished = run.train()?;
        let mut folder = None;
        if finished.complete {
            // Written beside and renamed: a folder of that name says that the run is complete.
            let (dir, temporary) = (self.dir.join("model"), self.dir.join(".model.tmp"));
            if temporary.exists() {
                std::fs::remove_dir_all(&temporary).map_err(io("remove", &temporary))?;
            }
            finished.model.save(&temporary, &self.save_options())?;
            self.tokenizer.save(&temporary)?;
            if dir.exists() {
                std::fs::remove_dir_all(&dir).map_err(io("remove", &dir))?;
            }
            std::fs::rename(&temporary, &dir).map_err(io("write", &dir))?;
            folder = Some(dir);
        }
        Ok(Summary {
            step: finished.state.step,
            complete: finished.complete,
            evaluation: finished.evaluation,
            saved: finished.saved,
            model: folder,
            seconds_per_step: match finished.steps_taken {
                0 | 1 => finished.step_seconds / finished.steps_taken as f64,
                n => (finished.step_seconds - finished.first_step_seconds) / (n - 1) as f64,
            },
        })
    }

    fn save_options(&self) -> SaveOptions {
        SaveOptions::with_pad(self.tokenizer.special().pad)
    }

    /// What judges and corrections are made with.
    fn resources(&self) -> Resources {
        Resources { lexicon: self.lexicon.as_ref().map(|lexicon| self.on_device(lexicon)) }
    }

    fn on_device(&self, lexicon: &Lexicon) -> DeviceLexicon {
        DeviceLexicon::new(lexicon, self.config.lexicon.max_width, &self.device)
    }

    /// The masked-LM loss of BERT or of the generator.
    fn masked_lm(&self, resources: &Resources) -> Result<MaskedLm, TrainError> {
        let correction = &self.config.correction;
        let config = MaskedLmConfig {
            correction: correction.generator.clone(),
            hard_negatives: correction.hard_negatives,
        };
        Ok(config.init(resources)?)
    }

    /// The judge that drives the corrections, and the look-up sets that held-out metrics judge by.
    fn judging(&self, resources: &Resources) -> Result<Judging, TrainError> {
        let correction = &self.config.correction;
        let mut average = None;
        let judge = self.judge(&correction.judge_or_default(), resources, &mut average)?;
        let measured_by = match &self.measured_by {
            Some(lexicon) => Some(self.on_device(lexicon)),
            None => resources.lexicon.clone(),
        };
        Ok(Judging { judge, threshold: correction.threshold, average, measured_by })
    }

    fn judge(
        &self,
        kind: &JudgeKind,
        resources: &Resources,
        average: &mut Option<Arc<MovingAverage>>,
    ) -> Result<Box<dyn Judge>, TrainError> {
        let mut inner = |kind: &JudgeKind| self.judge(kind, resources, average);
        Ok(match kind {
            JudgeKind::None => Box::new(NoJudge),
            JudgeKind::Lexicon => match &resources.lexicon {
                Some(lexicon) => Box::new(LexiconJudge::new(lexicon.clone())),
                // Corrections that need one were refused when the configuration was checked.
                None => Box::new(NoJudge),
            },
            JudgeKind::Verifier(config) => self.verifier(config, average)?,
            JudgeKind::All(judges) => Box::new(All(judges.iter().map(inner).collect::<Result<_, _>>()?)),
            JudgeKind::Any(judges) => Box::new(Any(judges.iter().map(inner).collect::<Result<_, _>>()?)),
            JudgeKind::Mean(judges) => {
                let weighted = judges.iter().map(|(weight, judge)| Ok((*weight, inner(judge)?)));
                Box::new(WeightedMean(weighted.collect::<Result<_, TrainError>>()?))
            }
            JudgeKind::Registered(settings) => JUDGES.build(settings, resources)?,
        })
    }

    fn verifier(
        &self,
        config: &VerifierConfig,
        average: &mut Option<Arc<MovingAverage>>,
    ) -> Result<Box<dyn Judge>, TrainError> {
        let mask = self.tokenizer.special().mask;
        let Some(folder) = &config.model else {
            let model = Arc::new(MovingAverage::new(config.decay));
            *average = Some(model.clone());
            return Ok(Box::new(Verifier::new(model, mask, config.bands())));
        };
        let model = Reader::load(folder, &self.device)?;
        let (found, tokenizer) = (model.vocab_size(), self.tokenizer.size());
        if found != tokenizer {
            return Err(TrainError::VerifierVocabulary { path: folder.clone(), model: found, tokenizer });
        }
        Ok(Box::new(Verifier::new(model, mask, config.bands())))
    }

    /// A vocabulary or a length that the model has no rows for would read outside of its tables.
    fn check_shape(&self, vocabulary: usize, positions: usize) -> Result<(), TrainError> {
        if vocabulary < self.tokenizer.size() {
            return Err(TrainError::VocabularyTooSmall {
                model: vocabulary,
                tokenizer: self.tokenizer.size(),
            });
        }
        if positions < self.config.data.length {
            return Err(TrainError::PositionsTooFew { model: positions, length: self.config.data.length });
        }
        Ok(())
    }

    /// Hash of the part of the configuration that changes numbers.
    fn fingerprint(&self) -> String {
        let mut config: RunConfig = (**self.config).clone();
        let plain = RunConfig::default();
        (config.log, config.checkpoint) = (plain.log, plain.checkpoint);
        (config.data.workers, config.data.cache) = (plain.data.workers, plain.data.cache);
        (config.train.steps, config.train.threads) = (plain.train.steps, plain.train.threads);
        let text = serde_json::to_string(&config).unwrap_or_default();
        Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// From now on this thread multiplies matrices in `dtype`; `name` is the device's in the configuration.
///
/// # Errors
/// [`TrainError::NoBf16`] when the device cannot.
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

/// Puts a checkpoint into a freshly built model and optimiser; the third value is the seed of the noise.
///
/// # Errors
/// Weights or moments that do not fit the model.
pub fn restore<M: Module>(
    model: M,
    optimizer: &mut AdamW,
    mut loaded: LoadedCheckpoint,
) -> Result<(M, TrainState), TrainError> {
    let mut take = |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some);
    let model = params::load(model, &mut take)?;
    let mut state = loaded.state;
    let mut moments = loaded.optim;
    faults::restored(&mut state, &mut moments);
    optimizer.load_state(&model, moments, state.optimizer_updates)?;
    Ok((model, state))
}

/// How the text of a configuration is prepared: the cache is keyed by it, so every command must say the same.
pub fn prepare_config(config: &RunConfig, paths: &[PathBuf]) -> PrepareConfig {
    PrepareConfig {
        sources: paths.to_vec(),
        options: SourceOptions {
            json_field: config.data.json_field.clone(),
            parquet_column: config.data.parquet_column.clone(),
            ..SourceOptions::default()
        },
        packing: config.data.packing,
        length: config.data.length,
        seed: config.seed,
        cache: config.data.cache_dir(),
    }
}

/// The lexicon of the configuration, if it names one, checked against the tokenizer.
fn open_lexicon(config: &RunConfig, tokenizer: &TextTokenizer) -> Result<Option<Lexicon>, TrainError> {
    let lexicon = match (&config.lexicon.path, &config.lexicon.wordnet) {
        (Some(path), _) => Lexicon::load(path)?,
        (None, Some(dict)) => build_wordnet_lexicon(
            &WordNet::open(dict)?,
            tokenizer.pieces(),
            tokenizer.sha256(),
            &WordNetOptions::default(),
        )?,
        (None, None) => return Ok(None),
    };
    checked(lexicon, tokenizer).map(Some)
}

/// The lexicon, if it was made for this vocabulary.
fn checked(lexicon: Lexicon, tokenizer: &TextTokenizer) -> Result<Lexicon, TrainError> {
    lexicon.check_vocabulary(tokenizer.size(), tokenizer.sha256())?;
    Ok(lexicon)
}

/// What failed on which folder.
fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { path, action, source }
}
