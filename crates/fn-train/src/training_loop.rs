//! The training loop, for pre-training and fine-tuning alike: batches, losses, one update, report, evaluation, checkpoint.
//!
//! Their differences are the trait [`Training`]. The loop uses no random numbers and has no state but [`TrainState`], weights
//! and moments, so a resumed run equals an uninterrupted one. A stop request takes effect after the current step.
//!
//! In several processes ([`train_together`]) each rank takes its share of a step's micro-batches; gradients and losses are then summed
//! over all of them, and every rank makes the same update. The first rank saves.

mod passes;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Tensor;
use fn_core::files::hex;
use fn_models::{Cuts, params};
use sha2::{Digest, Sha256};

use crate::NamedTensor;
use crate::checkpoint::{Checkpoints, LoadedCheckpoint, TrainState};
use crate::collective::{
    Collective, Meeting, Mine, Single, Wire, gather_equal, meet, same_weights, sum_values, tell_path,
};
use crate::error::TrainError;
use crate::faults;
use crate::guard::Guard;
use crate::optim::{AdamW, Update, Updated};
use crate::stop::Stop;

/// Steps after which gradient norms are read back from an asynchronous device, if no report reads them before.
const MAX_PENDING: usize = 64;

/// The differences between pre-training and fine-tuning. Steps are counted from 1; "after step 0" is the start of a run.
pub trait Training {
    /// The model.
    type Model: Module;
    /// One micro-batch.
    type Batch;
    /// Values of a loss besides its total, for reports; they stay on the device until they are read.
    type Details;

    /// The micro-batches of the step after `step` that this process computes, at least one.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn next_batches(&mut self, step: u64) -> Result<Vec<Self::Batch>, TrainError>;

    /// The loss of a micro-batch: its share of the step's loss, `[1]`. Dropout and sampling are functions of `seed`, that of
    /// the run, and the batch.
    fn loss(&self, model: &Self::Model, batch: &Self::Batch, seed: u64) -> (Tensor<1>, Self::Details);

    /// [`loss`](Self::loss), of a forward pass that is cut between layers, see [`Cuts`]; by default it is not.
    fn loss_cut(
        &self,
        model: &Self::Model,
        batch: &Self::Batch,
        seed: u64,
        _cuts: &Cuts,
    ) -> (Tensor<1>, Self::Details) {
        self.loss(model, batch, seed)
    }

    /// The sum of the details of two micro-batches of a step.
    fn add(a: Self::Details, b: Self::Details) -> Self::Details;

    /// The tensors of `details`, each `[1]`, that are summed over the processes of [`train_together`].
    fn sums(_details: &mut Self::Details) -> Vec<&mut Tensor<1>> {
        Vec::new()
    }

    /// In several processes: the number format in which gradients are sent.
    fn wire(&self) -> Wire {
        Wire::F32
    }

    /// In several processes: whether gradients are sent while the rest of the backward pass is computed.
    fn overlaps(&self) -> bool {
        false
    }

    /// In several processes: steps between two comparisons of the weights of all ranks. 0: only before checkpoints.
    fn compare_every(&self) -> u64 {
        100
    }

    /// In several processes, after each step: the seconds that each rank computed, without waiting for others.
    fn computed(&mut self, _seconds: &[f64]) {}

    /// The learning rate of the step after `step`.
    fn learning_rate(&self, step: u64) -> f64;

    /// Called after an update was made or, if gradients were not finite, skipped; `state.step` counts it. `total` (detached, `[1]`)
    /// and `details` are the loss of the step, summed over its micro-batches, including those of other processes; on an asynchronous
    /// device, reading them waits. `batches` are the micro-batches of this process.
    fn updated(
        &mut self,
        model: &Self::Model,
        state: &mut TrainState,
        batches: &[Self::Batch],
        total: Tensor<1>,
        details: Self::Details,
    );

    /// Whether the values of `step` are read back immediately, even if that waits for the device.
    fn report_due(&self, step: u64) -> bool;

    /// Reports steps; called at the end of each step. `updates` are the steps whose gradient norms were read back since the
    /// last call, with their numbers; empty if none were.
    ///
    /// # Errors
    /// Reports that cannot be written.
    fn report(&mut self, state: &TrainState, updates: &[(u64, Update)]) -> Result<(), TrainError>;

    /// Whether training ends now, at its last step or before (early stopping).
    fn is_over(&self, state: &TrainState) -> bool;

    /// Whether the model is evaluated after `step`.
    fn evaluation_due(&self, step: u64) -> bool;

