//! What a pre-trained model predicts in the gaps of a text, and which predictions a lexicon calls false negatives.
//!
//! [`Inspector`] does it for one text; [`page()`] draws many texts with every token in the colour of what training would make of
//! it.

mod page;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{self, Head, HfError, LoadReport};
use fn_models::{BertForPreTraining, Electra, Inputs};
use fn_ops::Noise;
use serde::Serialize;

pub use self::page::{Corruption, page};

/// How a gap is written in the text.
pub const GAP: &str = "[MASK]";

/// Why a text cannot be inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// A model that cannot be read.
    #[error(transparent)]
    Model(#[from] HfError),
    /// `config.json` cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// `config.json` is no JSON, or of another kind of model.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was found, and what is expected.
        message: String,
    },
    /// A folder with an encoder only: a head with fresh initial values would show noise.
    #[error(
        "{path}: found no weights of a masked-LM head or of a replaced-token head, expected one of them; probe the model as it \
         was pre-trained, not a fine-tuned one"
    )]
    NoHead {
        /// The model's folder.
        path: PathBuf,
    },
    /// A tokenizer with more pieces than the model.
    #[error(
        "the tokenizer has {tokenizer} pieces, the model in {path} only {model}; give the model's own with --tokenizer"
    )]
    Vocabulary {
        /// The model's folder.
        path: PathBuf,
        /// Rows of its token table.
        model: usize,
        /// Pieces.
        tokenizer: usize,
    },
    /// A gap, and a model that only finds replaced tokens.
    #[error(
        "this folder holds a discriminator only, which cannot fill {GAP}; give a text without it, or a folder with generator/"
    )]
    NoGenerator,
    /// A text that the model has no positions for.
    #[error("the text has {found} tokens, the model takes at most {limit}; shorten it")]
    TooLong {
        /// Tokens, special ones included.
        found: usize,
        /// Most that the model takes.
        limit: usize,
    },
}

/// What is known about one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspected {
    /// The text as it was given.
    pub text: String,
    /// Its pieces, special tokens included; gaps as `[MASK]`.
    pub pieces: Vec<String>,
    /// One entry for each gap.
    pub gaps: Vec<Gap>,
    /// For ELECTRA: the probability that each piece was replaced, gaps filled with the first prediction.
    pub replaced: Option<Vec<Replaced>>,
}

/// A gap and what could stand there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Index among the pieces.
    pub position: usize,
    /// The word that the others are judged against.
    pub gold: String,
    /// Whether `gold` was given, or is the model's own first prediction.
    pub gold_given: bool,
    /// Where `gold` stands among all predictions, from 1.
    pub gold_rank: usize,
    /// Its probability.
    pub gold_probability: f64,
    /// The most probable pieces, the best first.
    pub predictions: Vec<Prediction>,
}

/// A piece that could stand in a gap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The piece.
    pub piece: String,
    /// Its probability.
    pub probability: f64,
    /// What training makes of it.
    pub verdict: Verdict,
}

/// What training makes of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is the gold word.
    Gold,
    /// Another word, but the lexicon says that it may stand there.
    FalseNegative,
    /// Another word.
    Negative,
}

/// A piece and what the discriminator thinks of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replaced {
    /// The piece.
    pub piece: String,
    /// Whether it fills a gap.
    pub filled: bool,
    /// Probability that it is not the original.
    pub probability: f64,
}

/// A pre-trained model of either kind.
#[derive(Debug)]
pub enum Model {
    /// With its masked-LM head.
    Bert(Box<BertForPreTraining>, Facts),
    /// With what heads are in the folder.
    Electra(Box<Electra>, Facts),
}

/// Sizes that have to fit, and heads that are there.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    vocab_size: usize,
    max_positions: usize,
    /// Whether there are weights for predicting gaps.
    fills: bool,
    /// Whether there are weights for finding replaced tokens.
    detects: bool,
}

