//! What a loss consists of, summed over the micro-batches of a step.

use burn::tensor::Tensor;
use fn_core::stats::FalseNegativeCounts;

use crate::objective::StepLoss;

/// The terms of a loss, which add up to it, and counts of wrong predictions among the masked positions.
pub struct Details {
    pub(super) terms: Vec<(&'static str, Tensor<1>)>,
    pub(super) counts: FalseNegativeCounts,
    /// Of several ranks, that of this one's micro-batches: only a warning comes from it.
    pub(super) excused: Option<Tensor<1>>,
}

impl Details {
    /// A loss to differentiate, and its details without autodiff.
    pub(super) fn of(loss: StepLoss) -> (Tensor<1>, Self) {
        let StepLoss { total, terms, counts, excused } = loss;
        let terms = terms.into_iter().map(|(name, term)| (name, term.inner())).collect();
        (total, Self { terms, counts, excused })
    }

    /// The sum of two micro-batches.
    pub(super) fn plus(self, other: Self) -> Self {
        let terms = self.terms.into_iter().zip(other.terms);
        let terms = terms.map(|((name, x), (_, y))| (name, x + y)).collect();
        let excused = self.excused.into_iter().chain(other.excused).reduce(Tensor::max_pair);
        Self { terms, counts: self.counts.plus(other.counts), excused }
    }

    /// What is summed over ranks.
    pub(super) fn sums(&mut self) -> Vec<&mut Tensor<1>> {
        let FalseNegativeCounts { rows, wrong, false_negative, shielded } = &mut self.counts;
        let terms = self.terms.iter_mut().map(|(_, term)| term);
        terms.chain([rows, wrong, false_negative, shielded]).collect()
    }
}
