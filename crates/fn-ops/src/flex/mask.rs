//! Counter-based dropout: whether an element is dropped is a function of (seed, row, column). The mask is not stored; the backward
//! pass computes it again, and the number of threads does not matter.

use crate::Noise;
use crate::noise::scramble;

/// One call of dropout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    seed: u64,
    /// An element is dropped if its 32 random bits are below this.
    threshold: u32,
    /// `1 / (1 - rate)`.
    scale: f32,
}

/// The seed of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    first: u32,
    second: u32,
    threshold: u32,
    scale: f32,
}

impl Dropout {
    /// With the next seed of `noise`; `None` in evaluation and for rate 0, which take no seed.
    pub fn new(rate: f64, noise: &Noise) -> Option<Self> {
        (noise.is_training() && rate > 0.0).then(|| Self::seeded(rate, noise.next_seed()))
    }

    /// With this seed.
    pub fn seeded(rate: f64, seed: u64) -> Self {
        let scale = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
        let threshold = (rate * 4_294_967_296.0).round().min(f64::from(u32::MAX)) as u32;
        Self { seed, threshold, scale: scale as f32 }
    }

    /// The seed of a row.
    #[inline]
    pub fn row(&self, row: usize) -> Key {
        let bits = scramble(self.seed.wrapping_add((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Key { first: bits as u32, second: (bits >> 32) as u32, threshold: self.threshold, scale: self.scale }
    }
}

impl Key {
    /// What the element of this column is multiplied by: 0 or the scale. The second half of the key enters between the
    /// multiplications; if it only offset the counter, the masks of some rows would be shifted copies of each other.
    #[inline(always)]
    pub fn factor(self, column: u32) -> f32 {
        let mut x = column.wrapping_add(self.first);
        x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b) ^ self.second;
        x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
        x ^= x >> 16;
        if x >= self.threshold { self.scale } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(rate: f64, seed: u64, rows: usize, width: u32) -> Vec<Vec<f32>> {
        let dropout = Dropout::seeded(rate, seed);
        (0..rows).map(|r| (0..width).map(|c| dropout.row(r).factor(c)).collect()).collect()
    }

    #[test]
    fn the_share_of_dropped_elements_is_the_rate_overall_and_per_row_and_column() {
        for (rate, seed) in [(0.1, 1), (0.5, 2), (0.01, 3), (0.9, u64::MAX)] {
            let (rows, width) = (1000, 1024);
            let f = factors(rate, seed, rows, width);
            let share = |n: usize, of: usize| {
                let spread = (rate * (1.0 - rate) / of as f64).sqrt();
                let off = (n as f64 / of as f64 - rate) / spread;
                assert!(off.abs() < 5.5, "rate {rate}: {n} of {of}, {off} standard deviations");
            };
            share(f.iter().flatten().filter(|&&x| x == 0.0).count(), rows * width as usize);
            for row in &f {
                share(row.iter().filter(|&&x| x == 0.0).count(), width as usize);
            }
            for column in 0..width as usize {
                share(f.iter().filter(|row| row[column] == 0.0).count(), rows);
            }
            let scale = (1.0 / (1.0 - rate)) as f32;
            assert!(f.iter().flatten().all(|&x| x == 0.0 || x == scale));
        }
    }

    #[test]
    fn neighbouring_elements_rows_and_seeds_are_independent() {
        let (a, b) = (factors(0.5, 7, 1000, 1001), factors(0.5, 8, 1000, 1001));
        let agree = |pairs: &mut dyn Iterator<Item = (f32, f32)>| {
            let (mut same, mut n) = (0usize, 0usize);
            for (x, y) in pairs {
                same += usize::from(x == y);
                n += 1;
            }
            let off = (same as f64 / n as f64 - 0.5) / (0.25 / n as f64).sqrt();
            assert!(off.abs() < 5.0, "{same} of {n}");
        };
        for lag in [1, 2, 3, 16, 64, 256] {
            agree(&mut a.iter().flat_map(|r| r.iter().zip(&r[lag..])).map(|(x, y)| (*x, *y)));
            agree(&mut a.iter().zip(&a[lag..]).flat_map(|(r, s)| r.iter().zip(s)).map(|(x, y)| (*x, *y)));
        }
        agree(&mut a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (*x, *y)));
    }

    #[test]
    fn a_rate_of_one_drops_everything_and_without_dropout_there_is_no_mask() {
        assert!(factors(1.0, 3, 4, 100).iter().flatten().all(|&x| x == 0.0));
        assert!(Dropout::new(0.0, &Noise::new(1)).is_none());
        assert!(Dropout::new(0.5, &Noise::none()).is_none());
    }
}
