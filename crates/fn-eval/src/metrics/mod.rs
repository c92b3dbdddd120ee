//! Metrics of the agreement between predictions and references.
//!
//! Every function takes the predictions first and the references second, in the same order of examples. Where a metric is
//! undefined, the value is that of scikit-learn and SciPy: Matthews' correlation and F1 are 0, Pearson's and Spearman's
//! correlation and the area under the ROC curve are NaN. NaN among the inputs gives NaN. Slices of different lengths and empty
//! slices are errors.

mod classes;
mod values;

pub use classes::{accuracy, f1, matthews};
pub use values::{pearson, ranks, roc_auc, spearman};

/// Inputs for which a metric is not defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The numbers of predictions and references differ.
    #[error(
        "{metric}: {predicted} predictions, expected {expected}, one for each reference; score the same examples \
         in the same order"
    )]
    Lengths {
        /// The metric.
        metric: &'static str,
        /// How many predictions there are.
        predicted: usize,
        /// How many references there are.
        expected: usize,
    },
    /// No examples.
    #[error("{metric}: found no examples, expected at least 1; is the evaluation set empty?")]
    Empty {
        /// The metric.
        metric: &'static str,
    },
    /// A class other than 0 and 1 for a metric of two classes.
    #[error(
        "{metric}: {side} {index} (counted from 0) is class {found}, expected 0 or 1; use accuracy or Matthews' \
         correlation for more than two classes"
    )]
    NotBinary {
        /// The metric.
        metric: &'static str,
        /// `prediction` or `reference`.
        side: &'static str,
        /// Which example, counted from 0.
        index: usize,
        /// The class.
        found: usize,
    },
}

/// Checks that there is at least one reference, and as many predictions as references.
fn check(metric: &'static str, predicted: usize, expected: usize) -> Result<(), MetricError> {
    if predicted != expected {
        return Err(MetricError::Lengths { metric, predicted, expected });
    }
    if expected == 0 {
        return Err(MetricError::Empty { metric });
    }
    Ok(())
}

/// Checks that only the classes 0 and 1 occur.
fn check_binary(metric: &'static str, side: &'static str, classes: &[usize]) -> Result<(), MetricError> {
    match classes.iter().position(|&class| class > 1) {
        Some(index) => Err(MetricError::NotBinary { metric, side, index, found: classes[index] }),
        None => Ok(()),
    }
}
