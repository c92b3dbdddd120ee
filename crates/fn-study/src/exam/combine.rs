//! Several judges as one: a logistic regression over their grades, fitted on some targets and used on the others.

use fn_core::noise::{Stream, Use};
use fn_data::lexicon::logistic::Logistic;

use super::{ExamError, Grades, Prepared, Scale};

/// Ridge penalty on standardised features.
const PENALTY: f64 = 1.0;

/// Grades each pair by a logistic regression over the grades of several judges (log-odds of probabilities, logarithms of ratios), fitted on
/// the pairs of the other `folds - 1` folds. Pairs of one target are always in one fold; `seed` decides which.
///
/// # Errors
/// A fold that nothing can be fitted to.
pub fn cross_validated(
    exam: &Prepared<'_>,
    judges: &[Grades],
    folds: usize,
    seed: u64,
) -> Result<Grades, ExamError> {
    let fold = folds_of(exam.exam.targets.len(), folds, seed);
    let rows: Vec<Vec<f64>> = (0..exam.pairs.len())
        .map(|at| judges.iter().map(|grades| grades.scale.feature(grades.values[at])).collect())
        .collect();
    let mut values = vec![0.0; rows.len()];
    for held_out in 0..folds {
        let of = |at: &usize| fold[exam.pairs[*at].target] == held_out;
        let (test, train): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(of);
        if test.is_empty() {
            continue;
        }
        let (mean, deviation) = moments(&train, &rows, judges.len());
        let scaled = |at: usize| -> Vec<f64> {
            rows[at].iter().zip(mean.iter().zip(&deviation)).map(|(x, (m, d))| (x - m) / d).collect()
        };
        let features: Vec<Vec<f64>> = train.iter().map(|&at| scaled(at)).collect();
        let good: Vec<bool> = train.iter().map(|&at| exam.pairs[at].good).collect();
        let fit = Logistic::fit(&features, &good, PENALTY)
            .map_err(|source| ExamError::Fit { name: exam.exam.name.clone(), source })?;
        for at in test {
            values[at] = fit.probability(&scaled(at));
        }
    }
    Ok(Grades { values, floor: None, scale: Scale::Probability })
}

/// The fold of each target: equally large ones, at random.
fn folds_of(targets: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..targets).collect();
    Stream::new(seed, 0, 0, Use::Probe).shuffle(&mut order);
    let mut fold = vec![0; targets];
    for (place, target) in order.into_iter().enumerate() {
        fold[target] = place % folds.max(1);
    }
    fold
}

/// Mean and standard deviation of each feature; a constant one has deviation 1.
fn moments(at: &[usize], rows: &[Vec<f64>], width: usize) -> (Vec<f64>, Vec<f64>) {
    let count = at.len().max(1) as f64;
    let mean: Vec<f64> =
        (0..width).map(|k| at.iter().map(|&row| rows[row][k]).sum::<f64>() / count).collect();
    let deviation = (0..width).map(|k| {
        let variance = at.iter().map(|&row| (rows[row][k] - mean[k]).powi(2)).sum::<f64>() / count;
        if variance > 1e-18 { variance.sqrt() } else { 1.0 }
    });
    let deviation = deviation.collect();
    (mean, deviation)
}
