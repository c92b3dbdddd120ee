//! The training loop, for pre-training and fine-tuning alike: batches, losses, one update, report, evaluation, checkpoint.
//!
//! What the two do differently is a [`Training`]. Nothing in here is random and nothing is remembered but [`TrainState`], weights
//! and moments, so a resumed run is the same run. A stop request is honoured after the step under way.
//!
//! In several processes ([`train_together`]) each rank takes its share of a step's micro-batches; gradients and losses are then summed
//! over all of them, and every rank makes the same update. The first rank saves.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Tensor;
use fn_core::files::hex;
use fn_models::params;
use sha2::{Digest, Sha256};

use crate::NamedTensor;
use crate::checkpoint::{Checkpoints, LoadedCheckpoint, TrainState};
use crate::collective::{
    Agreement, Collective, Meeting, Single, agree, gather_equal, sum_gradients, sum_values, tell_path, tree,
};
use crate::error::TrainError;
use crate::faults;
use crate::guard::Guard;
use crate::optim::{AdamW, Gradients, Update};
use crate::stop::Stop;

/// Steps after which gradient norms are read back from a device that computes ahead, if no report asks for them before.
const MAX_PENDING: usize = 64;

/// What pre-training and fine-tuning do differently. Steps are counted from 1; "after step 0" is the start of a run.
pub trait Training {
    /// The model.
    type Model: Module;
    /// One micro-batch.
    type Batch;
    /// What is reported of a loss beside its total; stays on the device until it is read.
    type Details;

    /// The micro-batches of the step after `step` that this process computes, at least one.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn next_batches(&mut self, step: u64) -> Result<Vec<Self::Batch>, TrainError>;

    /// The loss of a micro-batch: its share of the step's loss, `[1]`. Dropout and sampling depend on `seed`, the run's, and on
    /// the batch; nothing else is random.
    fn loss(&self, model: &Self::Model, batch: &Self::Batch, seed: u64) -> (Tensor<1>, Self::Details);

    /// The details of two micro-batches of one step together.
    fn add(a: Self::Details, b: Self::Details) -> Self::Details;

    /// The tensors of `details`, each `[1]`, that are summed over the processes of [`train_together`].
    fn sums(_details: &mut Self::Details) -> Vec<&mut Tensor<1>> {
        Vec::new()
    }

    /// The learning rate of the step after `step`.
    fn learning_rate(&self, step: u64) -> f64;

    /// An update was made or, where gradients were not finite, left out; `state.step` counts it. `total` (without its graph, `[1]`)
    /// and `details` are the loss of the step, summed over its micro-batches, those of other processes included; on a device that
    /// computes ahead, reading them waits. `batches` are this process's own.
    fn updated(
        &mut self,
        model: &Self::Model,
        state: &mut TrainState,
        batches: &[Self::Batch],
        total: Tensor<1>,
        details: Self::Details,
    );

    /// Whether the values of `step` are read back at once, even if that means waiting for the device.
    fn report_due(&self, step: u64) -> bool;

    /// Reports steps. `updates` are those whose gradient norms were read back since the last call, with their numbers; called at
    /// the end of each step, without any if nothing was read back.
    ///
    /// # Errors
    /// Reports that cannot be written.
    fn report(&mut self, state: &TrainState, updates: &[(u64, Update)]) -> Result<(), TrainError>;

    /// Whether training ends here, before or at its last step.
    fn is_over(&self, state: &TrainState) -> bool;

    /// Whether the model is evaluated after `step`.
    fn evaluation_due(&self, step: u64) -> bool;

    /// Evaluates and reports. None when a stop was requested meanwhile; the resumed run then evaluates again.
    ///
    /// # Errors
    /// Reports that cannot be written.
    fn evaluate(&mut self, model: &Self::Model, state: &TrainState) -> Result<Option<Score>, TrainError>;

    /// Whether a checkpoint is due, `since_last` after the last one of this process.
    fn save_due(&self, state: &TrainState, since_last: Duration) -> SaveDue;

