//! Fine-tuning as a [`Training`]: batches of sequences of similar length, layer-wise learning rates as in ELECTRA, early
//! stopping.

use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_core::noise::{Use, mix};
use fn_data::task::features::Buckets;
use fn_models::params;
use fn_models::task::depth;
use fn_ops::Noise;
use fn_train::checkpoint::{Checkpoints, TrainState, load};
use fn_train::collective::{Agreement, Collective, Meeting, Patience, agree, gather_equal, tell_path};
use fn_train::error::{RangeError, TrainError};
use fn_train::machine::this_program;
use fn_train::optim::{AdamW, Groups, Update};
use fn_train::schedule::{ScheduleConfig, ScheduleKind};
use fn_train::stop::Stop;
use fn_train::training_loop::{SaveDue, Score, Start, Together, Training, checksum, train_together};

use super::Recipe;
use crate::finetune::alike::divide;

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
    /// This process and the others that fine-tune together; a process alone is [`Single`](fn_train::collective::Single).
    pub ranks: &'a dyn Collective,
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
/// lengths of all examples in tokens, and `terms` says of how many terms the loss of an example is the mean (1 for a class, the number of
/// words for tags). `measure` is only used for early stopping ([`Recipe::patience`]).
///
/// # Errors
/// Micro-batches that cannot be divided among the ranks; [`TrainError::Diverged`] when the gradient stays non-finite; a recipe out of range; no examples; a checkpoint that cannot
/// be written or read.
pub fn fit<M: Module>(
    model: M,
    job: &mut Job<'_>,
    lengths: &[usize],
    terms: &dyn Fn(usize) -> usize,
    loss: &Loss<'_, M>,
    measure: Option<&Measure<'_, M>>,
) -> Result<Ended<M>, TrainError> {
    let recipe = job.recipe;
    recipe.validate()?;
    let ranks = job.ranks;
    divide(recipe, ranks.world())?;
    RangeError::unless(!lengths.is_empty(), "examples", 0.0, "at least 1")?;
    let layers = job.layers;
    let groups = Groups::layerwise(recipe.layer_decay, layers, move |path| depth(path, layers));
    let optimizer = AdamW::new(recipe.optimizer.clone(), groups);
    let (checkpoints, stop) = (job.checkpoints, job.stop);
    let newest = checkpoints.filter(|_| ranks.is_first()).map(Checkpoints::latest).transpose()?.flatten();
    let newest = tell_path(ranks, Meeting::disk("the newest checkpoint"), newest.map(|found| found.path))?;
    let start = match newest {
        Some(path) => Start::resumed(model, optimizer, load(&path)?)?,
        None => Start::new(model, optimizer, job.seed),
    };
    let agreed = if ranks.world() == 1 { stop.clone() } else { Stop::new() };
    if ranks.world() > 1 {
        let lengths: Vec<u64> = lengths.iter().map(|length| *length as u64).collect();
        let same = [
            Agreement::new("the program", this_program()),
            Agreement::new("the recipe", format!("{recipe:?}")),
            Agreement::new(
                "the lengths of the training examples",
                format!("{:x} of {}", mix(&lengths), lengths.len()),
            ),
            Agreement::new("the weights to begin with", checksum(&params::collect(&start.model))),
        ];
        agree(ranks, Meeting { what: "its checksums", patience: Patience::Endless }, &same)?;
    }
    let tuning = FineTuning::new(job, lengths, terms, loss, measure)?;
    let together = Together { ranks, signal: stop };
    let ended = train_together(tuning, start, checkpoints, MAX_SKIPPED, &agreed, together)?;
    let (mut model, state) = (ended.model, ended.state);
    if !ended.complete {
        return Ok(Ended::Stopped { step: state.step, saved: ended.saved.is_some() });
    }
    if let (Some(best), Some(checkpoints)) = (&state.best, checkpoints)
        && best.step != state.step
        // The first rank alone measures and writes the model.
        && ranks.is_first()
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
    terms: &'a dyn Fn(usize) -> usize,
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
    /// When the first rank saved last, and whether it asks all to save after the step that is being taken.
    saved: Instant,
    save_asked: bool,
}

