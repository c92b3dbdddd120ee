//! Shows what a pre-trained model predicts at the `[MASK]` tokens of a text, and which predictions a lexicon counts as false
//! negatives.
//!
//! [`Inspector`] does so for one text; [`page()`] makes an HTML page of several texts, in which each token is coloured by its
//! role in training: kept, predicted correctly, replaced and detected, replaced and missed, false negative.

mod page;
mod text;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_models::{Inputs, Pretrained};
use fn_ops::Noise;
use serde::Serialize;

pub use self::page::{Corruption, page};

/// How a masked token is written in the text.
pub const GAP: &str = "[MASK]";

/// Why a text cannot be inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// A masked token in the text, but the model has no masked-language-model head.
    #[error(
        "this folder holds a discriminator only, which cannot fill {GAP}; give a text without it, or a folder with generator/"
    )]
    NoGenerator,
    /// A text that is longer than the model's position embeddings.
    #[error("the text has {found} tokens, the model takes at most {limit}; shorten it")]
    TooLong {
        /// Number of tokens, special tokens included.
        found: usize,
        /// Maximum of the model.
        limit: usize,
    },
}

/// The text with [`GAP`] where it has the tokenizer's own mask token, such as `<mask>`.
pub fn with_gaps(tokenizer: &TextTokenizer, text: &str) -> String {
    match tokenizer.token(tokenizer.special().mask) {
        Some(mask) if mask != GAP => text.replace(mask, GAP),
        _ => text.to_owned(),
    }
}

/// Predictions for one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspected {
    /// The text as it was given.
    pub text: String,
    /// Its tokens (pieces of the vocabulary), special tokens and `[MASK]` included.
    pub pieces: Vec<String>,
    /// One entry for each `[MASK]`.
    pub gaps: Vec<Gap>,
    /// For ELECTRA: the discriminator's output for each token, after each `[MASK]` was filled with the most probable
    /// prediction.
    pub replaced: Option<Vec<Replaced>>,
}

/// A masked position and the predictions for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Index among [`Inspected::pieces`].
    pub position: usize,
    /// The gold token, to which predictions are compared.
    pub gold: String,
    /// Whether `gold` was given by the user; otherwise it is the model's most probable prediction.
    pub gold_given: bool,
    /// Rank of `gold` among all predictions, counted from 1.
    pub gold_rank: usize,
    /// Predicted probability of `gold`.
    pub gold_probability: f64,
    /// The most probable tokens, in descending order.
    pub predictions: Vec<Prediction>,
}

/// A token that is predicted at a masked position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The token.
    pub piece: String,
    /// Its predicted probability.
    pub probability: f64,
    /// How the judge of false negatives classifies it.
    pub verdict: Verdict,
}

/// How a prediction is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The gold token.
    Gold,
    /// Another token, which the lexicon lists as plausible in place of the gold token.
    FalseNegative,
    /// Another token, which the lexicon does not list.
    Negative,
}

/// The discriminator's output for a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replaced {
    /// The token.
    pub piece: String,
    /// Whether it was filled in for a `[MASK]`.
    pub filled: bool,
    /// Predicted probability that the token was replaced.
    pub probability: f64,
}

/// Model, tokenizer and lexicon with which texts are inspected.
pub struct Inspector<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a TextTokenizer,
    /// The lexicon that judges predictions; without one there are no false negatives.
    pub lexicon: Option<&'a Lexicon>,
    /// Device of the model.
    pub device: &'a Device,
    /// Number of predictions that are kept for each masked position.
    pub top: usize,
}

