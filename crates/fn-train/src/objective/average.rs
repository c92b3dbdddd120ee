//! A moving average of the trained model: for a verifier, or to be evaluated and exported beside the weights.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use fn_core::batch::Batch;
use fn_core::judge::MaskedModel;
use fn_models::Pretrained;
use fn_models::params::{self, NamedTensor};

use super::verifier::Reader;
use crate::collective::{Collective, CollectiveError, Meeting, Slices, Wire, collect_tensor, gather_slices};
use crate::optim::OptimError;

/// Prefix of the tensors of the average in a checkpoint that a verifier reads with.
const OF_VERIFIER: &str = "verifier.";
/// Prefix of the tensors of the average in a checkpoint that is evaluated and exported.
const OF_WEIGHTS: &str = "average.";

/// A moving average of the trained model: after each step `decay * average + (1 - decay) * model`.
pub struct MovingAverage {
    decay: f64,
    prefix: &'static str,
    held: Mutex<Held>,
}

/// What a process has of the average.
enum Held {
    /// Nothing before the first update.
    Nothing,
    Whole(Reader),
    /// Its slice, of several ranks.
    Slice(Slice),
}

/// The average of one rank's slice of the parameters, on the host.
struct Slice {
    slices: Slices,
    /// Path and shape of each parameter.
    shapes: Vec<(String, Vec<usize>)>,
    rank: usize,
    values: Vec<f32>,
}

impl MovingAverage {
    /// An average with this decay, 0..1, for a verifier.
    pub fn new(decay: f64) -> Self {
        Self { decay, prefix: OF_VERIFIER, held: Mutex::new(Held::Nothing) }
    }

    /// An average with this decay, 0..1, that is evaluated and exported beside the weights.
    pub fn of_weights(decay: f64) -> Self {
        Self { prefix: OF_WEIGHTS, ..Self::new(decay) }
    }

    /// Divides the average among the ranks: from here on this one has that of its slice of the parameters only. Before, nothing is divided.
    pub fn divide(&self, ranks: &dyn Collective) {
        let mut held = self.locked();
        if let Held::Whole(Reader(model)) = &*held {
            let shapes = params::shapes(model);
            let slices = Slices::new(shapes.iter().map(|(_, shape)| shape.iter().product()), ranks.world());
            let rank = ranks.rank();
            let values = params::part(model, slices.of(rank));
            *held = Held::Slice(Slice { slices, shapes, rank, values });
        }
    }

    /// The average, on the plain device; None before the first update. `like` is a model of the same shape. All ranks call it.
    ///
    /// # Errors
    /// Ranks that did not answer in time or have ended.
    pub fn model(
        &self,
        ranks: &dyn Collective,
        like: &Pretrained,
    ) -> Result<Option<Pretrained>, CollectiveError> {
        match &*self.locked() {
            Held::Nothing => Ok(None),
            Held::Whole(reader) => Ok(Some(reader.0.clone())),
            Held::Slice(slice) => {
                let mut flat = vec![0.0; slice.slices.len()];
                flat[slice.slices.of(slice.rank)].copy_from_slice(&slice.values);
                let meeting = Meeting::disk("the moving average");
                gather_slices(ranks, meeting, &mut flat, &slice.slices, Wire::F32)?;
                let mut next = 0..;
                let Ok(model) = params::load(like.valid(), &mut |_: &str, _: &[usize]| {
                    let at = next.next().map(|index| slice.slices.tensor(index));
                    Ok::<_, Infallible>(at.map(|at| flat[at].to_vec()))
                });
                Ok(Some(model))
            }
        }
    }

    /// Removes the tensors of an average of the weights from those of a checkpoint, and returns them by the parameter's path.
    pub fn taken_from(tensors: &mut Vec<NamedTensor>) -> BTreeMap<String, NamedTensor> {
        taken(OF_WEIGHTS, tensors)
    }

