//! Injects non-finite values at chosen steps, for tests.

use std::str::FromStr;

use burn::module::Module;
use burn::tensor::{Tensor, s};
use fn_models::params;

use crate::optim::Gradients;

/// A value that is put into the loss, a gradient or a parameter at some steps.
///
/// As text: `loss@5+2:nan` makes the loss of steps 5 and 6 NaN; `gradient` stands for one number of the first gradient,
/// `parameter` for the first parameter; `inf` and `-inf` are the other values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poison {
    target: Target,
    first: u64,
    count: u64,
    value: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    Loss,
    Gradient,
    Parameter,
}

impl FromStr for Poison {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!("`{text}` is not like loss@5:nan, gradient@5+2:inf or parameter@5:-inf (target@step+count:value)")
        })
    }
}

fn parse(text: &str) -> Option<Poison> {
    let (target, rest) = text.split_once('@')?;
    let (steps, value) = rest.split_once(':')?;
    let (first, count) = steps.split_once('+').unwrap_or((steps, "1"));
    let target = match target {
        "loss" => Target::Loss,
        "gradient" => Target::Gradient,
        "parameter" => Target::Parameter,
        _ => return None,
    };
    Some(Poison {
        target,
        first: first.parse().ok()?,
        count: count.parse().ok()?,
        value: value.parse().ok()?,
    })
}

impl Poison {
    /// The value, if it is to be injected into `target` at step `step` (counted from 1).
    pub(super) fn value(self, target: Target, step: u64) -> Option<f32> {
        let hit = self.target == target && (self.first..self.first + self.count).contains(&step);
        hit.then_some(self.value)
    }
}

/// Sets one element of one gradient to `value`.
pub(super) fn gradient(gradients: &mut Gradients, value: f32) {
    let mut first = None;
    gradients.visit(|path, g| first = first.take().or_else(|| Some((path.to_owned(), g.clone()))));
    if let Some((path, gradient)) = first {
        let value = Tensor::from_floats([value], &gradient.device());
        gradients.set(&path, gradient.slice_assign(s![0..1], value));
    }
}

/// Fills the first parameter with `value`.
pub(super) fn parameter<M: Module>(model: M, value: f32) -> M {
    let first = params::collect(&model).into_iter().next();
    let loaded = params::load(model.clone(), &mut |path: &str, _: &[usize]| {
        let mut data = first.as_ref().filter(|t| t.name == path).map(|t| t.data.clone());
        data.iter_mut().flatten().for_each(|x| *x = value);
        Ok::<_, std::convert::Infallible>(data)
    });
    loaded.unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_parsed_and_affects_only_its_steps() {
        let poison: Poison = "loss@5+2:nan".parse().unwrap();
        let hit: Vec<u64> = (0..10).filter(|&s| poison.value(Target::Loss, s).is_some()).collect();
        assert_eq!(hit, [5, 6]);
        assert!(poison.value(Target::Gradient, 5).is_none() && poison.value.is_nan());
        assert_eq!("gradient@1:-inf".parse::<Poison>().unwrap().value, f32::NEG_INFINITY);
        for text in ["", "loss", "loss@x:nan", "weight@1:nan", "loss@1:much"] {
            assert!(text.parse::<Poison>().is_err(), "{text}");
        }
    }
}
