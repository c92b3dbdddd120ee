//! Soft regularisation at sentence level: the sentence filled with predictions beside the original one.

use burn::tensor::{Int, Tensor};
use fn_core::correct::{Correction, Level};
use fn_core::ids::Rows;
use fn_core::loss::{SentenceDistance, scatter_rows, scatter_vectors};
use fn_core::noise::{Use, mix};
use fn_core::sample::{Prediction, expected_vectors};
use fn_models::{Inputs, Pooling};
use fn_ops::Noise;

use super::DeviceBatch;

/// Dropout of both sentences: the same masks, so that equal sentences have distance 0.
pub(super) fn sentence_noise(seed: u64) -> Noise {
    Noise::new(mix(&[seed, Use::Dropout as u64, 1]))
}

/// Pooled vectors of both sentences, where the correction asks for them.
///
/// `look_up` maps ids to word vectors `[B, L, E]`, `encode` word vectors to hidden ones `[B, L, H]`. With expected predictions
/// the masked rows hold `softmax(z) E`, so the logits learn from the distance; with ids they do not.
pub(super) fn sentence_distance(
    correction: &Correction,
    batch: &DeviceBatch,
    rows: &Rows,
    logits: &Tensor<2>,
    embedding: Tensor<2>,
    look_up: impl Fn(Tensor<2, Int>) -> Tensor<3>,
    encode: impl Fn(Tensor<3>, &Inputs) -> Tensor<3>,
) -> Option<SentenceDistance> {
    let Correction::Soft { level: Level::Sentence, prediction, .. } = correction else {
        return None;
    };
    let (places, weight) = (batch.rows.clone(), &batch.weight);
    let original = look_up(batch.original.clone());
    let filled = match prediction {
        Prediction::Expected => {
            let words = expected_vectors(logits.clone(), embedding);
            scatter_vectors(original.clone(), places, weight, words)
        }
        Prediction::Argmax | Prediction::Sample => {
            look_up(scatter_rows(batch.original.clone(), places, weight, rows.predicted.clone()))
        }
    };
    let pooled = |words| Pooling::Mean.pool(encode(words, &batch.inputs), batch.inputs.mask.as_ref());
    Some(SentenceDistance { predicted: pooled(filled), original: pooled(original).detach() })
}
