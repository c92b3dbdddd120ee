//! The loop: batches, loss, one update each, with ELECTRA's layer-wise learning rates.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_core::noise::{Use, mix};
use fn_data::task::features::Buckets;
use fn_models::params;
use fn_models::task::depth;
use fn_ops::Noise;

use super::Recipe;
use fn_train::checkpoint::{Best, Checkpoints, TrainState};
use fn_train::error::{RangeError, TrainError};
use fn_train::guard::Guard;
use fn_train::optim::{AdamW, Gradients, Groups};
use fn_train::schedule::{ScheduleConfig, ScheduleKind};
use fn_train::session::restore;
use fn_train::stop::Stop;

/// Non-finite steps in a row after which a run gives up.
const PATIENCE: u32 = 10;
/// Steps after which a device is asked what they were like.
const MOST_UNSETTLED: usize = 20;
/// A checkpoint at least this often: what a power failure costs.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// What a step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Counted from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Its loss.
    pub loss: f64,
    /// Examples since the start of this process, per second.
    pub examples_per_second: f64,
}

/// Everything about a fit but its model and examples.
pub struct Job<'a> {
    /// How.
    pub recipe: &'a Recipe,
    /// Of the order of examples and of dropout.
    pub seed: u64,
    /// Layers of the encoder, for layer-wise rates.
    pub layers: usize,
    /// An autodiff device; the model lives there.
    pub device: &'a Device,
    /// Asked before each step.
    pub stop: &'a Stop,
    /// Where the fit is saved when it is stopped, every five minutes and at a best epoch, and from where it goes on.
    pub checkpoints: Option<&'a Checkpoints>,
    /// Told of each step.
    pub on_step: &'a mut dyn FnMut(Step),
}

/// How a fit ended.
#[derive(Debug)]
pub enum Ended<M> {
    /// With a model.
    Done {
        /// Trained; the best epoch's weights where [`Recipe::patience`] asks for them.
        model: M,
        /// Steps taken, earlier processes' included.
        steps: u64,
        /// The best measurement, if there were any.
        best: Option<f64>,
    },
    /// A stop was asked for.
    Stopped {
        /// Steps taken.
        step: u64,
        /// Whether the same fit can go on from there.
        saved: bool,
    },
}

impl<M> Ended<M> {
    /// The model, if the fit came to its end.
    pub fn model(self) -> Option<M> {
        match self {
            Self::Done { model, .. } => Some(model),
            Self::Stopped { .. } => None,
        }
    }
}

/// Measures a model on the development set, larger is better; None when a stop was asked for.
pub type Measure<'a, M> = dyn Fn(&M) -> Option<f64> + 'a;

/// Trains to the end, or until a stop is asked for. `loss` computes the mean loss of the chosen examples, `lengths` are the
/// numbers of ids of all examples. `measure` is needed with [`Recipe::patience`] only.
///
/// # Errors
/// [`TrainError::Diverged`] when the gradient stays non-finite; a recipe out of range; no examples; a checkpoint that cannot
/// be written or read.
pub fn fit<M: Module>(
    model: M,
    job: &mut Job<'_>,
    lengths: &[usize],
    loss: &dyn Fn(&M, &[usize], &Noise) -> Tensor<1>,
    measure: Option<&Measure<'_, M>>,
) -> Result<Ended<M>, TrainError> {
    let recipe = job.recipe;
    recipe.validate()?;
    RangeError::unless(!lengths.is_empty(), "examples", 0.0, "at least 1")?;
    let steps = recipe.steps(lengths.len());
    let schedule = ScheduleConfig {
        kind: ScheduleKind::Linear,
        lr: recipe.lr,
        warmup: (steps as f64 * recipe.warmup) as u64,
        total: steps,
        end_factor: 0.0,
    };
    let layers = job.layers;
    let groups = Groups::layerwise(recipe.layer_decay, layers, move |path| depth(path, layers));
    let mut optimizer = AdamW::new(recipe.optimizer.clone(), groups);
    let (mut model, state) = match job.checkpoints.map(Checkpoints::latest).transpose()?.flatten() {
        Some(found) => {
            let loaded = fn_train::checkpoint::load(&found.path)?;
            let (model, state) = restore(model, &mut optimizer, loaded)?;
            (model, state)
        }
        None => (model, TrainState::new(job.seed, String::new())),
    };
    let mut progress = Progress { state, saved: Instant::now() };
    let mut guard = Guard::new(PATIENCE, progress.state.guard);
    let buckets = Buckets::new(job.seed, recipe.batch)?;
    let mut course = Course { clock: Instant::now(), examples: 0, steps, losses: Vec::new() };
    let each = recipe.steps_of_epoch(lengths.len());
    loop {
        if recipe.patience > 0
            && let Some(measure) = measure
            && progress.at_unmeasured_end(each, steps)
        {
            let Some(value) = measure(&model) else {
                return progress.stopped(job.checkpoints, &model, &optimizer, &guard);
            };
            progress.state.micro_step = progress.state.step;
            if progress.is_best(value) {
                progress.state.best =
                    Some(Best { step: progress.state.step, metric: "score".to_owned(), value });
                progress.save(job.checkpoints, &model, &optimizer, &guard)?;
            } else if progress.epochs_since_best(each) >= u64::from(recipe.patience) {
                break;
            }
        }
        if progress.state.step >= steps {
            break;
        }
        let batches = buckets.epoch(lengths, progress.state.step / each);
        for chosen in batches.iter().skip((progress.state.step % each) as usize) {
            let step = progress.state.step;
            if step == steps {
                break;
            }
            if job.stop.requested() {
                course.tell(&mut optimizer, &mut guard, &mut progress.state, job.on_step)?;
                return progress.stopped(job.checkpoints, &model, &optimizer, &guard);
            }
            let seeds = mix(&[job.seed, step, Use::Dropout as u64]);
            job.device.seed(seeds);
            let value = loss(&model, chosen, &Noise::new(seeds));
            let gradients = Gradients::from_backward(&model, value.backward());
            model = optimizer.enqueue(model, gradients, schedule.at(step));
            progress.state.step += 1;
            course.examples += chosen.len();
            course.losses.push(value.inner());
            let save = progress.saved.elapsed() > SAVE_EVERY;
            let (unsettled, waits) = optimizer.unsettled();
            let ends = step + 1 == steps || (step + 1).is_multiple_of(each);
            if !waits || unsettled >= MOST_UNSETTLED || save || ends {
                course.tell(&mut optimizer, &mut guard, &mut progress.state, job.on_step)?;
            }
            if save {
                progress.save(job.checkpoints, &model, &optimizer, &guard)?;
            }
        }
    }
    let best = progress.state.best.clone();
    if let (Some(best), Some(checkpoints)) = (&best, job.checkpoints)
        && best.step != progress.state.step
        && let Some(path) = checkpoints.best(best)
    {
        let mut loaded = fn_train::checkpoint::load(&path)?;
        model = params::load(model, &mut |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some))?;
    }
    Ok(Ended::Done { model, steps: progress.state.step, best: best.map(|b| b.value) })
}