    /// Goes on from the tensors of a checkpoint, or where it has none, from `model`.
    ///
    /// # Errors
    /// Tensors of another model.
    pub fn resume(
        &self,
        model: &Pretrained,
        mut tensors: BTreeMap<String, NamedTensor>,
    ) -> Result<(), OptimError> {
        if tensors.is_empty() {
            self.follow(Reader::of(model));
            return Ok(());
        }
        let average = params::load(model.valid(), &mut |name: &str, shape: &[usize]| {
            let named = || format!("{}{name}", self.prefix);
            match tensors.remove(name) {
                Some(tensor) if tensor.shape == shape => Ok(Some(tensor.data)),
                Some(tensor) => {
                    Err(OptimError::Shape { name: named(), found: tensor.shape, expected: shape.to_vec() })
                }
                None => Err(OptimError::NoAverage { name: named() }),
            }
        })?;
        *self.locked() = Held::Whole(Reader(average));
        Ok(())
    }

    /// Updates the average with `model`; the first update copies it.
    pub(crate) fn follow(&self, model: Reader) {
        let mut held = self.locked();
        *held = match std::mem::replace(&mut *held, Held::Nothing) {
            Held::Nothing => Held::Whole(model),
            Held::Whole(Reader(old)) => {
                Held::Whole(Reader(params::moving_average(old, &model.0, self.decay)))
            }
            Held::Slice(mut slice) => {
                let new = params::part(&model.0, slice.slices.of(slice.rank));
                let (keep, take) = (self.decay as f32, 1.0 - self.decay as f32);
                for (old, new) in slice.values.iter_mut().zip(new) {
                    *old = *old * keep + new * take;
                }
                Held::Slice(slice)
            }
        };
    }

    /// The tensors of the average for a checkpoint, whole on this process.
    pub(crate) fn tensors(&self) -> Vec<NamedTensor> {
        let Held::Whole(Reader(model)) = &*self.locked() else { return Vec::new() };
        let named = |t: NamedTensor| NamedTensor { name: format!("{}{}", self.prefix, t.name), ..t };
        params::collect(model).into_iter().map(named).collect()
    }

    /// The tensors of the average for a checkpoint, on rank 0; none on the others. All ranks call it.
    ///
    /// # Errors
    /// Ranks that did not answer in time or have ended.
    pub(crate) fn tensors_of(&self, ranks: &dyn Collective) -> Result<Vec<NamedTensor>, CollectiveError> {
        let held = self.locked();
        let Held::Slice(Slice { slices, shapes, values, .. }) = &*held else {
            drop(held);
            return Ok(if ranks.is_first() { self.tensors() } else { Vec::new() });
        };
        let mut found = Vec::new();
        for (index, (path, shape)) in shapes.iter().enumerate() {
            let meeting = Meeting::disk("the moving average to save");
            let data = collect_tensor(ranks, meeting, values, slices, index)?;
            if ranks.is_first() {
                found.push(NamedTensor {
                    name: format!("{}{path}", self.prefix),
                    shape: shape.clone(),
                    data,
                });
            }
        }
        Ok(found)
    }

    /// Restores the average from the tensors of a checkpoint and removes its own [`tensors`](Self::tensors) from them; missing
    /// tensors are taken from `like`, a model of the same shape.
    pub(super) fn restore(&self, like: Reader, tensors: &mut Vec<NamedTensor>) {
        let mut mine = taken(self.prefix, tensors);
        let Ok(model) = params::load(like.0, &mut |name: &str, shape: &[usize]| {
            Ok::<_, Infallible>(mine.remove(name).filter(|t| t.shape == shape).map(|tensor| tensor.data))
        });
        *self.locked() = Held::Whole(Reader(model));
    }

    /// Locks the average; a poisoned lock is ignored, because a panic elsewhere does not invalidate the average.
    fn locked(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the tensors with this prefix and returns them by the rest of their name.
fn taken(prefix: &str, tensors: &mut Vec<NamedTensor>) -> BTreeMap<String, NamedTensor> {
    let (mine, others) = std::mem::take(tensors).into_iter().partition(|t| t.name.starts_with(prefix));
    *tensors = others;
    Vec::into_iter(mine).map(|t: NamedTensor| (t.name[prefix.len()..].to_owned(), t)).collect()
}

impl MaskedModel for MovingAverage {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        match &*self.locked() {
            Held::Whole(reader) => reader.masked_logits(ids, batch),
            Held::Nothing | Held::Slice(_) => None,
        }
    }
}
