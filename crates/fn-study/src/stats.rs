//! Whether a difference between arms is more than noise: permutation test over seeds, Holm's correction for several
//! comparisons. Spread and bootstrap are those of [`fn_eval::stats`].

use fn_core::noise::{Stream, Use};

/// Up to this many pairs, all sign flips are enumerated.
const EXACT: usize = 16;

/// Two-sided p-value of a paired permutation test: the share of sign flips of the differences whose mean is at least as far from
/// 0. All sign flips are enumerated for up to 16 pairs; beyond that `resamples` are drawn, and 1 is added to both counts.
///
/// NaN without differences, or if one of them is NaN or infinite.
pub fn permutation_test(differences: &[f64], resamples: usize, seed: u64) -> f64 {
    let n = differences.len();
    if n == 0 || differences.iter().any(|d| !d.is_finite()) {
        return f64::NAN;
    }
    let observed = differences.iter().sum::<f64>().abs();
    // Tolerance: floating-point sums depend on their order.
    let limit = observed - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let signed = |sign: &mut dyn FnMut(usize) -> bool| -> bool {
        let sum: f64 = differences.iter().enumerate().map(|(i, d)| if sign(i) { -d } else { *d }).sum();
        sum.abs() >= limit
    };
    if n <= EXACT {
        let all = 1_u32 << n;
        let far = (0..all).filter(|signs| signed(&mut |i| signs >> i & 1 == 1)).count();
        return far as f64 / f64::from(all);
    }
    let far = (0..resamples).filter(|&resample| {
        let mut stream = Stream::new(seed, resample as u64, 0, Use::Permutation);
        signed(&mut |_| stream.below(2) == 1)
    });
    (far.count() + 1) as f64 / (resamples + 1) as f64
}

/// The smallest p-value that [`permutation_test`] can give for this many pairs: when all differences have the same sign.
pub fn least_p(pairs: usize, resamples: usize) -> f64 {
    if pairs <= EXACT { (2.0 / f64::from(1_u32 << pairs)).min(1.0) } else { 1.0 / (resamples + 1) as f64 }
}

/// Holm's correction for several tests: adjusted p-values in the order given, to be compared with the significance level.
///
/// (S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.) NaN stays NaN and is not counted as a test.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&i| !p_values[i].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut out = p_values.to_vec();
    let mut largest = 0.0_f64;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((order.len() - rank) as f64 * p_values[at]).min(1.0);
        out[at] = largest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_of_empty_constant_and_nan_differences() {
        assert!(permutation_test(&[], 10, 1).is_nan());
        assert!(permutation_test(&[1.0, f64::NAN], 10, 1).is_nan());
        assert!(permutation_test(&[1.0, f64::INFINITY], 10, 1).is_nan());
        assert_eq!(permutation_test(&[0.0; 4], 0, 1), 1.0);
        for pairs in [1, 4, 16, 40] {
            let differences = vec![1.0; pairs];
            assert_eq!(least_p(pairs, 50), permutation_test(&differences, 50, 1), "{pairs}");
        }
    }

    #[test]
    fn holm_keeps_the_order_of_its_input() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        let found = holm(&[0.04, f64::NAN, 0.01]);
        assert_eq!((found[0], found[2]), (0.04, 0.02));
        assert!(found[1].is_nan());
    }

    #[test]
    fn sampled_sign_flips_agree_with_the_exact_test() {
        let differences: Vec<f64> = (0..16).map(|i| f64::from(i) / 10.0 - 0.45).collect();
        let exact = permutation_test(&differences, 0, 1);
        // A difference of 0 has no sign: one more pair only switches from the exact to the sampled test.
        let mut longer = differences.clone();
        longer.push(0.0);
        let sampled = permutation_test(&longer, 20_000, 1);
        assert!((exact - sampled).abs() < 0.02, "{exact} {sampled}");
    }
}
