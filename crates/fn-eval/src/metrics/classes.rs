//! Metrics of predicted classes.

use std::collections::BTreeMap;

use super::{MetricError, check, check_binary};

/// The share of examples whose predicted class is correct.
///
/// # Errors
/// Different lengths, no examples.
pub fn accuracy(predicted: &[usize], expected: &[usize]) -> Result<f64, MetricError> {
    check("accuracy", predicted.len(), expected.len())?;
    let right = predicted.iter().zip(expected).filter(|(p, e)| p == e).count();
    Ok(right as f64 / expected.len() as f64)
}

/// F1 of class 1 among the classes 0 and 1: the harmonic mean of precision and recall.
///
/// 0 if class 1 is neither predicted nor expected.
///
/// # Errors
/// Different lengths, no examples, a class above 1.
pub fn f1(predicted: &[usize], expected: &[usize]) -> Result<f64, MetricError> {
    check("F1", predicted.len(), expected.len())?;
    check_binary("F1", "prediction", predicted)?;
    check_binary("F1", "reference", expected)?;
    let hits = predicted.iter().zip(expected).filter(|&(&p, &e)| p == 1 && e == 1).count();
    let positives = predicted.iter().chain(expected).filter(|&&class| class == 1).count();
    Ok(if positives == 0 { 0.0 } else { 2.0 * hits as f64 / positives as f64 })
}

/// Matthews' correlation of any number of classes (for more than two: Gorodkin's R).
///
/// 0 if all predictions or all references are one class.
///
/// # Errors
/// Different lengths, no examples.
pub fn matthews(predicted: &[usize], expected: &[usize]) -> Result<f64, MetricError> {
    check("Matthews' correlation", predicted.len(), expected.len())?;
    // Per class: how often it is predicted, and how often expected. Integers, so the test for 0 below is exact.
    let mut counts: BTreeMap<usize, (i128, i128)> = BTreeMap::new();
    let mut right = 0_i128;
    for (&p, &e) in predicted.iter().zip(expected) {
        counts.entry(p).or_default().0 += 1;
        counts.entry(e).or_default().1 += 1;
        right += i128::from(p == e);
    }
    let all = expected.len() as i128;
    let sum = |of: fn(&(i128, i128)) -> i128| counts.values().map(of).sum::<i128>();
    let covariance = right * all - sum(|&(p, e)| p * e);
    let spread_predicted = all * all - sum(|&(p, _)| p * p);
    let spread_expected = all * all - sum(|&(_, e)| e * e);
    if spread_predicted == 0 || spread_expected == 0 {
        return Ok(0.0);
    }
    Ok(covariance as f64 / (spread_predicted as f64 * spread_expected as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_lengths_are_an_error_that_names_both() {
        for metric in [accuracy, f1, matthews] {
            let text = metric(&[1, 0], &[1]).unwrap_err().to_string();
            assert!(text.contains("2 predictions") && text.contains("expected 1"), "{text}");
        }
    }

    #[test]
    fn no_examples_are_an_error() {
        for metric in [accuracy, f1, matthews] {
            assert!(matches!(metric(&[], &[]), Err(MetricError::Empty { .. })));
        }
    }

    #[test]
    fn f1_of_three_classes_is_an_error_that_names_the_example() {
        let error = f1(&[0, 1], &[1, 2]).unwrap_err();
        assert_eq!(
            error,
            MetricError::NotBinary { metric: "F1", side: "reference", index: 1, found: 2 },
            "{error}"
        );
        assert!(matches!(f1(&[3], &[1]), Err(MetricError::NotBinary { side: "prediction", index: 0, .. })));
    }

    #[test]
    fn a_perfect_prediction_has_one_everywhere_and_its_opposite_minus_one() {
        let (is, not) = ([1, 0, 0, 1, 1], [0, 1, 1, 0, 0]);
        assert_eq!((accuracy(&is, &is), f1(&is, &is), matthews(&is, &is)), (Ok(1.0), Ok(1.0), Ok(1.0)));
        assert_eq!((accuracy(&not, &is), f1(&not, &is), matthews(&not, &is)), (Ok(0.0), Ok(0.0), Ok(-1.0)));
    }

    #[test]
    fn class_numbers_may_be_large() {
        assert_eq!(matthews(&[usize::MAX, 0], &[usize::MAX, 0]), Ok(1.0));
    }
}
