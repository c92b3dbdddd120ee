//! Random seeds of one forward pass.

use std::cell::Cell;

/// Seeds for the dropout layers of one forward pass: the n-th call of [`next_seed`](Self::next_seed) returns a function of (seed, n).
/// There is no state beyond the pass.
#[derive(Debug)]
pub struct Noise {
    seed: Option<u64>,
    site: Cell<u64>,
}

impl Noise {
    /// Evaluation: dropout is off.
    pub fn none() -> Self {
        Self { seed: None, site: Cell::new(0) }
    }

    /// Training, with dropout masks that depend on `seed` only.
    pub fn new(seed: u64) -> Self {
        Self { seed: Some(seed), site: Cell::new(0) }
    }

    /// Whether dropout is on.
    pub fn is_training(&self) -> bool {
        self.seed.is_some()
    }

    /// The seed of the next dropout layer. Two passes of the same model make the same calls, hence get the same seeds.
    pub fn next_seed(&self) -> u64 {
        let site = self.site.get();
        self.site.set(site + 1);
        scramble(self.seed.unwrap_or(0) ^ scramble(site.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }
}

/// Finaliser of splitmix64: every input bit reaches every output bit.
pub(crate) fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
