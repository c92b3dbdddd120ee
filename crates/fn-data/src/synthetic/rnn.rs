//! Sequences that are sampled from a random linear recurrent network.
//!
//! `h' = A h + sqrt(1 - R^2) e`, `e` standard normal, `A = R Q` with a random rotation `Q` not far from the identity: every
//! eigenvalue of `A` has the modulus `R`, below 1, and `h` has mean 0 and variance 1 at every position. The symbol
//! is the arg max over `SHARPNESS (w . h) + Gumbel noise`, one random unit vector `w` per symbol.

use fn_core::noise::{Stream, Use};

/// Spectral radius: the contribution of a symbol to the state is halved after 13 symbols.
const RADIUS: f64 = 0.95;
/// Deviation of the rotation from the identity: neighbouring states are similar, distant ones are not.
const TURN: f64 = 0.5;
/// Standard deviation of a symbol's score; that of Gumbel noise is 1.28.
const SHARPNESS: f64 = 4.0;
/// Vectors shorter than this have no well-defined direction.
const TINY: f64 = 1e-9;

/// Weights of the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    dim: usize,
    /// `A`, row by row, `[dim * dim]`.
    step: Vec<f64>,
    /// Read-out vectors, `[symbols * dim]`.
    read: Vec<f64>,
}

impl Network {
    /// Random weights from a seed.
    pub(super) fn new(seed: u64, dim: usize, symbols: usize) -> Self {
        let mut stream = Stream::new(seed, 0, 1, Use::Synthetic);
        let mut step = rotation(dim, &mut stream);
        step.iter_mut().for_each(|a| *a *= RADIUS);
        let mut stream = Stream::new(seed, 0, 2, Use::Synthetic);
        let mut read = Vec::with_capacity(symbols * dim);
        for _ in 0..symbols {
            read.extend(unit_vector(dim, &mut stream));
        }
        Self { dim, step, read }
    }

    /// Samples `length` symbols.
    pub(super) fn symbols(&self, length: usize, stream: &mut Stream) -> Vec<usize> {
        let noise = (1.0 - RADIUS * RADIUS).sqrt();
        let mut state: Vec<f64> = (0..self.dim).map(|_| normal(stream)).collect();
        let mut out = Vec::with_capacity(length);
        for _ in 0..length {
            let (mut best, mut score) = (0, f64::NEG_INFINITY);
            for (symbol, read) in self.read.chunks_exact(self.dim).enumerate() {
                let value = SHARPNESS * dot(read, &state) + gumbel(stream);
                if value > score {
                    (best, score) = (symbol, value);
                }
            }
            out.push(best);
            state = self
                .step
                .chunks_exact(self.dim)
                .map(|row| dot(row, &state) + noise * normal(stream))
                .collect();
        }
        out
    }
}

/// A random orthogonal matrix not far from the identity: Gram-Schmidt on `I + TURN G / sqrt(dim)`.
fn rotation(dim: usize, stream: &mut Stream) -> Vec<f64> {
    let scale = TURN / (dim as f64).sqrt();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(dim);
    for n in 0..dim {
        loop {
            let mut row: Vec<f64> =
                (0..dim).map(|m| f64::from(u8::from(m == n)) + scale * normal(stream)).collect();
            // Orthogonalise twice, to remove the rounding error of the first pass.
            for _ in 0..2 {
                for done in &rows {
                    let share = dot(done, &row);
                    row.iter_mut().zip(done).for_each(|(r, d)| *r -= share * d);
                }
            }
            if normalise(&mut row) {
                rows.push(row);
                break;
            }
        }
    }
    rows.concat()
}

/// A uniformly distributed direction.
fn unit_vector(dim: usize, stream: &mut Stream) -> Vec<f64> {
    loop {
        let mut vector: Vec<f64> = (0..dim).map(|_| normal(stream)).collect();
        if normalise(&mut vector) {
            return vector;
        }
    }
}

/// Scales a vector to length 1; false if its length is too small.
fn normalise(vector: &mut [f64]) -> bool {
    let length = dot(vector, vector).sqrt();
    vector.iter_mut().for_each(|v| *v /= length);
    length > TINY
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A standard normal number (Box-Muller).
fn normal(stream: &mut Stream) -> f64 {
    let radius = (-2.0 * (1.0 - stream.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * stream.unit()).cos()
}

/// A standard Gumbel number. The uniform numbers of the stream are shifted by half their spacing to avoid 0.
fn gumbel(stream: &mut Stream) -> f64 {
    -(-(stream.unit() + f64::EPSILON / 4.0).ln()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(network: &Network, number: u64) -> Vec<usize> {
        network.symbols(126, &mut Stream::new(1, 1, number, Use::Test))
    }

    #[test]
    fn every_eigenvalue_has_the_radius() {
        // Equivalent to A A^T = R^2 I.
        for dim in [1, 2, 16, 40] {
            let network = Network::new(3, dim, 4);
            for (i, a) in network.step.chunks_exact(dim).enumerate() {
                for (j, b) in network.step.chunks_exact(dim).enumerate() {
                    let expected = if i == j { RADIUS * RADIUS } else { 0.0 };
                    assert!((dot(a, b) - expected).abs() < 1e-12, "{dim}: {i}, {j}");
                }
            }
        }
    }

    #[test]
    fn normal_and_gumbel_noise_have_their_mean_and_variance() {
        let mut stream = Stream::new(5, 0, 0, Use::Test);
        let n = 100_000;
        let mut moments = |draw: fn(&mut Stream) -> f64| {
            let all: Vec<f64> = (0..n).map(|_| draw(&mut stream)).collect();
            let mean = all.iter().sum::<f64>() / f64::from(n);
            (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n))
        };
        let (mean, variance) = moments(normal);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean}, {variance}");
        let (mean, variance) = moments(gumbel);
        // Mean: Euler's constant; variance: pi^2 / 6.
        assert!((mean - 0.577).abs() < 0.02 && (variance - 1.645).abs() < 0.06, "{mean}, {variance}");
    }

    #[test]
    fn rows_are_not_constant_and_neighbouring_symbols_are_correlated() {
        let network = Network::new(7, 16, 128);
        let (mut near, mut far, mut seen) = (0u32, 0u32, vec![false; 128]);
        for number in 0..200 {
            let row = row(&network, number);
            let kinds: std::collections::BTreeSet<_> = row.iter().collect();
            assert!(kinds.len() > 5, "row {number} has {} symbols", kinds.len());
            row.iter().for_each(|s| seen[*s] = true);
            near += row.windows(2).map(|w| u32::from(w[0] == w[1])).sum::<u32>();
            far += (0..63).map(|i| u32::from(row[i] == row[i + 63])).sum::<u32>();
        }
        // 25,000 pairs of neighbours, 12,600 pairs far apart.
        let (near, far) = (f64::from(near) / 25_000.0, f64::from(far) / 12_600.0);
        assert!(near > 3.0 * far, "the same symbol again: {near} of neighbours, {far} of distant pairs");
        assert!(seen.iter().filter(|s| **s).count() > 100, "most symbols never occur");
    }

    #[test]
    fn another_seed_is_another_network() {
        assert_eq!(Network::new(1, 8, 6), Network::new(1, 8, 6));
        assert_ne!(Network::new(1, 8, 6), Network::new(2, 8, 6));
    }
}