    /// Tensors that checkpoints hold beside weights and moments.
    fn extra_tensors(&self) -> Vec<NamedTensor> {
        Vec::new()
    }

    /// A checkpoint was written.
    ///
    /// # Errors
    /// Reports that cannot be written.
    fn saved(&mut self, _step: u64, _checkpoint: &Path) -> Result<(), TrainError> {
        Ok(())
    }
}

/// The metric by which the best evaluation is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Its name.
    pub metric: String,
    /// Its value; one that is not finite is never the best.
    pub value: f64,
    /// Whether lower is better.
    pub lower_is_better: bool,
}

/// Whether a checkpoint is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveDue {
    /// Not now.
    No,
    /// If the last step was finite.
    IfFinite,
    /// Whatever the last steps were like.
    Always,
}

/// Where a process begins: at the start of a run, or at a checkpoint.
#[derive(Debug)]
pub struct Start<M> {
    /// Weights after `state.step`.
    pub model: M,
    /// Moments after `state.step`.
    pub optimizer: AdamW,
    /// Where the run stands.
    pub state: TrainState,
    /// The checkpoint.
    pub checkpoint: Option<PathBuf>,
}

impl<M: Module> Start<M> {
    /// The start of a run.
    pub fn new(model: M, optimizer: AdamW, seed: u64) -> Self {
        Self { model, optimizer, state: TrainState::new(seed), checkpoint: None }
    }

    /// Puts a checkpoint into a freshly built model and optimiser.
    ///
    /// # Errors
    /// A checkpoint of another model or optimiser.
    pub fn resumed(model: M, mut optimizer: AdamW, mut loaded: LoadedCheckpoint) -> Result<Self, TrainError> {
        let mut take = |name: &str, shape: &[usize]| loaded.take(name, shape).map(Some);
        let model = params::load(model, &mut take)?;
        let (mut state, mut moments) = (loaded.state, loaded.optim);
        faults::restored(&mut state, &mut moments);
        optimizer.load_state(&model, moments, state.optimizer_updates)?;
        Ok(Self { model, optimizer, state, checkpoint: Some(loaded.path) })
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended<T: Training> {
    /// The training.
    pub training: T,
    /// The weights.
    pub model: T::Model,
    /// Where the run stands.
    pub state: TrainState,
    /// False when a stop was requested before the end.
    pub complete: bool,
    /// The newest checkpoint.
    pub saved: Option<PathBuf>,
}

/// Runs `training` to its end, or until a stop is requested.
///
/// `max_skipped` non-finite steps in a row are too many. Without `checkpoints` nothing is saved.
///
/// # Errors
/// Data that cannot be read, checkpoints or reports that cannot be written, gradients that stay non-finite.
pub fn train<T: Training>(
    training: T,
    start: Start<T::Model>,
    checkpoints: Option<&Checkpoints>,
    max_skipped: u32,
    stop: &Stop,
) -> Result<Ended<T>, TrainError> {
    let alone = Together { ranks: &Single, signal: stop };
    train_together(training, start, checkpoints, max_skipped, stop, alone)
}

/// The processes that train together.
#[derive(Clone, Copy)]
pub struct Together<'a> {
    /// This one and the others.
    pub ranks: &'a dyn Collective,
    /// What asks this process to stop. Of several processes all must stop after the same step, so that none of them acts on its own
    /// request: the ranks ask each other before each step.
    pub signal: &'a Stop,
}

/// [`train`] in several processes: on each of them with the same arguments, but for its own `together`. `stop` is set once all have agreed
/// to stop; where there is one process it is `together.signal`.
///
/// # Errors
/// As `train`; ranks that do not come, and weights that differ between ranks.
pub fn train_together<T: Training>(
    training: T,
    start: Start<T::Model>,
    checkpoints: Option<&Checkpoints>,
    max_skipped: u32,
    stop: &Stop,
    together: Together<'_>,
) -> Result<Ended<T>, TrainError> {
    let Start { mut model, optimizer, state, checkpoint } = start;
    let mut run = TrainingLoop {
        training,
        optimizer,
        guard: Guard::new(max_skipped, state.guard),
        checkpoints,
        stop,
        together,
        saved: checkpoint.map(|path| (path, state.clone())),
        saved_at: Instant::now(),
        state,
    };
    let complete = loop {
        run.agree_to_stop()?;
        // Where a signal came between a step and its evaluation, the resumed run begins with the evaluation.
        run.evaluate_if_due(&model)?;
        let complete = run.training.is_over(&run.state) && !run.evaluation_due();
        let stopping = !complete && stop.requested(); // read once: what is not saved now must not end the loop
        run.save_if_due(&model, stopping)?;
        if complete || stopping {
            break complete;
        }
        model = run.step(model)?;
    };
    let saved = run.saved.map(|(path, _)| path);
    Ok(Ended { training: run.training, model, state: run.state, complete, saved })
}

/// A run under way, but for its weights.
struct TrainingLoop<'a, T: Training> {
    training: T,
    optimizer: AdamW,
    state: TrainState,
    guard: Guard,
    checkpoints: Option<&'a Checkpoints>,
    stop: &'a Stop,
    together: Together<'a>,
    /// The newest checkpoint, and the state that it holds.
    saved: Option<(PathBuf, TrainState)>,
    saved_at: Instant,
}

