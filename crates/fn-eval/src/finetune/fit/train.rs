//! Fine-tuning as a [`Training`]: batches of sequences of similar length, layer-wise learning rates as in ELECTRA, early
//! stopping.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_core::noise::{Use, mix};
use fn_data::task::features::Buckets;
use fn_models::params;
use fn_models::task::depth;
use fn_ops::Noise;
use fn_train::checkpoint::{Checkpoints, TrainState, load};
use fn_train::error::{RangeError, TrainError};
use fn_train::optim::{AdamW, Groups, Update};
use fn_train::schedule::{ScheduleConfig, ScheduleKind};
use fn_train::stop::Stop;
use fn_train::training_loop::{self, SaveDue, Score, Start, Training};

use super::Recipe;

/// Consecutive steps with a non-finite gradient after which fine-tuning ends with an error.
const MAX_SKIPPED: u32 = 10;
/// Steps between two read-backs of losses from a device that computes asynchronously.
const REPORT_EVERY: u64 = 20;
/// Longest time between two checkpoints, and so the most work that a power failure can lose.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// Progress report of one optimiser step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Number of the step, counted from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Training loss of the step.
    pub loss: f64,
    /// Examples since the start of this process, per second.
    pub examples_per_second: f64,
}

/// Everything that a fine-tuning run needs besides model and examples.
pub struct Job<'a> {
    /// The fine-tuning recipe.
    pub recipe: &'a Recipe,
    /// Seed of the order of examples and of dropout.
    pub seed: u64,
    /// Number of layers of the encoder, for the layer-wise learning rates.
    pub layers: usize,
    /// Device of the model, with autodiff.
    pub device: &'a Device,
    /// Polled before each step.
    pub stop: &'a Stop,
    /// Checkpoints: written on a stop, every five minutes and at a new best epoch; the run resumes from the newest one.
    pub checkpoints: Option<&'a Checkpoints>,
    /// Receives each step.
    pub on_step: &'a mut dyn FnMut(Step),
}

/// How a fine-tuning run ended.
#[derive(Debug)]
pub enum Ended<M> {
    /// All steps were taken, or early stopping ended the run.
    Done {
        /// The trained model; with [`Recipe::patience`], the weights of the best epoch.
        model: M,
        /// Steps taken, including those before a resume.
        steps: u64,
        /// The best score on the development set; None without early stopping.
        best: Option<f64>,
    },
    /// A stop was requested.
    Stopped {
        /// Steps taken.
        step: u64,
        /// Whether a checkpoint was written from which the run can be resumed.
        saved: bool,
    },
}

impl<M> Ended<M> {
    /// The model; None if the run was stopped.
    pub fn model(self) -> Option<M> {
        match self {
            Self::Done { model, .. } => Some(model),
            Self::Stopped { .. } => None,
        }
    }
}

/// Scores a model on the development set, higher is better; None if a stop was requested.
pub type Measure<'a, M> = dyn Fn(&M) -> Option<f64> + 'a;

/// Computes the mean loss, `[1]`, of the chosen examples.
type Loss<'a, M> = dyn Fn(&M, &[usize], &Noise) -> Tensor<1> + 'a;

/// Trains to the end, or until a stop is requested. `loss` computes the mean loss of the chosen examples, `lengths` are the
/// lengths of all examples in tokens. `measure` is only used for early stopping ([`Recipe::patience`]).
///
/// # Errors
/// [`TrainError::Diverged`] when the gradient stays non-finite; a recipe out of range; no examples; a checkpoint that cannot
/// be written or read.
pub fn fit<M: Module>(
    model: M,
    job: &mut Job<'_>,
    lengths: &[usize],
    loss: &Loss<'_, M>,
    measure: Option<&Measure<'_, M>>,
) -> Result<Ended<M>, TrainError> {
    let recipe = job.recipe;
    recipe.validate()?;
    RangeError::unless(!lengths.is_empty(), "examples", 0.0, "at least 1")?;
    let layers = job.layers;
    let groups = Groups::layerwise(recipe.layer_decay, layers, move |path| depth(path, layers));
    let optimizer = AdamW::new(recipe.optimizer.clone(), groups);
    let (checkpoints, stop) = (job.checkpoints, job.stop);
    let start = match checkpoints.map(Checkpoints::latest).transpose()?.flatten() {
        Some(found) => Start::resumed(model, optimizer, load(&found.path)?)?,
        None => Start::new(model, optimizer, job.seed),
    };
    let tuning = FineTuning::new(job, lengths, loss, measure)?;
    let ended = training_loop::train(tuning, start, checkpoints, MAX_SKIPPED, stop)?;
    let (mut model, state) = (ended.model, ended.state);
    if !ended.complete {
        return Ok(Ended::Stopped { step: state.step, saved: ended.saved.is_some() });
    }
    if let (Some(best), Some(checkpoints)) = (&state.best, checkpoints)
        && best.step != state.step
        && let Some(path) = checkpoints.best(best)
    {
        let mut loaded = load(&path)?;
        model = params::load(model, &mut |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some))?;
    }
    Ok(Ended::Done { model, steps: state.step, best: state.best.map(|best| best.value) })
}

