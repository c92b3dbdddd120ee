//! Initial weights: a function of (seed, parameter path, index).
//!
//! Matrices are normal(0, std), everything else keeps what it was built with (biases 0, norms 1 and 0). Box-Muller in f64
//! over a counter stream: no device generator, no dependence on the order in which parameters are built or first used.

use std::convert::Infallible;

use burn::module::Module;
use fn_core::noise::{Stream, Use, mix};

use crate::config::EncoderConfig;
use crate::params;

/// Standard deviation of the initial values of the matrix at `path`. As in ModernBERT, matrices whose product is added to the stream of
/// its layers (and the one of its head) start smaller, by `1 / sqrt(2 layers)`; unlike there, no value is cut off at two deviations.
pub(crate) fn std(config: &EncoderConfig, path: &str) -> f64 {
    let last = ["attention.output.weight", "feed_forward.outer.weight", "head.dense.weight"];
    match config.modern.is_some() && last.iter().any(|end| path.ends_with(end)) {
        true => config.init_std / (2.0 * config.num_layers as f64).sqrt(),
        false => config.init_std,
    }
}

/// Draws the values of every matrix of `model` from a normal distribution; `std` gives its standard deviation, by path. 0: the matrix stays
/// as it is.
pub(crate) fn normal<M: Module>(model: M, seed: u64, std: impl Fn(&str) -> f64) -> M {
    let filled = params::load(model, &mut |path: &str, shape: &[usize]| {
        let (std, count) = (std(path), shape.iter().product());
        Ok::<_, Infallible>((shape.len() == 2 && std > 0.0).then(|| values(seed, path, count, std)))
    });
    match filled {
        Ok(model) => model,
        Err(never) => match never {},
    }
}

/// The initial values of the parameter at `path`.
pub(crate) fn values(seed: u64, path: &str, count: usize, std: f64) -> Vec<f32> {
    let words: Vec<u64> = path.bytes().map(u64::from).collect();
    let mut stream = Stream::new(seed, 0, mix(&words), Use::Init);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // (0, 1]: the logarithm is finite.
        let radius = (-2.0 * (1.0 - stream.unit()).ln()).sqrt() * std;
        let (sine, cosine) = (std::f64::consts::TAU * stream.unit()).sin_cos();
        values.push((radius * cosine) as f32);
        values.push((radius * sine) as f32);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn initial_values_have_the_spread_asked_for_and_depend_on_seed_and_path() {
        let a = values(7, "encoder.layers.0.weight", 40_001, 0.02);
        assert_eq!(a.len(), 40_001);
        let mean = a.iter().map(|&x| f64::from(x)).sum::<f64>() / a.len() as f64;
        let variance = a.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / a.len() as f64 - mean * mean;
        assert!(mean.abs() < 4e-4, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 3e-4, "{}", variance.sqrt());
        assert_eq!(a, values(7, "encoder.layers.0.weight", 40_001, 0.02));
        assert_ne!(a, values(8, "encoder.layers.0.weight", 40_001, 0.02));
        assert_ne!(a, values(7, "encoder.layers.1.weight", 40_001, 0.02));
    }
}
