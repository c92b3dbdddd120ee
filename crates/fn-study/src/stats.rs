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

/// The smallest true difference that a two-sided test over `pairs` pairs shows with a probability of 80 % at the level 0.05, if it is one
/// of `tests` tests (Bonferroni): `(t_{1 - 0.05 / (2 tests)} + t_{0.8}) sd / sqrt(pairs)`, quantiles of Student's t with `pairs - 1` degrees
/// of freedom. An approximation: it takes the differences for normal and their measured standard deviation for the true one. NaN for fewer
/// than two pairs.
pub fn visible_effect(deviation: f64, pairs: usize, tests: usize) -> f64 {
    if pairs < 2 || tests == 0 {
        return f64::NAN;
    }
    let freedom = (pairs - 1) as f64;
    let level = 0.05 / (2.0 * tests as f64);
    (student_quantile(1.0 - level, freedom) + student_quantile(0.8, freedom)) * deviation
        / (pairs as f64).sqrt()
}

/// Quantile of Student's t with `freedom` degrees of freedom at a probability between 0.5 and 1, by bisection.
pub fn student_quantile(probability: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_cdf(high, freedom) < probability && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if student_cdf(middle, freedom) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// `P(T <= t)` for `t >= 0`: 1 - I_x(freedom / 2, 1 / 2) / 2 with x = freedom / (freedom + t^2).
fn student_cdf(t: f64, freedom: f64) -> f64 {
    1.0 - 0.5 * incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8) with Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side only: I_x(a, b) = 1 - I_{1-x}(b, a).
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() + log_gamma(a + b) - log_gamma(a) - log_gamma(b)).exp() / a;
    let bounded = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / bounded(1.0 - (a + b) * x / (a + 1.0)));
    let mut sum = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = sum;
        for factor in [even, odd] {
            d = 1.0 / bounded(1.0 + factor * d);
            c = bounded(1.0 + factor / c);
            sum *= c * d;
        }
        if (sum - before).abs() < 1e-15 * sum.abs() {
            break;
        }
    }
    front * sum
}

/// ln Gamma(x) for x > 0: Stirling's series, after the recurrence has brought x above 12.
fn log_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y * (1.0 / 1680.0 - y / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
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
