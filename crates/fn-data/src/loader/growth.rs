//! How many micro-batches a step has: always the same number, or one that grows (batch warm-up).

/// The number of micro-batches of each optimiser step.
///
/// With a warm-up it grows in multiples of the first number, so that every number of ranks that divides the first divides all of them:
///
/// ```text
/// level j = 0, 1, ..., L - 1 has  first (j + 1)  micro-batches a step and lasts  ceil(span / (first (j + 1)))  steps,
/// the last one for ever
/// ```
/// where L = `last / first`. Each level takes about the same number of micro-batches, hence of tokens: the size of a step grows linearly
/// in the tokens that were trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    first: u64,
    levels: u64,
    span: u64,
}

impl Growth {
    /// The same number of micro-batches in every step, at least 1.
    pub fn constant(micro_batches: u64) -> Self {
        Self { first: micro_batches.max(1), levels: 1, span: 0 }
    }

    /// From `first` micro-batches a step to `last`, a multiple of it, within about `span` micro-batches.
    pub fn new(first: u64, last: u64, span: u64) -> Self {
        let first = first.max(1);
        let levels = (last / first).max(1);
        Self { first, levels, span: span / (levels - 1).max(1) }
    }

    /// Levels as (first step, first micro-batch, micro-batches of a step).
    fn levels(self) -> impl Iterator<Item = (u64, u64, u64)> {
        let start = (0u64, 0u64, self.first);
        (1..self.levels).scan(start, move |(step, micro, size), level| {
            let lasts = self.span.div_ceil(*size);
            *step = step.saturating_add(lasts);
            *micro = micro.saturating_add(lasts.saturating_mul(*size));
            *size = self.first * (level + 1);
            Some((*step, *micro, *size))
        })
    }

    /// The level whose steps, or whose micro-batches, include the one that `is_reached` tests.
    fn level(self, is_reached: impl Fn(&(u64, u64, u64)) -> bool) -> (u64, u64, u64) {
        self.levels().take_while(is_reached).last().unwrap_or((0, 0, self.first))
    }

    /// Micro-batches of the step after `step` steps.
    pub fn size(self, step: u64) -> u64 {
        self.level(|(first, ..)| *first <= step).2
    }

    /// Micro-batches of the first `steps` steps together: the number of the first micro-batch of the step after them.
    pub fn before(self, steps: u64) -> u64 {
        let (first, micro, size) = self.level(|(first, ..)| *first <= steps);
        micro.saturating_add((steps - first).saturating_mul(size))
    }

    /// The step to which this micro-batch belongs, counted from 0.
    pub fn step_of(self, micro_batch: u64) -> u64 {
        let (step, first, size) = self.level(|(_, first, _)| *first <= micro_batch);
        step + (micro_batch - first) / size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_constant_number_is_a_product_and_a_quotient() {
        let six = Growth::constant(6);
        assert_eq!((six.size(0), six.before(7), six.step_of(41), six.step_of(42)), (6, 42, 6, 7));
        assert_eq!(six.before(u64::MAX), u64::MAX);
    }

    #[test]
    fn each_level_takes_about_the_same_number_of_micro_batches() {
        let growth = Growth::new(2, 8, 36); // levels of 12: 6 steps of 2, 3 of 4, 2 of 6, then 8
        let sizes: Vec<u64> = (0..13).map(|step| growth.size(step)).collect();
        assert_eq!(sizes, [2, 2, 2, 2, 2, 2, 4, 4, 4, 6, 6, 8, 8]);
        assert_eq!(growth.before(11), 36);
    }

    proptest! {
        #[test]
        fn sums_and_steps_are_those_of_a_loop(first in 1u64..5, levels in 1u64..7, span in 0u64..200) {
            let growth = Growth::new(first, first * levels, span);
            let mut micro = 0;
            for step in 0..150 {
                prop_assert_eq!(growth.before(step), micro);
                let size = growth.size(step);
                prop_assert!(size.is_multiple_of(first) && size <= first * levels);
                for k in micro..micro + size {
                    prop_assert_eq!(growth.step_of(k), step);
                }
                micro += size;
            }
            let reached = growth.size(span + levels);
            prop_assert_eq!(reached, first * levels);
        }
    }
}