impl Inspector<'_> {
    /// Predicts the masked tokens of a text. `gold` holds the gold words of the masked positions in order; it may be shorter,
    /// and for the positions beyond its end the model's most probable prediction is taken as gold.
    ///
    /// # Errors
    /// A text that is too long; a `[MASK]` in the text although the model has no masked-language-model head.
    pub fn inspect(
        &self,
        model: &Pretrained,
        text: &str,
        gold: &mut impl Iterator<Item = u32>,
    ) -> Result<Inspected, InspectError> {
        let special = self.tokenizer.special();
        let frame = self.tokenizer.frame();
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        let written = with_gaps(self.tokenizer, text);
        let parts: Vec<&str> = written.split(GAP).collect();
        for (at, part) in self.tokenizer.encode_around_gaps(&parts).into_iter().enumerate() {
            if at > 0 {
                positions.push(frame.start() + ids.len());
                ids.push(special.mask);
            }
            ids.extend(part);
        }
        let (ids, _) = frame.single(&ids);
        let most = model.encoder().max_positions;
        if ids.len() > most {
            return Err(InspectError::TooLong { found: ids.len(), limit: most });
        }
        let pieces = ids.iter().map(|&id| self.tokenizer.piece(id)).collect();

        let mut filled = ids.clone();
        let mut gaps = Vec::new();
        if !positions.is_empty() {
            let rows = self.predict(model, &ids, &positions)?;
            for (&position, probabilities) in positions.iter().zip(rows) {
                let gap = self.judge(position, &probabilities, gold.next());
                if let (Some(slot), Some(best)) = (filled.get_mut(position), best(&probabilities)) {
                    *slot = best;
                }
                gaps.push(gap);
            }
        }
        let replaced = self.detect(model, &filled, &positions);
        Ok(Inspected { text: text.to_string(), pieces, gaps, replaced })
    }

    fn inputs(&self, ids: &[u32]) -> Inputs {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let length = ids.len();
        Inputs::plain(Tensor::<2, Int>::from_data(TensorData::new(ids, [1, length]), self.device))
    }

    /// Probabilities over the vocabulary at each position.
    fn predict(
        &self,
        model: &Pretrained,
        ids: &[u32],
        positions: &[usize],
    ) -> Result<Vec<Vec<f64>>, InspectError> {
        let rows: Vec<i32> = positions.iter().map(|&position| position as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [positions.len()]), self.device);
        let inputs = self.inputs(ids);
        if !model.has_masked_lm() {
            return Err(InspectError::NoGenerator);
        }
        let logits = model.masked_logits(&inputs, rows, &Noise::none());
        let [_, vocabulary] = logits.dims();
        let known = self.tokenizer.size();
        Ok(fn_models::params::host(logits)
            .chunks(vocabulary)
            .map(|row| softmax(row.get(..known).unwrap_or(row)))
            .collect())
    }

    fn judge(&self, position: usize, probabilities: &[f64], gold: Option<u32>) -> Gap {
        let mut order: Vec<u32> = (0..probabilities.len() as u32).collect();
        let probability = |id: u32| probabilities.get(id as usize).copied().unwrap_or(0.0);
        order.sort_by(|&a, &b| probability(b).total_cmp(&probability(a)).then(a.cmp(&b)));
        let word = gold.or_else(|| order.first().copied()).unwrap_or(0);
        let verdict = |id: u32| {
            if id == word {
                Verdict::Gold
            } else if self.lexicon.is_some_and(|lexicon| lexicon.contains(word, id)) {
                Verdict::FalseNegative
            } else {
                Verdict::Negative
            }
        };
        let predictions = order
            .iter()
            .take(self.top)
            .map(|&id| Prediction {
                piece: self.tokenizer.piece(id),
                probability: probability(id),
                verdict: verdict(id),
            })
            .collect();
        Gap {
            position,
            gold: self.tokenizer.piece(word),
            gold_given: gold.is_some(),
            gold_rank: order.iter().position(|&id| id == word).map_or(0, |at| at + 1),
            gold_probability: probability(word),
            predictions,
        }
    }

    fn detect(&self, model: &Pretrained, ids: &[u32], filled: &[usize]) -> Option<Vec<Replaced>> {
        if !model.has_discriminator() {
            return None;
        }
        let logits = fn_models::params::host(model.replaced_logits(&self.inputs(ids), &Noise::none())?);
        let found = ids.iter().zip(logits).enumerate().map(|(at, (&id, logit))| Replaced {
            piece: self.tokenizer.piece(id),
            filled: filled.contains(&at),
            probability: 1.0 / (1.0 + (-f64::from(logit)).exp()),
        });
        Some(found.collect())
    }
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn best(probabilities: &[f64]) -> Option<u32> {
    let at = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))?.0;
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one_for_extreme_logits() {
        let p = softmax(&[1e4, 1e4, -1e4]);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((p[0] - 0.5).abs() < 1e-12 && p[2] == 0.0);
        assert_eq!(best(&p), Some(0));
    }
}