/// The examples of a micro-batch.
struct Chosen {
    /// Number of steps before this one.
    step: u64,
    /// Number of the micro-batch in its step.
    micro_batch: usize,
    examples: Vec<usize>,
    /// Its part of the step's loss; the parts add up to 1.
    share: f64,
}

/// Divides the examples of a step into `count` micro-batches of almost equal size, in order. One without examples gets the first of the
/// step, with a share of 0.
fn divided(step: u64, batch: &[usize], count: usize, terms: &dyn Fn(usize) -> usize) -> Vec<Chosen> {
    let sum = |examples: &[usize]| examples.iter().map(|&example| terms(example)).sum::<usize>() as f64;
    let (least, more) = (batch.len() / count, batch.len() % count);
    let mut rest = batch;
    let mut micro_batches = Vec::with_capacity(count);
    for micro_batch in 0..count {
        let (mine, after) = rest.split_at(least + usize::from(micro_batch < more));
        rest = after;
        let share = sum(mine) / sum(batch).max(1.0);
        let examples = if mine.is_empty() { batch[..batch.len().min(1)].to_vec() } else { mine.to_vec() };
        micro_batches.push(Chosen { step, micro_batch, examples, share });
    }
    micro_batches
}

impl<'a, 'j, M> FineTuning<'a, 'j, M> {
    fn new(
        job: &'a mut Job<'j>,
        lengths: &'a [usize],
        terms: &'a dyn Fn(usize) -> usize,
        loss: &'a Loss<'a, M>,
        measure: Option<&'a Measure<'a, M>>,
    ) -> Result<Self, TrainError> {
        let recipe = job.recipe;
        let steps = recipe.steps(lengths.len());
        Ok(Self {
            lengths,
            terms,
            loss,
            measure: measure.filter(|_| recipe.patience > 0),
            schedule: ScheduleConfig {
                kind: ScheduleKind::Linear,
                lr: recipe.lr,
                warmup: recipe.warmup_steps(steps),
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
            saved: Instant::now(),
            save_asked: false,
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
        let (recipe, ranks) = (self.job.recipe, self.job.ranks);
        let mine = recipe.micro_batches / ranks.world();
        let all = divided(step, &batches[place], recipe.micro_batches, self.terms);
        if ranks.world() > 1 {
            // Clocks differ, and all ranks must save after the same step.
            let asked = [u8::from(self.saved.elapsed() > SAVE_EVERY)];
            self.save_asked = gather_equal(ranks, Meeting::step("the next batch"), &asked)?[0] == [1];
        }
        Ok(all.into_iter().skip(ranks.rank() * mine).take(mine).collect())
    }

    fn loss(&self, model: &M, batch: &Chosen, seed: u64) -> (Tensor<1>, ()) {
        let seed = match self.job.recipe.micro_batches {
            1 => mix(&[seed, batch.step, Use::Dropout as u64]),
            _ => mix(&[seed, batch.step, Use::Dropout as u64, batch.micro_batch as u64]),
        };
        self.job.device.seed(seed);
        let loss = (self.loss)(model, &batch.examples, &Noise::new(seed));
        // With one micro-batch the share is 1, but for a batch of tags that has none, whose loss is 0.
        (if self.job.recipe.micro_batches == 1 { loss } else { loss * batch.share }, ())
    }

    fn add((): (), (): ()) {}

    fn learning_rate(&self, step: u64) -> f64 {
        self.schedule.at(step)
    }

    fn updated(&mut self, _: &M, _: &mut TrainState, batches: &[Chosen], total: Tensor<1>, (): ()) {
        let mine = batches.iter().map(|batch| batch.examples.len()).sum::<usize>();
        self.examples += mine * self.job.ranks.world();
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
        } else if self.save_asked || (self.job.ranks.world() == 1 && since_last > SAVE_EVERY) {
            SaveDue::IfFinite
        } else {
            SaveDue::No
        }
    }

    fn saved(&mut self, _: u64, _: &Path) -> Result<(), TrainError> {
        self.saved = Instant::now();
        self.save_asked = false;
        Ok(())
    }
}
