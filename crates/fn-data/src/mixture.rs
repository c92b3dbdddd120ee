//! Training rows of several data sets, drawn in the proportions of their weights.
//!
//! Which data set the k-th row of a run comes from, and which row of it, are functions of (seed, k): nothing is counted, so a run
//! resumes at any row, and the processes of a distributed run take their parts of the rows that one process would draw.
//!
//! ```text
//! share of source i    p_i = w_i / sum of w,  as n_i of N = 2^20 places (largest remainders): n_i / N = p_i within 1e-6
//! row k                block b = floor(k / N), place x = keyed permutation of the block at k mod N
//! its source           the i with  n_1 + ... + n_(i-1) <= x < n_1 + ... + n_i
//! its row of source i  number  b n_i + (x - n_1 - ... - n_(i-1))  in the shuffled, endless order of the source
//! ```
//! In each block every place comes once. So each source gives exactly its share of every N rows, and each of its rows once per pass; a
//! stretch of a block is like a draw without replacement. With one source, row k is the k-th of its order.

use std::sync::Arc;

use fn_core::noise::{Use, mix};

use crate::error::DataError;
use crate::order::Order;
use crate::pack::PackedRow;
use crate::shard::Dataset;

/// Places of a block that are divided among the sources.
const PLACES: u64 = 1 << 20;
/// Smallest share of a source: about one place.
const SMALLEST: f64 = 1e-6;

/// A weight that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("source {} has the weight {found}, expected {expected}", .at + 1)]
pub struct WeightError {
    /// Number of the source, from 0.
    pub at: usize,
    /// Its weight.
    pub found: f64,
    /// What is allowed.
    pub expected: &'static str,
}

/// The places of a block that each source gets, for weights of any sum: at least 1 each, 2^20 together.
///
/// # Errors
/// A weight that is not a finite number above 0, or less than a millionth of their sum.
pub fn places(weights: &[f64]) -> Result<Vec<u64>, WeightError> {
    let refused = |at: usize, expected| Err(WeightError { at, found: weights[at], expected });
    if let Some(source) = weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
        return refused(source, "a finite number above 0");
    }
    // Scaled first, so that the sum is finite.
    let most = weights.iter().copied().fold(0.0, f64::max);
    let sum: f64 = weights.iter().map(|w| w / most).sum();
    let shares: Vec<f64> = weights.iter().map(|w| w / most / sum).collect();
    if let Some(source) = shares.iter().position(|share| *share < SMALLEST) {
        return refused(source, "at least a millionth of the sum of all weights");
    }
    let exact: Vec<f64> = shares.iter().map(|share| share * PLACES as f64).collect();
    let mut places: Vec<u64> = exact.iter().map(|places| places.floor() as u64).collect();
    let mut by_remainder: Vec<usize> = (0..exact.len()).collect();
    by_remainder.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())));
    let left = PLACES.saturating_sub(places.iter().sum()) as usize;
    for &source in by_remainder.iter().take(left) {
        places[source] += 1;
    }
    Ok(places)
}

/// Training rows of one or several data sets of the same length.
///
/// Invariants: at least one source, none of them without rows.
#[derive(Debug, Clone)]
pub struct Mixture {
    sources: Vec<Arc<Dataset>>,
    places: Vec<u64>,
}

impl Mixture {
    /// The rows of `sources`, each with its weight.
    ///
    /// # Errors
    /// No source, a source without rows, lengths that differ, a weight that cannot be used.
    pub fn new(sources: Vec<(Arc<Dataset>, f64)>) -> Result<Self, DataError> {
        let (sources, weights): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        if sources.is_empty() || sources.iter().any(|source| source.is_empty()) {
            return Err(DataError::NoRows);
        }
        let expected = sources[0].length();
        if let Some(at) = sources.iter().position(|source| source.length() != expected) {
            return Err(DataError::Lengths { source_number: at + 1, found: sources[at].length(), expected });
        }
        Ok(Self { places: places(&weights)?, sources })
    }

    /// The data sets.
    pub fn sources(&self) -> &[Arc<Dataset>] {
        &self.sources
    }

    /// Share of each source in the rows that are drawn; they add up to 1.
    pub fn shares(&self) -> Vec<f64> {
        let all: u64 = self.places.iter().sum();
        self.places.iter().map(|places| *places as f64 / all as f64).collect()
    }