/// State of a fine-tuning run.
struct FineTuning<'a, 'j, M> {
    job: &'a mut Job<'j>,
    lengths: &'a [usize],
    loss: &'a Loss<'a, M>,
    measure: Option<&'a Measure<'a, M>>,
    schedule: ScheduleConfig,
    steps: u64,
    steps_of_epoch: u64,
    buckets: Buckets,
    /// The current epoch, and the indices of the examples of each of its batches.
    epoch: Option<(u64, Vec<Vec<usize>>)>,
    /// Losses of the steps that were not reported yet.
    losses: Vec<Tensor<1>>,
    began: Instant,
    examples: usize,
}

/// The examples of one step.
struct Chosen {
    /// Number of steps before this one.
    step: u64,
    examples: Vec<usize>,
}

impl<'a, 'j, M> FineTuning<'a, 'j, M> {
    fn new(
        job: &'a mut Job<'j>,
        lengths: &'a [usize],
        loss: &'a Loss<'a, M>,
        measure: Option<&'a Measure<'a, M>>,
    ) -> Result<Self, TrainError> {
        let recipe = job.recipe;
        let steps = recipe.steps(lengths.len());
        Ok(Self {
            lengths,
            loss,
            measure: measure.filter(|_| recipe.patience > 0),
            schedule: ScheduleConfig {
                kind: ScheduleKind::Linear,
                lr: recipe.lr,
                warmup: (steps as f64 * recipe.warmup) as u64,
                total: steps,
                end_factor: 0.0,
                ..ScheduleConfig::default()
            },
            steps,
            steps_of_epoch: recipe.steps_of_epoch(lengths.len()),
            buckets: Buckets::new(job.seed, recipe.batch)?,
            epoch: None,
            losses: Vec::new(),
            began: Instant::now(),
            examples: 0,
            job,
        })
    }

    /// Whether an epoch, or the whole run, ends with `step`.
    fn epoch_ends(&self, step: u64) -> bool {
        step == self.steps || step.is_multiple_of(self.steps_of_epoch)
    }

    /// Whole epochs since the best score.
    fn epochs_since_best(&self, state: &TrainState) -> u64 {
        (state.step - state.best.as_ref().map_or(0, |best| best.step)) / self.steps_of_epoch
    }
}

impl<M: Module> Training for FineTuning<'_, '_, M> {
    type Model = M;
    type Batch = Chosen;
    type Details = ();

    fn next_batches(&mut self, step: u64) -> Result<Vec<Chosen>, TrainError> {
        let (number, place) = (step / self.steps_of_epoch, (step % self.steps_of_epoch) as usize);
        let (_, batches) = match self.epoch.take() {
            Some(epoch) if epoch.0 == number => self.epoch.insert(epoch),
            _ => self.epoch.insert((number, self.buckets.epoch(self.lengths, number))),
        };
        Ok(vec![Chosen { step, examples: batches[place].clone() }])
    }

    fn loss(&self, model: &M, batch: &Chosen, seed: u64) -> (Tensor<1>, ()) {
        let seed = mix(&[seed, batch.step, Use::Dropout as u64]);
        self.job.device.seed(seed);
        ((self.loss)(model, &batch.examples, &Noise::new(seed)), ())
    }

    fn add((): (), (): ()) {}

    fn learning_rate(&self, step: u64) -> f64 {
        self.schedule.at(step)
    }

    fn updated(&mut self, _: &M, _: &mut TrainState, batches: &[Chosen], total: Tensor<1>, (): ()) {
        self.examples += batches.iter().map(|batch| batch.examples.len()).sum::<usize>();
        self.losses.push(total);
    }

    fn report_due(&self, step: u64) -> bool {
        self.epoch_ends(step) || step.is_multiple_of(REPORT_EVERY)
    }

    fn report(&mut self, _: &TrainState, updates: &[(u64, Update)]) -> Result<(), TrainError> {
        if updates.is_empty() {
            return Ok(());
        }
        let losses = Tensor::cat(std::mem::take(&mut self.losses), 0).into_data();
        let examples_per_second = self.examples as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        for ((step, _), loss) in updates.iter().zip(losses.iter::<f64>()) {
            (self.job.on_step)(Step { step: *step, steps: self.steps, loss, examples_per_second });
        }
        Ok(())
    }

    fn is_over(&self, state: &TrainState) -> bool {
        let patience = u64::from(self.job.recipe.patience);
        state.step >= self.steps || (self.measure.is_some() && self.epochs_since_best(state) >= patience)
    }

    fn evaluation_due(&self, step: u64) -> bool {
        self.measure.is_some() && self.epoch_ends(step)
    }

    fn evaluate(&mut self, model: &M, _: &TrainState) -> Result<Option<Score>, TrainError> {
        let value = self.measure.and_then(|measure| measure(model));
        Ok(value.map(|value| Score { metric: "score".to_owned(), value, lower_is_better: false }))
    }

    fn save_due(&self, state: &TrainState, since_last: Duration) -> SaveDue {
        if state.best.as_ref().is_some_and(|best| best.step == state.step) {
            SaveDue::Always
        } else if since_last > SAVE_EVERY {
            SaveDue::IfFinite
        } else {
            SaveDue::No
        }
    }
}