impl<T: Training> TrainingLoop<'_, T> {
    /// One optimiser step.
    fn step(&mut self, model: T::Model) -> Result<T::Model, TrainError> {
        let (step, seed) = (self.state.step, faults::noise_seed(self.state.seed));
        let batches = self.training.next_batches(step)?;
        let model = faults::parameters(model, step + 1);
        let (mine, mut total, mut details) =
            forward_backward(&self.training, &model, &batches, seed, step + 1);
        let ranks = self.together.ranks;
        let mut gradients = sum_gradients(ranks, &model, mine)?;
        let mut sums = T::sums(&mut details);
        sums.push(&mut total);
        sum_values(ranks, sums)?;
        faults::gradients(&mut gradients, step + 1);
        let model = self.optimizer.enqueue(model, gradients, self.training.learning_rate(step));
        self.state.step += 1;
        self.stop.set_unsaved_steps(self.state.step - self.saved.as_ref().map_or(0, |(_, saved)| saved.step));
        self.training.updated(&model, &mut self.state, &batches, total, details);
        // Only here, and before a checkpoint, is a device waited for.
        let (pending, waits) = self.optimizer.pending();
        let updates = match !waits || pending >= MAX_PENDING || self.training.report_due(self.state.step) {
            true => self.read_back()?,
            false => Vec::new(),
        };
        self.training.report(&self.state, &updates)?;
        Ok(model)
    }

    /// The updates since the last call, with the numbers of their steps: what the device says of their gradients.
    fn read_back(&mut self) -> Result<Vec<(u64, Update)>, TrainError> {
        let updates = self.optimizer.read_back();
        let first = self.state.step + 1 - updates.len() as u64;
        let updates: Vec<(u64, Update)> = (first..).zip(updates).collect();
        let last_good = self.saved.as_ref().map(|(path, _)| path.as_path());
        for (index, (step, update)) in updates.iter().enumerate() {
            if let Err(error) = self.guard.observe(*step, update, last_good) {
                self.training.report(&self.state, &updates[..index])?;
                return Err(error);
            }
        }
        self.state.optimizer_updates = self.optimizer.updates();
        self.state.guard = *self.guard.state();
        Ok(updates)
    }

    /// Asks the other ranks whether any of them was asked to stop; all stop then.
    fn agree_to_stop(&self) -> Result<(), TrainError> {
        let Together { ranks, signal } = self.together;
        if ranks.world() > 1 {
            // Before the first step, and after a step that was saved or evaluated, others may still be busy.
            let meeting = Meeting::disk("the next step");
            let asked = gather_equal(ranks, meeting, &[u8::from(signal.requested())])?;
            if asked.iter().any(|rank| *rank == [1]) {
                self.stop.request();
            }
        }
        Ok(())
    }

    /// Whether this step's evaluation is still to be made.
    fn evaluation_due(&self) -> bool {
        self.state.step > self.state.evaluated_step && self.training.evaluation_due(self.state.step)
    }

    fn evaluate_if_due(&mut self, model: &T::Model) -> Result<(), TrainError> {
        if !self.evaluation_due() || self.stop.requested() {
            return Ok(());
        }
        if let Some(score) = self.training.evaluate(model, &self.state)? {
            self.state.evaluated_step = self.state.step;
            self.state.note_best(score);
        }
        Ok(())
    }

    fn save_if_due(&mut self, model: &T::Model, stopping: bool) -> Result<(), TrainError> {
        let due = match self.checkpoints {
            _ if stopping => SaveDue::Always,
            None => SaveDue::No,
            Some(_) => self.training.save_due(&self.state, self.saved_at.elapsed()),
        };
        if due == SaveDue::No || self.saved.as_ref().is_some_and(|(_, state)| *state == self.state) {
            return Ok(());
        }
        let updates = self.read_back()?;
        if !updates.is_empty() {
            self.training.report(&self.state, &updates)?;
        }
        let Some(checkpoints) = self.checkpoints else {
            return Ok(());
        };
        // Recent non-finite steps may mean that the weights have diverged; do not save them as good.
        if due == SaveDue::IfFinite && self.state.guard.consecutive > 0 {
            return Ok(());
        }
        let weights = params::collect(model);
        let path = match self.together.ranks.world() {
            1 => self.save(checkpoints, &weights)?,
            _ => self.save_together(checkpoints, &weights)?,
        };
        self.training.saved(self.state.step, &path)?;
        self.saved = Some((path, self.state.clone()));
        self.saved_at = Instant::now();
        self.stop.set_unsaved_steps(0);
        Ok(())
    }

    fn save(&self, checkpoints: &Checkpoints, weights: &[NamedTensor]) -> Result<PathBuf, TrainError> {
        let mut tensors = self.optimizer.state();
        tensors.extend(self.training.extra_tensors());
        Ok(checkpoints.save(&self.state, weights, &tensors)?)
    }

    /// Saves on the first rank, once all ranks have the same weights after the same step.
    fn save_together(
        &self,
        checkpoints: &Checkpoints,
        weights: &[NamedTensor],
    ) -> Result<PathBuf, TrainError> {
        let ranks = self.together.ranks;
        let same = [
            Agreement::new("the step", self.state.step.to_string()),
            Agreement::new(&format!("the weights after step {}", self.state.step), checksum(weights)),
        ];
        agree(ranks, Meeting::disk("the weights to save"), &same)?;
        let saved = ranks.is_first().then(|| self.save(checkpoints, weights)).transpose()?;
        // A first rank that fails to save is gone here, and the others end as well.
        Ok(tell_path(ranks, Meeting::disk("the checkpoint"), saved)?.unwrap_or_default())
    }
}

/// SHA-256 of names and values, as hex.
pub(crate) fn checksum(tensors: &[NamedTensor]) -> String {
    let mut hash = Sha256::new();
    for NamedTensor { name, data, .. } in tensors {
        hash.update(name);
        hash.update(bytemuck::cast_slice(data));
    }
    hex(&hash.finalize())
}

/// Gradients and loss of step `step`, summed over these micro-batches in the [tree].
fn forward_backward<T: Training>(
    training: &T,
    model: &T::Model,
    batches: &[T::Batch],
    seed: u64,
    step: u64,
) -> (Gradients, Tensor<1>, T::Details) {
    let leaf = |batch: &T::Batch| {
        let (total, details) = training.loss(model, batch, seed);
        let total = faults::loss(total, step);
        let gradients = Gradients::from_backward(model, total.backward());
        (gradients, total.inner(), details)
    };
    let sum = tree::sum(batches, leaf, |(mut gradients, total, details), (other, more, others)| {
        gradients.accumulate(other);
        (gradients, total + more, T::add(details, others))
    });
    #[allow(clippy::expect_used)] // promised by `Training::next_batches`
    sum.expect("a step has at least one micro-batch")
}

#[cfg(test)]
mod tests;