    /// Number of rows of all sources.
    pub fn len(&self) -> usize {
        self.sources.iter().map(|source| source.len()).sum()
    }

    /// Whether there are no rows, which only a mixture of one source allows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maximum length of a row, in ids.
    pub fn length(&self) -> usize {
        self.sources.first().map_or(0, |source| source.length())
    }

    /// Whether rows of any source hold several documents that do not attend to each other; each begins with `[CLS]`. (Rows of other
    /// sources have no other `[CLS]` than their first.)
    pub fn separates_documents(&self) -> bool {
        self.sources.iter().any(|source| source.separates_documents())
    }

    /// The order in which rows are drawn under `seed`.
    pub fn order(&self, seed: u64) -> MixtureOrder {
        // The first source has the order that it has alone.
        let of = |source: usize| match source {
            0 => seed,
            n => mix(&[seed, Use::Mixture as u64, n as u64]),
        };
        let orders = self.sources.iter().enumerate().map(|(n, source)| Order::new(of(n), source.len()));
        let ends = self.places.iter().scan(0, |end, places| {
            *end += places;
            Some(*end)
        });
        MixtureOrder {
            orders: orders.collect(),
            ends: ends.collect(),
            blocks: Order::new(mix(&[seed, Use::Mixture as u64]), PLACES as usize),
        }
    }

    /// The row that `order` draws as number `sample` of the run.
    pub fn row(&self, order: &MixtureOrder, sample: u64) -> PackedRow {
        let (source, row) = order.at(sample);
        self.sources[source].row(row)
    }
}

impl From<Arc<Dataset>> for Mixture {
    /// All rows from one data set.
    fn from(rows: Arc<Dataset>) -> Self {
        Self { sources: vec![rows], places: vec![PLACES] }
    }
}

/// Which source, and which row of it, comes when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixtureOrder {
    /// The shuffled order of each source.
    orders: Vec<Order>,
    /// The places of the sources up to each one.
    ends: Vec<u64>,
    /// The shuffled places of each block.
    blocks: Order,
}

impl MixtureOrder {
    /// The source of row `sample` of the run, and how many rows of this source come before it in the source's own order.
    fn drawn(&self, sample: u64) -> (usize, u64) {
        if self.orders.len() == 1 {
            return (0, sample);
        }
        let place = self.blocks.index(sample) as u64;
        let source = self.ends.partition_point(|end| *end <= place);
        let begin = if source == 0 { 0 } else { self.ends[source - 1] };
        (source, sample / PLACES * (self.ends[source] - begin) + (place - begin))
    }

    /// The source of row `sample` of the run, and the row's number in it.
    pub fn at(&self, sample: u64) -> (usize, usize) {
        let (source, number) = self.drawn(sample);
        (source, self.orders[source].index(number))
    }

