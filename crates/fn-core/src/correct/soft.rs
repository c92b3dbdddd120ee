//! Soft Regularisation at word level: prediction and gold word shall be close in meaning.
//!
//! ```text
//! L = L_mlm + lambda * mean_k (1 - cos(E[r_k], E[w_k]))          argmax, sample
//! L = L_mlm + lambda * mean_k (1 - cos(softmax(z_k) E, E[w_k]))  expected
//! ```
//! In the first form `r_k` is an id: the distance moves rows of `E`, the logits get no gradient from it. Since `E` is tied
//! to the output layer, all its rows can drift together; watch [`anisotropy`](crate::stats::anisotropy).

use burn::tensor::Tensor;

use crate::ids::Rows;
use crate::loss::cosine_distance;
use crate::sample::{Prediction, expected_vectors};

/// `1 - cos` per row: logits `[P, V]`, embedding `[V, H]` -> `[P]`.
pub(crate) fn word_distance(
    prediction: Prediction,
    logits: Tensor<2>,
    rows: &Rows,
    embedding: Tensor<2>,
) -> Tensor<1> {
    let gold = embedding.clone().select(0, rows.gold.clone());
    let predicted = match prediction {
        Prediction::Argmax | Prediction::Sample => embedding.select(0, rows.predicted.clone()),
        Prediction::Expected => expected_vectors(logits, embedding),
    };
    cosine_distance(predicted, gold)
}
