//! Restores that forget something, for tests only: they must be noticed.
//!
//! The environment variable `FNLM_FORGET` names one thing that a resumed run then does not take from its checkpoint:
//! `position` (of the data), `moments`, `step` (and with it the schedule) or `noise`. `FNLM_PAUSE_OPEN` holds milliseconds that
//! opening a session takes longer, so that a test can send a signal in that time. `FNLM_POISON=loss@5+2:nan` makes the loss of
//! steps 5 and 6 NaN; `gradient` poisons one number of the first gradient, `parameter` the first parameter; `inf` and `-inf`
//! are the other poisons.

use burn::module::Module;
use burn::tensor::{Tensor, s};
use fn_models::params;

use crate::NamedTensor;
use crate::checkpoint::TrainState;
use crate::optim::Gradients;

/// Forgets what `FNLM_FORGET` names; gives the seed of the noise.
pub(crate) fn forget(state: &mut TrainState, moments: &mut [NamedTensor]) -> u64 {
    match std::env::var("FNLM_FORGET").as_deref() {
        Ok("position") => state.micro_step = 0,
        Ok("moments") => moments.iter_mut().for_each(|t| t.data.fill(0.0)),
        Ok("step") => state.step = 0,
        Ok("noise") => return !state.seed,
        _ => {}
    }
    state.seed
}

/// Waits as long as `FNLM_PAUSE_OPEN` says.
pub(crate) fn pause_open() {
    if let Some(ms) = std::env::var("FNLM_PAUSE_OPEN").ok().and_then(|ms| ms.parse().ok()) {
        std::thread::sleep(std::time::Duration::from_millis(ms));
    }
}

/// What is poisoned, when, and with what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Poison {
    target: Target,
    first: u64,
    count: u64,
    value: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    Loss,
    Gradient,
    Parameter,
}

impl Poison {
    /// What `FNLM_POISON` says; None when it is not set or makes no sense.
    pub(crate) fn from_environment() -> Option<Self> {
        Self::parse(&std::env::var("FNLM_POISON").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (target, rest) = text.split_once('@')?;
        let (steps, value) = rest.split_once(':')?;
        let (first, count) = steps.split_once('+').unwrap_or((steps, "1"));
        let target = match target {
            "loss" => Target::Loss,
            "gradient" => Target::Gradient,
            "parameter" => Target::Parameter,
            _ => return None,
        };
        Some(Self {
            target,
            first: first.parse().ok()?,
            count: count.parse().ok()?,
            value: value.parse().ok()?,
        })
    }

    /// Whether step `step`, counted from 1, is poisoned.
    fn hits(&self, target: Target, step: u64) -> bool {
        self.target == target && (self.first..self.first + self.count).contains(&step)
    }

    /// The loss of a step, poisoned where it is its turn.
    pub(crate) fn loss(self, loss: Tensor<1>, step: u64) -> Tensor<1> {
        if self.hits(Target::Loss, step) { loss * self.value } else { loss }
    }

    /// One element of one gradient.
    pub(crate) fn gradient(self, gradients: &mut Gradients, step: u64) {
        if !self.hits(Target::Gradient, step) {
            return;
        }
        let mut first = None;
        gradients.visit(|path, g| first = first.take().or_else(|| Some((path.to_owned(), g.clone()))));
        if let Some((path, gradient)) = first {
            let poison = Tensor::from_floats([self.value], &gradient.device());
            gradients.set(&path, gradient.slice_assign(s![0..1], poison));
        }
    }

    /// The first parameter, all of it.
    pub(crate) fn parameter<M: Module>(self, model: M, step: u64) -> M {
        if !self.hits(Target::Parameter, step) {
            return model;
        }
        let first = params::collect(&model).into_iter().next();
        let loaded = params::load(model.clone(), &mut |path: &str, _: &[usize]| {
            let mut data = first.as_ref().filter(|t| t.name == path).map(|t| t.data.clone());
            data.iter_mut().flatten().for_each(|x| *x = self.value);
            Ok::<_, std::convert::Infallible>(data)
        });
        loaded.unwrap_or(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_read_and_hits_its_steps_only() {
        let poison = Poison::parse("loss@5+2:nan").unwrap();
        let hit: Vec<u64> = (0..10).filter(|&s| poison.hits(Target::Loss, s)).collect();
        assert_eq!(hit, [5, 6]);
        assert!(!poison.hits(Target::Gradient, 5) && poison.value.is_nan());
        assert_eq!(Poison::parse("gradient@1:-inf").unwrap().value, f32::NEG_INFINITY);
        for text in ["", "loss", "loss@x:nan", "weight@1:nan", "loss@1:much"] {
            assert_eq!(Poison::parse(text), None, "{text}");
        }
    }
}
