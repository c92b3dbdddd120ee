//! Random numbers without a state: every one is a function of (seed, step, row, use).
//!
//! Resuming a run needs no generator to be saved, workers can make rows in any order, and two kinds of choice never share
//! numbers. The price is one keyed mixing per number, about a nanosecond.

/// What a stream of random numbers is for. The numbers are part of the run's identity: never renumber (8 was used once).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Use {
    /// Which positions are corrupted.
    Positions = 1,
    /// What happens at a corrupted position: mask, random word, unchanged.
    Choice = 2,
    /// Which random word replaces a token.
    Replacement = 3,
    /// Order of the samples of an epoch.
    Order = 4,
    /// Packing of documents into rows.
    Pack = 5,
    /// Dropout of a forward pass.
    Dropout = 6,
    /// Gumbel noise of sampled predictions.
    Gumbel = 7,
    /// Initial weights.
    Init = 9,
    /// The generated language.
    Language = 10,
    /// Members of a placebo lexicon.
    Placebo = 11,
    /// Tests.
    Test = 12,
    /// Resamples of a bootstrap.
    Bootstrap = 13,
    /// Signs of a permutation test.
    Permutation = 14,
    /// Perturbed copies of labelled text.
    Perturb = 15,
    /// Random pairs of a probe.
    Probe = 16,
    /// Artificial sequences.
    Synthetic = 17,
    /// Sources of a mixture of data sets.
    Mixture = 18,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Finaliser with full avalanche (Stafford's mix 13, as in splitmix64).
fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Mixes words into one: every bit of every word, its place and the number of words reach every bit of the result.
///
/// ```
/// use fn_core::noise::mix;
/// assert_eq!(mix(&[1, 2]), mix(&[1, 2]));
/// assert_ne!(mix(&[1, 2]), mix(&[2, 1]));
/// assert_ne!(mix(&[0]), mix(&[0, 0]));
/// ```
pub fn mix(words: &[u64]) -> u64 {
    let start = scramble((words.len() as u64).wrapping_add(GOLDEN));
    words.iter().fold(start, |state, &word| {
        scramble(state.wrapping_mul(GOLDEN) ^ scramble(word.wrapping_add(GOLDEN)).rotate_left(17))
    })
}

/// A stream of random numbers with its own key: the n-th number depends on the key and n alone.
///
/// ```
/// use fn_core::noise::{Stream, Use};
/// let mut a = Stream::new(7, 0, 3, Use::Positions);
/// let mut b = Stream::new(7, 0, 3, Use::Positions);
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert!(a.unit() < 1.0 && b.below(10) < 10);
/// ```
#[derive(Debug, Clone)]
pub struct Stream {
    inner: u64,
    outer: u64,
    counter: u64,
}

impl Stream {
    /// The stream of this seed, step, row and use.
    pub fn new(seed: u64, step: u64, row: u64, use_: Use) -> Self {
        let inner = mix(&[seed, step, row, use_ as u64]);
        Self { inner, outer: scramble(inner ^ GOLDEN), counter: 0 }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        // Keyed before and after the first finaliser: two streams are not windows of one sequence.
        scramble(scramble(self.counter.wrapping_mul(GOLDEN) ^ self.inner).wrapping_add(self.outer))
    }

    /// The next number in `[0, 1)`, a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// The next number in `0..n`, every one equally likely. 0 for `n = 0`.
    pub fn below(&mut self, n: u64) -> u64 {
        // Lemire's method: the high half of x * n, rejecting the few x that would make some values likelier.
        let threshold = if n == 0 { return 0 } else { n.wrapping_neg() % n };
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Brings `items` into random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}
