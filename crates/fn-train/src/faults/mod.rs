//! Faults on demand, for tests: disks that fail, values that are not finite, checkpoints that are restored incompletely.
//!
//! Compiled with the feature `faults` only; without it `no_faults.rs` takes this place, whose hooks are empty. Even with the
//! feature nothing happens before a program calls [`Faults::install`]: this crate reads no environment variable, so `fnlm` stays
//! as it is even where Cargo builds it together with tests.

mod fail_points;
mod poison;

pub use fail_points::FailPoints;
pub use poison::Poison;

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
    /// The faults of a unit test, which shares its process with others.
    static LOCAL: std::cell::RefCell<Option<Faults>> = const { std::cell::RefCell::new(None) };
}

/// What is to go wrong. The default: nothing.
#[derive(Debug, Default)]
pub struct Faults {
    /// What a resumed run does not take from its checkpoint.
    pub forget: Option<Forget>,
    /// What opening a session takes longer, so that a signal can be sent in that time.
    pub pause_open: Duration,
    /// Values that become non-finite.
    pub poison: Option<Poison>,
    /// Writes, syncs and renames of checkpoints that fail.
    pub fail_points: FailPoints,
}

impl Faults {
    /// From now on these faults happen in this process. The first call counts.
    pub fn install(self) {
        let _ = INSTALLED.set(self);
    }

    /// Runs `body` with these faults, on this thread only.
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
    /// How many batches were read.
    Position,
    /// The optimiser's moments.
    Moments,
    /// The number of steps, and with it the place in the schedule.
    Step,
    /// The seed of dropout and sampling.
    Noise,
}

impl FromStr for Forget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "position" => Self::Position,
            "moments" => Self::Moments,
            "step" => Self::Step,
            "noise" => Self::Noise,
            _ => return Err(format!("`{text}` is none of position, moments, step, noise")),
        })
    }
}

/// Asks the faults of this thread or process, if there are any.
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

/// A session is about to be opened.
pub(crate) fn opening() {
    ask(|faults| {
        std::thread::sleep(faults.pause_open);
        Some(())
    });
}

/// State and moments were read from a checkpoint.
pub(crate) fn restored(state: &mut TrainState, moments: &mut [NamedTensor]) {
    match ask(|faults| faults.forget) {
        Some(Forget::Position) => state.micro_step = 0,
        Some(Forget::Moments) => moments.iter_mut().for_each(|tensor| tensor.data.fill(0.0)),
        Some(Forget::Step) => state.step = 0,
        Some(Forget::Noise) | None => {}
    }
}

/// The seed of dropout and sampling.
pub(crate) fn noise_seed(seed: u64) -> u64 {
    match ask(|faults| faults.forget) {
        Some(Forget::Noise) => !seed,
        _ => seed,
    }
}

/// The parameters with which step `step`, counted from 1, is computed.
pub(crate) fn parameters<M: Module>(model: M, step: u64) -> M {
    match poison(step, poison::Target::Parameter) {
        Some(value) => poison::parameter(model, value),
        None => model,
    }
}

/// The loss of one micro-batch of step `step`.
pub(crate) fn loss(loss: Tensor<1>, step: u64) -> Tensor<1> {
    match poison(step, poison::Target::Loss) {
        Some(value) => loss * value,
        None => loss,
    }
}

/// The gradients of step `step`.
pub(crate) fn gradients(gradients: &mut Gradients, step: u64) {
    if let Some(value) = poison(step, poison::Target::Gradient) {
        poison::gradient(gradients, value);
    }
}

/// A save begins.
pub(crate) fn begin_save() {
    ask(|faults| {
        faults.fail_points.begin_save();
        Some(())
    });
}

/// A save is about to write, sync or rename. True asks a write to damage what it writes.
pub(crate) fn file_call() -> io::Result<bool> {
    ask(|faults| Some(faults.fail_points.file_call())).unwrap_or(Ok(false))
}
