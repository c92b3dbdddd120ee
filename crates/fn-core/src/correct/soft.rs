//! Soft Regularisation: prediction and original shall be close in meaning, as words or as sentences.
//!
//! ```text
//! L = L_mlm + lambda * mean_k (1 - cos(E[r_k], E[w_k]))          argmax, sample
//! L = L_mlm + lambda * mean_k (1 - cos(softmax(z_k) E, E[w_k]))  expected
//! L = L_mlm + lambda * mean over sentences (1 - cos(s', s))      s' the sentence filled with predictions, s the original one
//! ```
//! Where rows hold several documents, each of them is a sentence. In the first form `r_k` is an id: the distance moves rows of `E`, the logits get no gradient from it. Since `E` is tied
//! to the output layer, all its rows can drift together; watch [`anisotropy`](crate::stats::anisotropy).

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Corrected, Correction, Masked, Rows, Term};
use crate::documented;
use crate::error::{CoreError, check_lambda};
use crate::loss::{cosine_distance, scatter_vectors};
use crate::sample::{Prediction, SampleConfig, argmax_ids, expected_vectors, gumbel_sample};

/// What soft regularisation compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Embeddings of the predicted and the original word.
    #[default]
    Word,
    /// Pooled vectors of the sentence filled with predictions and the original one. A sentence is a row, or each document of a row that
    /// holds several.
    Sentence,
}

documented! {
    /// Settings of [`Soft`].
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct SoftConfig {
        /// Words (default) or sentences.
        pub level: Level,
        /// Which prediction is compared. Default `argmax`. With `argmax` and `sample` the distance reaches only rows of
        /// the embedding table; `expected` reaches the logits too.
        pub prediction: Prediction,
        /// Weight of the distance, 0 to 1000. Default 1.
        pub lambda: f64,
        /// Which positions are drawn to the original: `all` (default), those of `wrong` predictions, or `judged` ones, the false negatives. In
        /// a sentence the other positions keep the original. The mean is over all positions, or sentences, in each case.
        pub rows: Rows,
    }
}

impl Default for SoftConfig {
    fn default() -> Self {
        Self { level: Level::Word, prediction: Prediction::Argmax, lambda: 1.0, rows: Rows::All }
    }
}

/// Adds `lambda * mean(1 - cos)` between prediction and original.
#[derive(Debug, Clone, Copy)]
pub struct Soft {
    config: SoftConfig,
}

impl SoftConfig {
    /// The correction.
    ///
    /// # Errors
    /// A lambda out of range.
    pub fn init(&self) -> Result<Soft, CoreError> {
        check_lambda(self.lambda)?;
        Ok(Soft { config: *self })
    }
}

impl Correction for Soft {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let term = match self.config.level {
            Level::Word => {
                let distance = self.config.rows.keep(masked, self.word_distance(masked));
                Term::per_position("word_distance", distance)
            }
            Level::Sentence => Term::mean("sentence_distance", self.sentence_distance(masked)),
        };
        Corrected::unchanged(masked.predictions).with(term.times(self.config.lambda))
    }
}

impl Soft {
    /// The predicted ids that are compared, `[P]`: those that were judged, where they were chosen in the same way.
    fn ids(&self, masked: &Masked<'_>) -> Tensor<1, Int> {
        let predictions = masked.predictions;
        let wanted = self.config.prediction;
        match (predictions.chosen == Prediction::Sample, wanted == Prediction::Sample) {
            (true, false) => argmax_ids(masked.logits.clone()),
            (false, true) => {
                gumbel_sample(masked.logits.clone(), &predictions.batch.gold, &SampleConfig::default())
            }
            _ => predictions.ids.clone(),
        }
    }

    /// `1 - cos` per position, `[P]`.
    fn word_distance(&self, masked: &Masked<'_>) -> Tensor<1> {
        let embedding = masked.student.embedding();
        let gold = embedding.clone().select(0, masked.predictions.batch.gold.clone());
        let predicted = match self.config.prediction {
            Prediction::Argmax | Prediction::Sample => embedding.select(0, self.ids(masked)),
            Prediction::Expected => expected_vectors(masked.logits.clone(), embedding),
        };
        cosine_distance(predicted, gold)
    }

    /// Mean over the sentences of `1 - cos`, `[1]`. With expected predictions the masked positions hold `softmax(z) E`, so the
    /// logits learn from the distance; with ids they do not. No gradient passes through the original sentence.
    fn sentence_distance(&self, masked: &Masked<'_>) -> Tensor<1> {
        let (batch, student) = (masked.predictions.batch, masked.student);
        let original = student.look_up(batch.original.clone());
        let filled = match self.config.prediction {
            Prediction::Expected => {
                let words = expected_vectors(masked.logits.clone(), student.embedding());
                let weight = self.config.rows.keep(masked, batch.weight.clone().inner());
                scatter_vectors(original.clone(), batch.positions.clone(), &weight, words)
            }
            Prediction::Argmax | Prediction::Sample => {
                let ids = match self.config.rows.of(masked) {
                    Some(rows) => batch.gold.clone().inner().mask_where(rows, self.ids(masked).inner()),
                    None => self.ids(masked),
                };
                student.look_up(batch.filled(ids))
            }
        };
        let filled = student.sentence_vectors(filled, batch);
        cosine_distance(filled, student.sentence_vectors(original, batch).detach()).mean()
    }
}
