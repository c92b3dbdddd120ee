//! Metrics of predicted numbers: correlations and the area under the ROC curve.

use std::cmp::Ordering;

use super::{MetricError, check, check_binary};

/// Pearson's correlation, within -1 and 1.
///
/// NaN if one side is constant (one example is constant, too) or a value is not finite.
///
/// # Errors
/// Different lengths, no examples.
pub fn pearson(predicted: &[f64], expected: &[f64]) -> Result<f64, MetricError> {
    check("Pearson's correlation", predicted.len(), expected.len())?;
    Ok(correlation(predicted, expected))
}

/// Spearman's correlation: Pearson's of the ranks, where equal values share the mean of their ranks.
///
/// NaN if one side is constant or a value is NaN; infinite values have a rank like others.
///
/// # Errors
/// Different lengths, no examples.
pub fn spearman(predicted: &[f64], expected: &[f64]) -> Result<f64, MetricError> {
    check("Spearman's correlation", predicted.len(), expected.len())?;
    if predicted.iter().chain(expected).any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    Ok(correlation(&ranks(predicted), &ranks(expected)))
}

/// Area under the ROC curve: how often an example of class 1 has a higher score than one of class 0; equal scores count half.
///
/// NaN if one of the classes does not occur or a score is NaN.
///
/// # Errors
/// Different lengths, no examples, a class above 1.
pub fn roc_auc(scores: &[f64], expected: &[usize]) -> Result<f64, MetricError> {
    const NAME: &str = "area under the ROC curve";
    check(NAME, scores.len(), expected.len())?;
    check_binary(NAME, "reference", expected)?;
    let positive = expected.iter().filter(|&&class| class == 1).count();
    let negative = expected.len() - positive;
    if positive == 0 || negative == 0 || scores.iter().any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    // Doubled ranks are integers: the sum has no rounding.
    let sum: u128 =
        doubled_ranks(scores).iter().zip(expected).filter(|&(_, &c)| c == 1).map(|(&r, _)| r as u128).sum();
    let positive = positive as u128;
    let doubled_wins = sum - positive * (positive + 1);
    Ok(doubled_wins as f64 / 2.0 / (positive as f64 * negative as f64))
}

/// Rank of every value, counted from 1; equal values share the mean of their ranks.
///
/// If a value is NaN, no rank has a meaning.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    doubled_ranks(values).into_iter().map(|rank| rank as f64 / 2.0).collect()
}

/// Twice the rank: the first plus the last rank of the equal values.
fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // `total_cmp` would distinguish 0.0 from -0.0, so it only decides where NaN makes `partial_cmp` fail: a total order in any
    // case.
    let compare = |&a: &usize, &b: &usize| {
        values[a].partial_cmp(&values[b]).unwrap_or_else(|| values[a].is_nan().cmp(&values[b].is_nan()))
    };
    order.sort_by(compare);
    let mut out = vec![0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| compare(a, b) == Ordering::Equal) {
        for &index in group {
            out[index] = 2 * start + group.len() + 1;
        }
        start += group.len();
    }
    out
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    match (direction(x), direction(y)) {
        (Some(x), Some(y)) => x.iter().zip(&y).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0),
        _ => f64::NAN,
    }
}

/// The deviations from the mean, normalised to a vector of length 1; None if all values are equal.
fn direction(values: &[f64]) -> Option<Vec<f64>> {
    let first = values.first()?;
    // Compared with each other, not with the mean: after rounding, equal values need not equal their mean.
    if values.iter().all(|v| v == first) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut out: Vec<f64> = values.iter().map(|v| v - mean).collect();
    // Scaled by the largest: squares of very large or very small deviations would overflow or underflow.
    let largest = out.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    out.iter_mut().for_each(|v| *v /= largest);
    let length = out.iter().map(|v| v * v).sum::<f64>().sqrt();
    out.iter_mut().for_each(|v| *v /= length);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_rank_and_both_zeros_are_equal() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[0.0, -0.0, -1.0]), [2.5, 2.5, 1.0]);
        assert_eq!(ranks(&[]), [0.0; 0]);
    }

    #[test]
    fn lengths_and_emptiness_are_checked() {
        for metric in [pearson, spearman] {
            assert!(matches!(
                metric(&[1.0], &[]),
                Err(MetricError::Lengths { predicted: 1, expected: 0, .. })
            ));
            assert!(matches!(metric(&[], &[]), Err(MetricError::Empty { .. })));
        }
        assert!(matches!(roc_auc(&[1.0], &[]), Err(MetricError::Lengths { .. })));
        assert!(matches!(roc_auc(&[], &[]), Err(MetricError::Empty { .. })));
        assert!(matches!(
            roc_auc(&[0.5, 0.5], &[1, 2]),
            Err(MetricError::NotBinary { index: 1, found: 2, .. })
        ));
    }

    #[test]
    fn nan_in_gives_nan_out() {
        let (x, y) = ([1.0, f64::NAN, 3.0], [1.0, 2.0, 3.0]);
        assert!(pearson(&x, &y).unwrap().is_nan() && pearson(&y, &x).unwrap().is_nan());
        assert!(spearman(&x, &y).unwrap().is_nan() && spearman(&y, &x).unwrap().is_nan());
        assert!(roc_auc(&x, &[0, 1, 1]).unwrap().is_nan());
        assert!(pearson(&[1.0, f64::INFINITY, 3.0], &y).unwrap().is_nan());
    }

    #[test]
    fn infinite_values_have_a_rank() {
        let x = [f64::INFINITY, 0.0, f64::NEG_INFINITY];
        assert!((spearman(&x, &[3.0, 2.0, 1.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(roc_auc(&x, &[1, 0, 0]), Ok(1.0));
    }

    #[test]
    fn a_constant_whose_mean_is_rounded_is_still_constant() {
        let constant = [0.1; 11];
        let other: Vec<f64> = (0..11).map(f64::from).collect();
        assert!(pearson(&constant, &other).unwrap().is_nan());
    }

    #[test]
    fn huge_and_tiny_deviations_do_not_overflow() {
        let huge: Vec<f64> = [1.0, 2.0, 4.0].iter().map(|v| v * 1e300).collect();
        let tiny: Vec<f64> = [1.0, 2.0, 4.0].iter().map(|v| v * 1e-300).collect();
        assert!((pearson(&huge, &tiny).unwrap() - 1.0).abs() < 1e-12);
    }
}
