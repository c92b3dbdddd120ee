//! Logistic regression with a ridge penalty, by Newton's method: for a handful of features and any number of rows.

/// A fitted logistic regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// Log-odds of a row of zeros.
    pub intercept: f64,
    /// Log-odds that each feature adds.
    pub weights: Vec<f64>,
}

/// Why nothing was fitted.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogisticError {
    /// Rows of different widths, or another number of answers.
    #[error("{rows} rows of features for {answers} answers, or rows of different widths")]
    Shape {
        /// Rows.
        rows: usize,
        /// Answers.
        answers: usize,
    },
    /// All answers are equal.
    #[error("{good} of {rows} rows are good; some must be, and some not")]
    OneKind {
        /// Good rows.
        good: usize,
        /// Rows.
        rows: usize,
    },
    /// A penalty that is not above 0, or features that are not finite.
    #[error("the penalty must be above 0 and every feature finite")]
    Range,
    /// The steps do not end.
    #[error("the fit does not converge in {steps} steps; use a larger penalty")]
    Diverged {
        /// Steps taken.
        steps: usize,
    },
}

/// Most steps: a fit takes some ten.
const STEPS: usize = 100;
/// Largest gradient, for each row, at which the fit is done.
const DONE: f64 = 1e-12;
/// Rounding of a sum of losses, relative.
const ROUNDING: f64 = 1e-12;
/// Newton's method squares its error at each step: after a step this small, beside the weights, only rounding is left.
const SAME: f64 = 1e-9;

