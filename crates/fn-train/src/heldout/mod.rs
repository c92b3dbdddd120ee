//! Metrics on held-out text: how well the model predicts, and how many of its wrong predictions are false negatives.
//!
//! Metrics are accumulated batch by batch; only counts and, for the area under the curve, one score and label per token are
//! kept. The judge of held-out metrics does not depend on the correction of the run, so that arms are comparable.

mod detection;
mod masked;
mod metrics;

pub use detection::DetectionMeter;
pub use masked::MaskedMeter;
pub use metrics::{auc, auc_without, ratio};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Number of rows of the embedding on which the anisotropy is estimated.
const ANISOTROPY_ROWS: usize = 2048;

/// Metrics of the masked language model by which the best checkpoint can be chosen.
const OF_MASKED: [&str; 3] = ["masked_loss", "masked_accuracy", "wrong_share"];
/// Metrics that need a lexicon.
const OF_LEXICON: [&str; 1] = ["accepted_accuracy"];
/// Metrics of replaced-token detection.
const OF_DETECTION: [&str; 4] =
    ["detector_accuracy", "detector_precision", "detector_recall", "detector_auc"];

/// Names of the metrics by which the best checkpoint can be chosen, of a model with or without a discriminator, evaluated with or
/// without a lexicon.
pub fn selectable(discriminator: bool, lexicon: bool) -> impl Iterator<Item = &'static str> {
    let of_lexicon = OF_LEXICON.into_iter().filter(move |_| lexicon);
    let of_detection = OF_DETECTION.into_iter().filter(move |_| discriminator);
    OF_MASKED.into_iter().chain(of_lexicon).chain(of_detection)
}

/// Whether a lower value of this metric is better.
pub fn lower_is_better(metric: &str) -> bool {
    ["masked_loss", "wrong_share"].contains(&metric)
}

/// Ground truth of a generated text: which words fit at a position.
pub trait Truth {
    /// Whether `word` fits at `position` of the held-out sequence `row`, counted in the order of the batches.
    fn fits(&self, row: usize, position: usize, word: u32) -> bool;

    /// The distribution of the word at `position` given the rest of the sequence, where it is known: `(word, probability)`, each word once,
    /// with a sum of 1.
    fn conditional(&self, _row: usize, _position: usize) -> Option<&[(u32, f64)]> {
        None
    }
}

/// Named held-out metrics, in a fixed order. A metric without data (a share of 0 cases) is NaN.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `(name, value)`.
    pub metrics: Vec<(String, f64)>,
}

impl Evaluation {
    /// Appends a metric.
    pub fn push(&mut self, name: &str, value: f64) {
        self.metrics.push((name.to_owned(), value));
    }

    /// Appends all metrics of `other`.
    pub fn extend(&mut self, other: Evaluation) {
        self.metrics.extend(other.metrics);
    }

    /// The value of a metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(n, _)| n == name).map(|&(_, v)| v)
    }

    /// Appends the mean norm of rows and the mean cosine of pairs of rows of the embedding `[V, H]`, which show whether soft
    /// regularisation shrinks the embedding or makes all rows similar.
    pub fn add_embedding(&mut self, embedding: Tensor<2>) {
        let (norm, cosine) = fn_core::stats::anisotropy(embedding, ANISOTROPY_ROWS);
        self.push("embedding_norm", norm);
        self.push("embedding_anisotropy", cosine);
    }
}

/// Counts for comparing the judge's verdicts with the ground truth.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreement {
    flagged: f64,
    true_ones: f64,
    both: f64,
}

impl Agreement {
    pub(crate) fn add(&mut self, flagged: bool, truly: bool) {
        self.flagged += f64::from(u8::from(flagged));
        self.true_ones += f64::from(u8::from(truly));
        self.both += f64::from(u8::from(flagged && truly));
    }

    pub(crate) fn report(&self, prefix: &str, wrong: f64, out: &mut Evaluation) {
        out.push(&format!("{prefix}_true_false_negative_share"), ratio(self.true_ones, wrong));
        out.push(&format!("{prefix}_detection_precision"), ratio(self.both, self.flagged));
        out.push(&format!("{prefix}_detection_recall"), ratio(self.both, self.true_ones));
    }
}