/// How the steps go, told when a device need not be waited for or was long not asked.
struct Course {
    clock: Instant,
    examples: usize,
    steps: u64,
    /// Of the steps that nobody was told of.
    losses: Vec<Tensor<1>>,
}

impl Course {
    fn tell(
        &mut self,
        optimizer: &mut AdamW,
        guard: &mut Guard,
        state: &mut TrainState,
        on_step: &mut dyn FnMut(Step),
    ) -> Result<(), TrainError> {
        if self.losses.is_empty() {
            return Ok(());
        }
        let losses = Tensor::cat(std::mem::take(&mut self.losses), 0).into_data();
        let updates = optimizer.settle();
        let examples_per_second = self.examples as f64 / self.clock.elapsed().as_secs_f64().max(1e-9);
        let first = state.step + 1 - updates.len() as u64;
        for ((step, update), loss) in (first..).zip(&updates).zip(losses.iter::<f64>()) {
            guard.observe(step, update, None)?;
            on_step(Step { step, steps: self.steps, loss, examples_per_second });
        }
        state.optimizer_updates = optimizer.updates();
        Ok(())
    }
}

/// Where the fit stands. `state.micro_step` holds the step after which was measured last.
struct Progress {
    state: TrainState,
    saved: Instant,
}

impl Progress {
    fn at_unmeasured_end(&self, each: u64, steps: u64) -> bool {
        let step = self.state.step;
        step > self.state.micro_step && (step.is_multiple_of(each) || step == steps)
    }

    fn stopped<M: Module>(
        &mut self,
        checkpoints: Option<&Checkpoints>,
        model: &M,
        optimizer: &AdamW,
        guard: &Guard,
    ) -> Result<Ended<M>, TrainError> {
        let saved = self.save(checkpoints, model, optimizer, guard)?;
        Ok(Ended::Stopped { step: self.state.step, saved })
    }

    fn is_best(&self, value: f64) -> bool {
        value.is_finite() && self.state.best.as_ref().is_none_or(|best| value > best.value)
    }

    fn epochs_since_best(&self, each: u64) -> u64 {
        (self.state.step - self.state.best.as_ref().map_or(0, |best| best.step)) / each
    }

    fn save<M: Module>(
        &mut self,
        checkpoints: Option<&Checkpoints>,
        model: &M,
        optimizer: &AdamW,
        guard: &Guard,
    ) -> Result<bool, TrainError> {
        let Some(checkpoints) = checkpoints else {
            return Ok(false);
        };
        self.state.guard = *guard.state();
        checkpoints.save(&self.state, &params::collect(model), &optimizer.state(), &[])?;
        self.saved = Instant::now();
        Ok(true)
    }
}