    /// How many of the first `samples` rows of a run come from each source. Takes at most a million steps.
    pub fn counts(&self, samples: u64) -> Vec<u64> {
        if self.orders.len() == 1 {
            return vec![samples];
        }
        let blocks = samples / PLACES;
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let mut counts: Vec<u64> =
            self.ends.iter().zip(begins).map(|(end, begin)| blocks * (end - begin)).collect();
        for sample in blocks * PLACES..samples {
            counts[self.drawn(sample).0] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// `rows` rows that hold `source` and their number.
    fn source(number: u32, rows: u32) -> Arc<Dataset> {
        let row = |row| PackedRow { ids: vec![2, 5 + number, row, 3], second: 4 };
        Arc::new(Dataset::from_rows((0..rows).map(row).collect(), 8).unwrap())
    }

    fn mixture(sources: &[(u32, f64)]) -> Mixture {
        let sources = sources.iter().enumerate();
        Mixture::new(sources.map(|(n, (rows, weight))| (source(n as u32, *rows), *weight)).collect()).unwrap()
    }

    #[test]
    fn one_source_is_drawn_as_if_it_were_alone() {
        let (mixed, alone) = (mixture(&[(37, 0.3)]), Order::new(5, 37));
        let order = mixed.order(5);
        for sample in (0..500).chain(PLACES - 3..PLACES + 3) {
            assert_eq!(order.at(sample), (0, alone.index(sample)));
        }
        assert_eq!(order.counts(123), [123]);
    }

    #[test]
    fn shares_are_the_weights_exactly_over_a_block_and_nearly_over_a_part() {
        let order = mixture(&[(7, 3.0), (50, 1.0), (9, 0.001)]).order(1);
        let whole = order.counts(PLACES);
        let expected = [3.0, 1.0, 0.001].map(|w| w / 4.001 * PLACES as f64);
        assert!(whole.iter().zip(expected).all(|(found, expected)| (*found as f64 - expected).abs() <= 1.0));
        assert_eq!(order.counts(3 * PLACES), whole.iter().map(|n| 3 * n).collect::<Vec<_>>());
        // A draw without replacement varies less than independent draws: their standard deviation is 43 here.
        let part = order.counts(10_000);
        assert!((part[0] as f64 - 7_498.0).abs() < 200.0, "{part:?}");
        assert_eq!(part.iter().sum::<u64>(), 10_000);
        let seen = (0..10_000).map(|k| order.at(k).0);
        assert_eq!(
            (0..3).map(|s| seen.clone().filter(|&of| of == s).count() as u64).collect::<Vec<_>>(),
            part
        );
    }

    #[test]
    fn each_row_of_a_source_comes_equally_often_in_a_block() {
        let mixed = mixture(&[(16, 1.0), (1 << 10, 1.0), (64, 2.0)]);
        let order = mixed.order(3);
        let mut seen: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for sample in PLACES..2 * PLACES {
            *seen.entry(order.at(sample)).or_default() += 1;
        }
        assert_eq!(seen.len(), mixed.len());
        // 2^18 places for 16 and 1,024 rows, 2^19 for 64.
        let expected = |source| [1 << 14, 1 << 8, 1 << 13][source];
        assert!(seen.iter().all(|((source, _), times)| *times == expected(*source)));
    }

    #[test]
    fn neighbours_come_from_sources_independently() {
        // Of two sources with the same weight, a row's source should not tell that of the next one.
        let order = mixture(&[(10, 1.0), (10, 1.0)]).order(11);
        let sources: Vec<usize> = (0..100_000).map(|k| order.at(k).0).collect();
        let same = sources.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((49_000..51_000).contains(&same), "{same}");
    }

    #[test]
    fn seeds_differ_and_the_same_seed_repeats() {
        let mixed = mixture(&[(100, 1.0), (100, 2.0)]);
        let first = |seed| (0..200).map(|k| mixed.order(seed).at(k)).collect::<Vec<_>>();
        assert_eq!(first(4), first(4));
        assert_ne!(first(4), first(5));
        // Sources of the same size are not read in the same order.
        let order = mixed.order(4);
        assert_ne!(order.orders[0], order.orders[1]);
        let (source, row) = order.at(17);
        assert_eq!(mixed.row(&order, 17).ids, [2, 5 + source as u32, row as u32, 3]);
    }

    #[test]
    fn weights_and_sources_that_cannot_be_used_are_refused() {
        for (weights, at) in [
            ([1.0, 0.0], 1),
            ([-1.0, 2.0], 0),
            ([1.0, f64::NAN], 1),
            ([f64::INFINITY, 1.0], 0),
            ([1.0, 1e-7], 1),
        ] {
            let error = places(&weights).unwrap_err();
            assert_eq!(error.at, at, "{error}");
        }
        assert_eq!(places(&[f64::MAX, f64::MAX]).unwrap(), [PLACES / 2; 2]);
        assert!(matches!(Mixture::new(Vec::new()), Err(DataError::NoRows)));
        assert!(matches!(Mixture::new(vec![(source(0, 0), 1.0)]), Err(DataError::NoRows)));
        let longer =
            Arc::new(Dataset::from_rows(vec![PackedRow { ids: vec![2, 3], second: 2 }], 16).unwrap());
        let error = Mixture::new(vec![(source(0, 1), 1.0), (longer, 1.0)]).unwrap_err();
        assert!(matches!(error, DataError::Lengths { source_number: 2, found: 16, expected: 8 }), "{error}");
    }

    proptest! {
        #[test]
        fn places_add_up_and_follow_the_weights(weights in prop::collection::vec(0.01f64..100.0, 1..20)) {
            let places = places(&weights).unwrap();
            prop_assert_eq!(places.iter().sum::<u64>(), PLACES);
            let sum: f64 = weights.iter().sum();
            for (places, weight) in places.iter().zip(&weights) {
                prop_assert!((*places as f64 - weight / sum * PLACES as f64).abs() <= 1.0);
            }
        }
    }
}