    /// Evaluates and reports. None if a stop was requested meanwhile; the resumed run then repeats the evaluation.
    ///
    /// # Errors
    /// Reports that cannot be written.
    fn evaluate(&mut self, model: &Self::Model, state: &TrainState) -> Result<Option<Score>, TrainError>;

    /// Whether a checkpoint is due; `since_last` is the time since the last one of this process.
    fn save_due(&self, state: &TrainState, since_last: Duration) -> SaveDue;

    /// Tensors that checkpoints hold besides weights and moments. Of several ranks all call it, and the first one saves.
    ///
    /// # Errors
    /// Ranks that do not come.
    fn extra_tensors(&self) -> Result<Vec<NamedTensor>, TrainError> {
        Ok(Vec::new())
    }

    /// Called after a checkpoint was written.
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
    /// Name of the metric.
    pub metric: String,
    /// Its value; a non-finite value is never the best.
    pub value: f64,
    /// Whether lower is better.
    pub lower_is_better: bool,
}

/// Whether a checkpoint is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveDue {
    /// No.
    No,
    /// Only if the last step was finite.
    IfFinite,
    /// Yes, whether or not the last steps were finite.
    Always,
}

/// The state from which a process trains: the start of a run, or a checkpoint.
#[derive(Debug)]
pub struct Start<M> {
    /// Weights after `state.step`.
    pub model: M,
    /// Moments after `state.step`.
    pub optimizer: AdamW,
    /// Progress of the run.
    pub state: TrainState,
    /// The checkpoint; None at the start of a run.
    pub checkpoint: Option<PathBuf>,
}

impl<M: Module> Start<M> {
    /// The start of a run.
    pub fn new(model: M, optimizer: AdamW, seed: u64) -> Self {
        Self { model, optimizer, state: TrainState::new(seed), checkpoint: None }
    }

    /// Loads a checkpoint into a new model and optimiser.
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
    /// The `training` that was passed to [`train`].
    pub training: T,
    /// The weights.
    pub model: T::Model,
    /// Progress of the run.
    pub state: TrainState,
    /// Whether training is finished; false if a stop was requested before.
    pub complete: bool,
    /// The newest checkpoint.
    pub saved: Option<PathBuf>,
}

/// Runs `training` to its end, or until a stop is requested.
///
/// `max_skipped` non-finite steps in a row end training with an error. Without `checkpoints` nothing is saved.
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
    let Start { mut model, mut optimizer, state, checkpoint } = start;
    if optimizer.config().shard && together.ranks.world() > 1 {
        optimizer.shard(together.ranks, &model);
    }
    let mut run = TrainingLoop {
        training,
        optimizer,
        guard: Guard::new(max_skipped, state.guard),
        checkpoints,
        stop,
        together,
        saved: checkpoint.map(|path| (path, state.clone())),
        saved_at: Instant::now(),
        equal: state.step,
        state,
    };
    let complete = loop {
        run.agree_to_stop()?;
        // If the run was stopped between a step and its evaluation, the resumed run begins with the evaluation.
        run.evaluate_if_due(&model)?;
        let complete = run.training.is_over(&run.state) && !run.evaluation_due();
        let stopping = !complete && stop.requested(); // read once, so that the loop only ends after the save that belongs to the stop
        run.save_if_due(&model, stopping)?;
        if complete || stopping {
            break complete;
        }
        model = run.step(model)?;
    };
    let saved = run.saved.map(|(path, _)| path);
    Ok(Ended { training: run.training, model, state: run.state, complete, saved })
}

/// State of the loop, except the weights.
struct TrainingLoop<'a, T: Training> {
    training: T,
    optimizer: AdamW,
    state: TrainState,
    guard: Guard,
    checkpoints: Option<&'a Checkpoints>,
    stop: &'a Stop,
    together: Together<'a>,
    /// The newest checkpoint and its state.
    saved: Option<(PathBuf, TrainState)>,
    saved_at: Instant,
    /// The last step after which the weights of all ranks were compared.
    equal: u64,
}

