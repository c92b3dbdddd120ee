//! Statistics of one comparison: mean and standard deviation over seeds, paired bootstrap over examples.

use fn_core::noise::{Stream, Use};

/// Summary statistics of a metric over several seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation with the divisor n - 1; NaN for one value.
    pub standard_deviation: f64,
    /// Median.
    pub median: f64,
    /// The largest.
    pub best: f64,
    /// The smallest.
    pub worst: f64,
}

impl Summary {
    /// Summary of `values`; None if there are none. If one value is NaN, so are all statistics: a seed whose metric is
    /// undefined must not be ignored in the mean.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        if values.iter().any(|v| v.is_nan()) {
            let nan = f64::NAN;
            return Some(Self {
                count,
                mean: nan,
                standard_deviation: nan,
                median: nan,
                best: nan,
                worst: nan,
            });
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mean = sorted.iter().sum::<f64>() / count as f64;
        let squares: f64 = sorted.iter().map(|v| (v - mean).powi(2)).sum();
        Some(Self {
            count,
            mean,
            standard_deviation: if count > 1 { (squares / (count - 1) as f64).sqrt() } else { f64::NAN },
            median: f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]),
            best: sorted[count - 1],
            worst: sorted[0],
        })
    }
}

/// Comparison of two systems on the same examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Score of the first system on all examples.
    pub a: f64,
    /// Score of the second system.
    pub b: f64,
    /// `b - a`.
    pub difference: f64,
    /// Lower end of the 95 % percentile interval of the difference.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided p-value: twice the smaller of the shares of resamples whose difference is at most 0 and at least 0. It is the
    /// level at which the percentile interval begins to contain 0 (Efron and Tibshirani, An Introduction to the Bootstrap,
    /// 1993, chapter 15). 1 is added to both counts, so it is never 0 (Davison and Hinkley, Bootstrap Methods and their
    /// Application, 1997, chapter 4).
    pub p_value: f64,
    /// Number of resamples in which a score is undefined (NaN or infinite); they are left out of interval and p-value.
    pub undefined: usize,
}

/// No examples, or a score that is undefined on every resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("found {examples} examples and {defined} resamples with a score, expected at least 1 of each")]
pub struct StatsError {
    /// Number of examples.
    pub examples: usize,
    /// Number of resamples in which both scores are defined.
    pub defined: usize,
}

/// Draws examples with replacement and scores both systems on them, `resamples` times. `score` gets the indices of the drawn
/// examples, so the metric may be any: accuracy, F1, a correlation.
///
/// The same seed draws the same examples on every machine. A score that is undefined on the whole set is NaN in the result.
///
/// # Errors
/// No examples; no resample in which both scores are defined.
pub fn paired_bootstrap(
    examples: usize,
    resamples: usize,
    seed: u64,
    score: &dyn Fn(&[usize]) -> (f64, f64),
) -> Result<Comparison, StatsError> {
    if examples == 0 {
        return Err(StatsError { examples, defined: 0 });
    }
    let all: Vec<usize> = (0..examples).collect();
    let mut differences = Vec::with_capacity(resamples);
    let mut drawn = vec![0; examples];
    for resample in 0..resamples {
        let mut stream = Stream::new(seed, resample as u64, 0, Use::Bootstrap);
        drawn.iter_mut().for_each(|place| *place = stream.below(examples as u64) as usize);
        let (a, b) = score(&drawn);
        differences.push(b - a);
    }
    differences.retain(|d| d.is_finite());
    if differences.is_empty() {
        return Err(StatsError { examples, defined: differences.len() });
    }
    differences.sort_by(f64::total_cmp);
    let defined = differences.len();
    let count = |test: fn(f64) -> bool| differences.iter().filter(|&&d| test(d)).count();
    let tail = count(|d| d <= 0.0).min(count(|d| d >= 0.0));
    let (a, b) = score(&all);
    Ok(Comparison {
        a,
        b,
        difference: b - a,
        low: percentile(&differences, 0.025),
        high: percentile(&differences, 0.975),
        p_value: (2.0 * (tail + 1) as f64 / (defined + 1) as f64).min(1.0),
        undefined: resamples - defined,
    })
}

/// Percentile with linear interpolation, as numpy's default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_no_spread_and_none_no_summary() {
        let one = Summary::of(&[0.5]).unwrap();
        assert_eq!((one.mean, one.median, one.best, one.worst), (0.5, 0.5, 0.5, 0.5));
        assert!(one.standard_deviation.is_nan());
        assert_eq!(Summary::of(&[]), None);
        assert!(Summary::of(&[1.0, f64::NAN]).unwrap().median.is_nan());
    }

    #[test]
    fn equal_systems_do_not_differ_and_a_better_one_does() {
        let right = |of: &[bool], chosen: &[usize]| {
            chosen.iter().filter(|&&i| of[i]).count() as f64 / chosen.len() as f64
        };
        let a: Vec<bool> = (0..200).map(|i| i % 2 == 0).collect();
        let b: Vec<bool> = (0..200).map(|i| i % 2 == 0 || i % 10 == 1).collect();
        let compare = |x: &[bool], y: &[bool]| {
            paired_bootstrap(200, 1_000, 1, &|chosen| (right(x, chosen), right(y, chosen))).unwrap()
        };
        let same = compare(&a, &a);
        assert_eq!((same.difference, same.low, same.high, same.p_value), (0.0, 0.0, 0.0, 1.0));
        let better = compare(&a, &b);
        assert!((better.difference - 0.1).abs() < 1e-12);
        assert!(better.low > 0.05 && better.high < 0.15 && better.p_value < 0.01, "{better:?}");
        let worse = compare(&b, &a);
        assert_eq!((worse.low, worse.high), (-better.high, -better.low));
        assert_eq!(compare(&a, &b), better);
    }

    #[test]
    fn resamples_with_an_undefined_score_are_counted_and_if_all_are_it_is_an_error() {
        let nan_without_the_first = |chosen: &[usize]| {
            if chosen.contains(&0) { (0.0, 1.0) } else { (f64::NAN, 1.0) }
        };
        let found = paired_bootstrap(3, 300, 1, &nan_without_the_first).unwrap();
        // (2/3)^3 of the resamples lack the first.
        assert!((60..120).contains(&found.undefined), "{}", found.undefined);
        assert!(paired_bootstrap(0, 10, 1, &|_| (0.0, 0.0)).is_err());
        assert!(paired_bootstrap(3, 10, 1, &|_| (f64::NAN, 0.0)).is_err());
    }
}