impl Logistic {
    /// Minimises `sum of log losses + penalty / 2 * |weights|^2`; the intercept is free. (scikit-learn's `LogisticRegression(C=1 /
    /// penalty)`.)
    ///
    /// # Errors
    /// Answers that are all equal, shapes that do not fit, numbers out of range.
    pub fn fit<R: AsRef<[f64]>>(rows: &[R], good: &[bool], penalty: f64) -> Result<Self, LogisticError> {
        let width = rows.first().map_or(0, |row| row.as_ref().len());
        if rows.len() != good.len() || rows.iter().any(|row| row.as_ref().len() != width) {
            return Err(LogisticError::Shape { rows: rows.len(), answers: good.len() });
        }
        let count = good.iter().filter(|good| **good).count();
        if count == 0 || count == good.len() {
            return Err(LogisticError::OneKind { good: count, rows: rows.len() });
        }
        let finite = rows.iter().all(|row| row.as_ref().iter().all(|value| value.is_finite()));
        if !(penalty > 0.0 && penalty.is_finite() && finite) {
            return Err(LogisticError::Range);
        }
        // The intercept is the weight of a last feature that is always 1.
        let mut weights = vec![0.0; width + 1];
        let mut loss = objective(rows, good, penalty, &weights);
        for _ in 0..STEPS {
            let (gradient, hessian) = derivatives(rows, good, penalty, &weights);
            if gradient.iter().all(|part| part.abs() < DONE * rows.len() as f64) {
                let intercept = weights.pop().unwrap_or(0.0);
                return Ok(Self { intercept, weights });
            }
            let step = solve(hessian, gradient);
            let reach = 1.0 + largest(&weights);
            // Halved until the objective falls: Newton's method may overshoot far from the end.
            let mut size = 1.0;
            for _ in 0..40 {
                let next: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w - size * s).collect();
                let next_loss = objective(rows, good, penalty, &next);
                // Near the end the objective falls by less than its rounding, and the full step is right.
                if next_loss <= loss + ROUNDING * loss.abs() {
                    (weights, loss) = (next, next_loss);
                    break;
                }
                size /= 2.0;
            }
            // The next weights are the same but for rounding, or no step lowers the objective any more.
            if largest(&step) < SAME * reach || size < 1e-10 {
                let intercept = weights.pop().unwrap_or(0.0);
                return Ok(Self { intercept, weights });
            }
        }
        Err(LogisticError::Diverged { steps: STEPS })
    }

    /// Probability that a row is good.
    pub fn probability(&self, row: &[f64]) -> f64 {
        let log_odds: f64 = row.iter().zip(&self.weights).map(|(value, weight)| value * weight).sum();
        sigmoid(self.intercept + log_odds)
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

fn log_odds(row: &[f64], weights: &[f64]) -> f64 {
    let (features, intercept) = weights.split_at(row.len());
    row.iter().zip(features).map(|(value, weight)| value * weight).sum::<f64>() + intercept[0]
}

fn objective<R: AsRef<[f64]>>(rows: &[R], good: &[bool], penalty: f64, weights: &[f64]) -> f64 {
    let losses = rows.iter().zip(good).map(|(row, good)| {
        let x = log_odds(row.as_ref(), weights);
        let x = if *good { -x } else { x };
        // ln(1 + e^x) without overflow.
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    });
    let ridge: f64 = weights[..weights.len() - 1].iter().map(|weight| weight * weight).sum();
    losses.sum::<f64>() + penalty / 2.0 * ridge
}

fn derivatives<R: AsRef<[f64]>>(
    rows: &[R],
    good: &[bool],
    penalty: f64,
    weights: &[f64],
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = weights.len();
    let mut gradient: Vec<f64> = weights.iter().map(|weight| penalty * weight).collect();
    gradient[n - 1] = 0.0;
    let mut hessian = vec![vec![0.0; n]; n];
    for (at, row) in hessian.iter_mut().enumerate().take(n - 1) {
        row[at] = penalty;
    }
    let mut values = vec![1.0; n];
    for (row, good) in rows.iter().zip(good) {
        values[..n - 1].copy_from_slice(row.as_ref());
        let p = sigmoid(log_odds(row.as_ref(), weights));
        let (error, curvature) = (p - f64::from(u8::from(*good)), p * (1.0 - p));
        for i in 0..n {
            gradient[i] += error * values[i];
            for j in 0..n {
                hessian[i][j] += curvature * values[i] * values[j];
            }
        }
    }
    (gradient, hessian)
}

/// Solves `matrix x = right` by elimination with pivots. The matrix is positive definite; a pivot of 0 leaves its part of x at 0.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()));
        let pivot = pivot.unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        if matrix[column][column] == 0.0 {
            continue;
        }
        for row in column + 1..n {
            let factor = matrix[row][column] / matrix[column][column];
            let pivot = matrix[column].clone();
            for (value, above) in matrix[row].iter_mut().zip(&pivot).skip(column) {
                *value -= factor * above;
            }
            right[row] -= factor * right[column];
        }
    }
    let mut x = vec![0.0; n];
    for row in (0..n).rev() {
        let rest: f64 = (row + 1..n).map(|k| matrix[row][k] * x[k]).sum();
        if matrix[row][row] != 0.0 {
            x[row] = (right[row] - rest) / matrix[row][row];
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    #[test]
    fn weights_and_probabilities_are_those_of_scikit_learn() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/exam.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = golden["logistic"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let rows: Vec<Vec<f64>> = case["features"].as_array().unwrap().iter().map(numbers).collect();
            let good: Vec<bool> =
                case["good"].as_array().unwrap().iter().map(|x| x.as_bool().unwrap()).collect();
            let fit = Logistic::fit(&rows, &good, case["l2"].as_f64().unwrap()).unwrap();
            assert!((fit.intercept - case["intercept"].as_f64().unwrap()).abs() < 1e-4, "{fit:?}");
            for (weight, wanted) in fit.weights.iter().zip(numbers(&case["weights"])) {
                assert!((weight - wanted).abs() < 1e-4, "{weight} {wanted}");
            }
            for (row, wanted) in rows.iter().zip(numbers(&case["probabilities"])) {
                assert!((fit.probability(row) - wanted).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_fit_is_where_the_gradient_vanishes_also_for_answers_that_one_feature_decides() {
        let rows: Vec<[f64; 2]> = (0..50).map(|k| [f64::from(k) / 10.0, f64::from(k % 2)]).collect();
        let good: Vec<bool> = (0..50).map(|k| k >= 25).collect();
        let fit = Logistic::fit(&rows, &good, 0.01).unwrap();
        let weights = [&fit.weights[..], &[fit.intercept]].concat();
        let (gradient, _) = derivatives(&rows, &good, 0.01, &weights);
        assert!(gradient.iter().all(|part| part.abs() < 1e-6), "{gradient:?}");
        assert!(fit.probability(&[4.9, 1.0]) > 0.99 && fit.probability(&[0.0, 0.0]) < 0.01);
        assert!(sigmoid(-1000.0) == 0.0 && sigmoid(1000.0) == 1.0);
    }

    #[test]
    fn many_rows_whose_gradient_never_vanishes_within_rounding_are_fitted_as_well() {
        // Sums of 20,000 rows leave more than any fixed gradient.
        let rows: Vec<[f64; 2]> =
            (0..20_000).map(|k| [f64::from(k % 997) / 997.0, f64::from(u8::from(k % 7 == 0))]).collect();
        let good: Vec<bool> = (0..20_000).map(|k| (k * 7919) % 1009 < 60 + k % 997 / 4).collect();
        let fit = Logistic::fit(&rows, &good, 1.0).unwrap();
        let weights = [&fit.weights[..], &[fit.intercept]].concat();
        let (gradient, _) = derivatives(&rows, &good, 1.0, &weights);
        assert!(gradient.iter().all(|part| part.abs() < 1e-5), "{gradient:?}");
    }

    #[test]
    fn what_cannot_be_fitted_is_an_error() {
        let rows = [[0.0], [1.0]];
        assert!(matches!(Logistic::fit(&rows, &[true], 1.0), Err(LogisticError::Shape { .. })));
        assert!(matches!(
            Logistic::fit(&rows, &[true, true], 1.0),
            Err(LogisticError::OneKind { good: 2, .. })
        ));
        assert!(matches!(Logistic::fit(&rows, &[true, false], 0.0), Err(LogisticError::Range)));
        assert!(matches!(
            Logistic::fit(&[[f64::NAN], [1.0]], &[true, false], 1.0),
            Err(LogisticError::Range)
        ));
    }
}