impl<T: Training> TrainingLoop<'_, T> {
    /// One optimiser step.
    fn step(&mut self, model: T::Model) -> Result<T::Model, TrainError> {
        let (step, seed) = (self.state.step, faults::noise_seed(self.state.seed));
        let ranks = self.together.ranks;
        let (began, exchanged) = (Instant::now(), ranks.exchanged());
        let batches = self.training.next_batches(step)?;
        let model = faults::parameters(model, step + 1);
        let (mine, mut total, mut details) = match ranks.world() > 1 && self.training.overlaps() {
            true => {
                let (mine, total, details) =
                    passes::forward(&self.training, &model, &batches, seed, step + 1);
                (mine.into(), total, details)
            }
            false => {
                let (mut mine, total, details) =
                    passes::forward_backward(&self.training, &model, &batches, seed, step + 1);
                faults::gradients(&mut mine, step + 1);
                (Mine::Whole(mine), total, details)
            }
        };
        let (now, exchanged) = (Instant::now(), ranks.exchanged() - exchanged);
        let mut sums = T::sums(&mut details);
        sums.push(&mut total);
        let (rate, wire) = (self.training.learning_rate(step), self.training.wire());
        let Updated { model, behind } = self.optimizer.step_of_ranks(ranks, model, mine, rate, wire)?;
        let end = behind.map_or(now, |behind| behind.computed);
        let computed = (end - began).saturating_sub(exchanged).as_secs_f64();
        let computed = sum_values(ranks, sums, &[computed])?.concat();
        self.state.step += 1;
        if ranks.world() > 1 {
            self.training.computed(&computed);
            let every = self.training.compare_every();
            if every > 0 && self.state.step.is_multiple_of(every) {
                self.compare(&params::collect(&model), Meeting::step("the checksum of its weights"))?;
            }
        }
        self.stop.set_unsaved_steps(self.state.step - self.saved.as_ref().map_or(0, |(_, saved)| saved.step));
        self.training.updated(&model, &mut self.state, &batches, total, details);
        // The loop waits for the device only here and before a checkpoint.
        let (pending, waits) = self.optimizer.pending();
        let updates = match !waits || pending >= MAX_PENDING || self.training.report_due(self.state.step) {
            true => self.read_back()?,
            false => Vec::new(),
        };
        self.training.report(&self.state, &updates)?;
        Ok(model)
    }

    /// Reads back the results of the updates since the last call, with the numbers of their steps.
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
            let asked = gather_equal(ranks, Meeting::step("the next step"), &[u8::from(signal.requested())])?;
            if asked.iter().any(|rank| *rank == [1]) {
                self.stop.request();
            }
        }
        Ok(())
    }

    /// Whether the evaluation of the current step is due and not made yet.
    fn evaluation_due(&self) -> bool {
        self.state.step > self.state.evaluated_step && self.training.evaluation_due(self.state.step)
    }

    fn evaluate_if_due(&mut self, model: &T::Model) -> Result<(), TrainError> {
        if !self.evaluation_due() || self.stop.requested() {
            return Ok(());
        }
        let score = self.training.evaluate(model, &self.state)?;
        // Ranks may take unequally long for it, and the meetings of the next step have less patience.
        meet(self.together.ranks, Meeting::disk("the evaluation"))?;
        if let Some(score) = score {
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
            1 => checkpoints.save(&self.state, &weights, &self.tensors()?)?,
            _ => self.save_together(checkpoints, &weights)?,
        };
        self.training.saved(self.state.step, &path)?;
        self.saved = Some((path, self.state.clone()));
        self.saved_at = Instant::now();
        self.stop.set_unsaved_steps(0);
        Ok(())
    }

    /// Checks that all ranks have these weights after this step.
    fn compare(&mut self, weights: &[NamedTensor], meeting: Meeting) -> Result<(), TrainError> {
        same_weights(self.together.ranks, meeting, self.state.step, self.equal, &checksum(weights))?;
        self.equal = self.state.step;
        Ok(())
    }

    /// What a checkpoint holds besides the weights: whole on the first rank.
    fn tensors(&self) -> Result<Vec<NamedTensor>, TrainError> {
        let mut tensors = self.optimizer.state_of(self.together.ranks)?;
        tensors.extend(self.training.extra_tensors()?);
        Ok(tensors)
    }

    /// Saves on the first rank, once all ranks have the same weights after the same step.
    fn save_together(
        &mut self,
        checkpoints: &Checkpoints,
        weights: &[NamedTensor],
    ) -> Result<PathBuf, TrainError> {
        let ranks = self.together.ranks;
        self.compare(weights, Meeting::disk("the weights to save"))?;
        let tensors = self.tensors()?;
        let saved = ranks.is_first().then(|| checkpoints.save(&self.state, weights, &tensors)).transpose()?;
        // A first rank that fails to save is gone here, and the others end as well.
        Ok(tell_path(ranks, Meeting::disk("the checkpoint"), saved)?.unwrap_or_default())
    }
}

/// SHA-256 of names and values, as hex.
pub fn checksum(tensors: &[NamedTensor]) -> String {
    let mut hash = Sha256::new();
    for NamedTensor { name, data, .. } in tensors {
        hash.update(name);
        hash.update(bytemuck::cast_slice(data));
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests;
