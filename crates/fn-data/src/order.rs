//! The shuffled order of rows, computed without a list and without state.
//!
//! Epoch `e` is a keyed permutation of the rows: a Feistel network on the next power of four, applied repeatedly until the
//! result is the index of a row (cycle walking). So the k-th sample is computed in constant time for any k, a resumed run needs
//! no replay, and the processes of a distributed run take parts of the order that a single process would see.

use fn_core::noise::{Use, mix};

/// Rounds of the Feistel network; four already mix well, and two more cost little.
const ROUNDS: u64 = 6;

/// The endless shuffled order of `len` rows: epoch after epoch, each row once per epoch.
///
/// Invariant: `len > 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    seed: u64,
    len: u64,
    half_bits: u32,
}

impl Order {
    /// The order of `len` rows under `seed`. A `len` of 0 is treated as 1.
    pub fn new(seed: u64, len: usize) -> Self {
        let len = (len as u64).max(1);
        let bits = u64::BITS - (len - 1).leading_zeros();
        Self { seed, len, half_bits: bits.div_ceil(2).max(1) }
    }

    /// Number of rows of an epoch.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Always false; exists because of the convention for types with `len`.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The row of the `k`-th sample since the start of the run.
    pub fn index(&self, k: u64) -> usize {
        let (epoch, place) = (k / self.len, k % self.len);
        let mut x = self.permute(epoch, place);
        while x >= self.len {
            x = self.permute(epoch, x);
        }
        x as usize
    }

    /// One application of the Feistel network: a bijection of `0..4^half_bits`.
    fn permute(&self, epoch: u64, x: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (x >> self.half_bits, x & mask);
        for round in 0..ROUNDS {
            let key = mix(&[self.seed, Use::Order as u64, epoch, round, right]);
            (left, right) = (right, left ^ (key & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_row_comes_once_in_every_epoch(len in 1usize..3_000, seed: u64, epoch in 0u64..5) {
            let order = Order::new(seed, len);
            let mut seen = vec![false; len];
            for k in 0..len as u64 {
                let row = order.index(epoch * len as u64 + k);
                prop_assert!(!seen[row]);
                seen[row] = true;
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = Order::new(1, 1000);
        let epoch = |e: u64| (0..1000).map(|k| order.index(e * 1000 + k)).collect::<Vec<_>>();
        let other: Vec<usize> = (0..1000).map(|k| Order::new(2, 1000).index(k)).collect();
        assert_ne!(epoch(0), epoch(1));
        assert_ne!(epoch(0), other);
        assert_ne!(epoch(0), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn neighbours_are_spread_apart() {
        // A shuffled order has a mean distance of a third of its length between neighbours.
        let order = Order::new(9, 10_000);
        let rows: Vec<usize> = (0..10_000).map(|k| order.index(k)).collect();
        let mean = rows.windows(2).map(|w| w[0].abs_diff(w[1]) as f64).sum::<f64>() / 9_999.0;
        assert!((3_200.0..3_470.0).contains(&mean), "{mean}");
    }
}