impl Model {
    /// Loads whatever kind `config.json` names; the report says which weights were not in the files.
    ///
    /// # Errors
    /// A folder that cannot be read, another kind of model, no head of pre-training.
    pub fn load(dir: &Path, device: &Device) -> Result<(Self, LoadReport), InspectError> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| InspectError::Io { path: path.clone(), source })?;
        let wrong = |message| InspectError::Config { path: path.clone(), message };
        let config: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| wrong(format!("this is not JSON: {error}")))?;
        match config.get("model_type").and_then(|kind| kind.as_str()) {
            Some("bert") => {
                let (model, shape, report) = hf::load_bert(dir, device)?;
                let facts = Facts {
                    vocab_size: shape.encoder.vocab_size,
                    max_positions: shape.encoder.max_positions,
                    fills: report.has(Head::MaskedLm),
                    detects: false,
                };
                some_head(&facts, dir)?;
                Ok((Self::Bert(Box::new(model), facts), report))
            }
            Some("electra") => {
                let (model, shape, report) = hf::load_electra(dir, device)?;
                let facts = Facts {
                    vocab_size: shape.discriminator.vocab_size,
                    max_positions: shape.discriminator.max_positions,
                    fills: report.has(Head::Generator),
                    detects: report.has(Head::Discriminator),
                };
                some_head(&facts, dir)?;
                Ok((Self::Electra(Box::new(model), facts), report))
            }
            kind => Err(wrong(format!(
                "model_type is {}, expected \"bert\" or \"electra\"",
                kind.map_or("missing".to_string(), |kind| format!("\"{kind}\""))
            ))),
        }
    }

    fn facts(&self) -> &Facts {
        match self {
            Self::Bert(_, facts) | Self::Electra(_, facts) => facts,
        }
    }

    /// Refuses a tokenizer with more pieces than the model; `dir` is for the message.
    ///
    /// # Errors
    /// [`InspectError::Vocabulary`].
    pub fn check(&self, tokenizer: &TextTokenizer, dir: &Path) -> Result<(), InspectError> {
        let (model, tokenizer) = (self.facts().vocab_size, tokenizer.size());
        if tokenizer > model {
            return Err(InspectError::Vocabulary { path: dir.to_owned(), model, tokenizer });
        }
        Ok(())
    }
}

/// A head with fresh initial values would show noise.
fn some_head(facts: &Facts, dir: &Path) -> Result<(), InspectError> {
    if facts.fills || facts.detects {
        return Ok(());
    }
    Err(InspectError::NoHead { path: dir.to_owned() })
}

/// What texts are looked at with.
pub struct Inspector<'a> {
    /// The model's.
    pub tokenizer: &'a TextTokenizer,
    /// What calls predictions false negatives.
    pub lexicon: Option<&'a Lexicon>,
    /// Where the model is.
    pub device: &'a Device,
    /// Predictions of a gap that are kept.
    pub top: usize,
}

impl Inspector<'_> {
    /// What the model predicts in the gaps of a text; `gold` gives the right words, one for each gap, as long as it has any.
    ///
    /// # Errors
    /// A text that is too long; a gap where the model has no head to fill it.
    pub fn inspect(
        &self,
        model: &Model,
        text: &str,
        gold: &mut impl Iterator<Item = u32>,
    ) -> Result<Inspected, InspectError> {
        let special = self.tokenizer.facts().special;
        let mut ids = vec![special.cls];
        let mut positions = Vec::new();
        for (at, part) in text.split(GAP).enumerate() {
            if at > 0 {
                positions.push(ids.len());
                ids.push(special.mask);
            }
            ids.extend(self.tokenizer.encode(part));
        }
        ids.push(special.sep);
        let most = model.facts().max_positions;
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
        model: &Model,
        ids: &[u32],
        positions: &[usize],
    ) -> Result<Vec<Vec<f64>>, InspectError> {
        let rows: Vec<i32> = positions.iter().map(|&position| position as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [positions.len()]), self.device);
        let inputs = self.inputs(ids);
        let logits = match model {
            Model::Bert(model, _) => model.masked_logits(&inputs, rows, &Noise::none()),
            Model::Electra(model, facts) if facts.fills => {
                model.generator_logits(&inputs, rows, &Noise::none())
            }
            Model::Electra(..) => {
                return Err(InspectError::NoGenerator);
            }
        };
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

    fn detect(&self, model: &Model, ids: &[u32], filled: &[usize]) -> Option<Vec<Replaced>> {
        let Model::Electra(model, Facts { detects: true, .. }) = model else {
            return None;
        };
        let logits = fn_models::params::host(model.discriminator_logits(&self.inputs(ids), &Noise::none()));
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
