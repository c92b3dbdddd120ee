//! Replaces `faults` if that feature is off: hooks that do nothing.

use std::collections::BTreeMap;
use std::io;

use burn::tensor::Tensor;

use crate::NamedTensor;
use crate::checkpoint::TrainState;
use crate::optim::Gradients;

pub(crate) fn opening() {}

pub(crate) fn restored(_: &mut TrainState, _: &mut [NamedTensor]) {}

pub(crate) fn noise_seed(seed: u64) -> u64 {
    seed
}

pub(crate) fn parameters<M>(model: M, _step: u64) -> M {
    model
}

pub(crate) fn loss(loss: Tensor<1>, _step: u64) -> Tensor<1> {
    loss
}

pub(crate) fn gradients(_: &mut Gradients, _step: u64) {}

pub(crate) fn begin_save() {}

pub(crate) fn file_call() -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn average(_: &mut BTreeMap<String, NamedTensor>) {}
