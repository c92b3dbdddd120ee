//! Forward and backward passes of the micro-batches of a step.

use burn::tensor::Tensor;
use fn_models::Cuts;

use super::Training;
use crate::collective::tree;
use crate::faults;
use crate::optim::{Backward, Gradients};

/// Gradients and loss of step `step`, summed over these micro-batches in the [tree].
pub(super) fn forward_backward<T: Training>(
    training: &T,
    model: &T::Model,
    batches: &[T::Batch],
    seed: u64,
    step: u64,
) -> (Gradients, Tensor<1>, T::Details) {
    let leaf = |batch: &T::Batch| whole(training, model, batch, seed, step);
    let sum = tree::sum(batches, leaf, |(mut gradients, total, details), (other, more, others)| {
        gradients.accumulate(other);
        (gradients, total + more, T::add(details, others))
    });
    #[allow(clippy::expect_used)] // promised by `Training::next_batches`
    sum.expect("a step has at least one micro-batch")
}

/// As [`forward_backward`], up to the backward pass of the last micro-batch.
pub(super) fn forward<T: Training>(
    training: &T,
    model: &T::Model,
    batches: &[T::Batch],
    seed: u64,
    step: u64,
) -> (Backward, Tensor<1>, T::Details) {
    let leaf = |batch: &T::Batch| whole(training, model, batch, seed, step);
    let before = tree::sums_before_last(batches, leaf, |(mut a, total, details), (b, more, others)| {
        a.accumulate(b);
        (a, total + more, T::add(details, others))
    });
    #[allow(clippy::expect_used)] // promised by `Training::next_batches`
    let last = batches.last().expect("a step has at least one micro-batch");
    let cuts = Cuts::default();
    let (loss, mut details) = training.loss_cut(model, last, seed, &cuts);
    let loss = faults::loss(loss, step);
    let mut total = loss.clone().inner();
    let mut gradients = Vec::with_capacity(before.len());
    for (sum, first, first_details) in before.into_iter().rev() {
        total = first + total;
        details = T::add(first_details, details);
        gradients.push(sum);
    }
    gradients.reverse();
    (Backward::new(model, loss, &cuts, gradients), total, details)
}

/// Gradients and loss of one micro-batch.
fn whole<T: Training>(
    training: &T,
    model: &T::Model,
    batch: &T::Batch,
    seed: u64,
    step: u64,
) -> (Gradients, Tensor<1>, T::Details) {
    let (total, details) = training.loss(model, batch, seed);
    let total = faults::loss(total, step);
    let gradients = Gradients::from_backward(model, total.backward());
    (gradients, total.inner(), details)
}
