//! Fault injection for tests: failing disks, non-finite values, checkpoints that are restored incompletely.
//!
//! Compiled only with the feature `faults`; without it, `no_faults.rs` provides the same functions with empty bodies. Even with
//! the feature, nothing is injected before a program calls [`Faults::install`]. This crate reads no environment variable, so
//! `fnlm` does not change even if Cargo builds it with the feature because of tests.

mod fail_points;
mod poison;

pub use fail_points::FailPoints;
pub use poison::Poison;

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::NamedTensor;
use crate::checkpoint::TrainState;
use crate::optim::Gradients;

/// The faults of this process.
static INSTALLED: OnceLock<Faults> = OnceLock::new();

#[cfg(test)]
thread_local! {
    /// The faults of a unit test; thread-local, because unit tests share a process.
    static LOCAL: std::cell::RefCell<Option<Faults>> = const { std::cell::RefCell::new(None) };
}

/// The faults to inject; by default none.
#[derive(Debug, Default)]
pub struct Faults {
    /// The part of a checkpoint that a resumed run does not restore.
    pub forget: Option<Forget>,
    /// Additional time that opening a session takes, so that a signal can be sent meanwhile.
    pub pause_open: Duration,
    /// Values that become non-finite.
    pub poison: Option<Poison>,
    /// Writes, syncs and renames of checkpoints that fail.
    pub fail_points: FailPoints,
}

impl Faults {
    /// Installs these faults in this process. Only the first call has an effect.
    pub fn install(self) {
        let _ = INSTALLED.set(self);
    }

    /// Runs `body` with these faults on this thread.
    #[cfg(test)]
    pub(crate) fn during<R>(self, body: impl FnOnce() -> R) -> R {
        LOCAL.set(Some(self));
        let result = body();
        LOCAL.set(None);
        result
    }
}

/// A part of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// The number of batches that were read.
    Position,
    /// The moments of the optimiser.
    Moments,
    /// The number of steps, and so the position in the schedule.
    Step,
    /// The seed of dropout and sampling.
    Noise,
    /// The moving average of the weights.
    Average,
}

impl FromStr for Forget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "position" => Self::Position,
            "moments" => Self::Moments,
            "step" => Self::Step,
            "noise" => Self::Noise,
            "average" => Self::Average,
            _ => return Err(format!("`{text}` is none of position, moments, step, noise, average")),
        })
    }
}

/// Reads the faults of this thread or process, if there are any.
fn ask<R>(question: impl FnOnce(&Faults) -> Option<R>) -> Option<R> {
    #[cfg(test)]
    if LOCAL.with_borrow(Option::is_some) {
        return LOCAL.with_borrow(|faults| faults.as_ref().and_then(question));
    }
    INSTALLED.get().and_then(question)
}

fn poison(step: u64, target: poison::Target) -> Option<f32> {
    ask(|faults| faults.poison?.value(target, step))
}

/// Hook: a session is about to be opened.
pub(crate) fn opening() {
    ask(|faults| {
        std::thread::sleep(faults.pause_open);
        Some(())
    });
}

/// Hook: state and moments were read from a checkpoint.
pub(crate) fn restored(state: &mut TrainState, moments: &mut [NamedTensor]) {
    match ask(|faults| faults.forget) {
        Some(Forget::Position) => state.micro_step = 0,
        Some(Forget::Moments) => moments.iter_mut().for_each(|tensor| tensor.data.fill(0.0)),
        Some(Forget::Step) => state.step = 0,
        Some(Forget::Noise | Forget::Average) | None => {}
    }
}

/// Hook: the tensors of the moving average of the weights were read from a checkpoint.
pub(crate) fn average(tensors: &mut BTreeMap<String, NamedTensor>) {
    if ask(|faults| faults.forget) == Some(Forget::Average) {
        tensors.clear();
    }
}

/// Hook: the seed of dropout and sampling.
pub(crate) fn noise_seed(seed: u64) -> u64 {
    match ask(|faults| faults.forget) {
        Some(Forget::Noise) => !seed,
        _ => seed,
    }
}

/// Hook: the parameters before step `step`, counted from 1.
pub(crate) fn parameters<M: Module>(model: M, step: u64) -> M {
    match poison(step, poison::Target::Parameter) {
        Some(value) => poison::parameter(model, value),
        None => model,
    }
}

/// Hook: the loss of one micro-batch of step `step`.
pub(crate) fn loss(loss: Tensor<1>, step: u64) -> Tensor<1> {
    match poison(step, poison::Target::Loss) {
        Some(value) => loss * value,
        None => loss,
    }
}

/// Hook: the gradients of step `step`, where they are all there before any is sent (one process, or `train.overlap = false`).
pub(crate) fn gradients(gradients: &mut Gradients, step: u64) {
    if let Some(value) = poison(step, poison::Target::Gradient) {
        poison::gradient(gradients, value);
    }
}

/// Hook: a save begins.
pub(crate) fn begin_save() {
    ask(|faults| {
        faults.fail_points.begin_save();
        Some(())
    });
}

/// Hook: a save is about to write, sync or rename. If it returns true, the write must write a wrong byte.
pub(crate) fn file_call() -> io::Result<bool> {
    ask(|faults| Some(faults.fail_points.file_call())).unwrap_or(Ok(false))
}
