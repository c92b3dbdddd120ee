//! `fnlm inspect`: what a model predicts, and which predictions a lexicon calls false negatives.

mod page;

use std::io::Read;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_models::{Inputs, Pretrained, hf};
use fn_ops::Noise;
use fn_train::fsutil::write_atomic;
use serde::Serialize;

use super::support;
use crate::args::InspectArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Bytes of a file that are looked at; whoever wants to see more lines makes a page of each part.
const MAX_FILE: u64 = 1 << 20;
/// How a gap is written in the text.
const GAP: &str = "[MASK]";

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

/// Runs it.
///
/// # Errors
/// A model, tokenizer or lexicon that is missing, damaged or does not fit (3); words that are no pieces, a page that is there (2).
pub fn run(args: &InspectArgs) -> Result<Outcome, CliError> {
    if args.top == 0 {
        return Err(CliError::usage("--top is 0; allowed: 1 or more"));
    }
    if !(args.rate > 0.0 && args.rate < 1.0) {
        return Err(CliError::usage(format!("--rate is {}; allowed: above 0, below 1", args.rate)));
    }
    if let Some(path) = args.html.as_deref().filter(|path| path.exists() && !args.overwrite) {
        return Err(CliError::usage(format!(
            "{} exists; choose another --html, or add --overwrite",
            path.display()
        )));
    }
    let tokenizer = support::tokenizer(args.tokenizer.as_deref().unwrap_or(&args.model))?;
    let lexicon = args.lexicon.as_deref().map(|path| support::lexicon(path, &tokenizer)).transpose()?;
    let device = device::open(&args.device)?;
    let (model, report) = Pretrained::open_with_head(&args.model, &device).map_err(CliError::input_from)?;
    // Weights that were not in the files are random: whoever looks at predictions must know.
    term::note(args.common.quiet || (report.missing.is_empty() && !args.common.verbose), &report.to_string());
    hf::check_fit(&args.model, tokenizer.size(), 0).map_err(CliError::input_from)?;

    let gaps: usize = args.text.iter().map(|text| text.matches(GAP).count()).sum();
    if args.gold.len() > gaps {
        return Err(CliError::usage(format!(
            "{} words were given with --gold, but the text has {gaps} {GAP}",
            args.gold.len()
        )));
    }
    let texts = texts(args)?;
    let inspector =
        Inspector { tokenizer: &tokenizer, lexicon: lexicon.as_ref(), device: &device, top: args.top };
    if let Some(path) = &args.html {
        let corruption = page::Corruption { rate: args.rate, seed: args.seed };
        let page = page::page(&inspector, &model, &texts, &corruption)?;
        write_atomic(path, page.as_bytes()).map_err(|error| CliError::io("write", path, error))?;
        term::note(args.common.quiet, &format!("{} texts in {}", texts.len(), path.display()));
        return Ok(Outcome::Done);
    }
    let mut gold = args
        .gold
        .iter()
        .map(|word| support::one_piece(&tokenizer, word))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let mut all = Vec::new();
    for text in &texts {
        let found = inspector.inspect(&model, text, &mut gold)?;
        if !args.json {
            term::out(&show(&found, lexicon.is_some()))?;
        }
        all.push(found);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&all).map_err(CliError::failed_from)?;
        term::out(&format!("{text}\n"))?;
    }
    Ok(Outcome::Done)
}

/// What was typed, and the lines of the file.
fn texts(args: &InspectArgs) -> Result<Vec<String>, CliError> {
    let mut texts = args.text.clone();
    if let Some(path) = &args.file {
        let error = |error| CliError::io("read", path, error);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(error)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(error)?;
        let text = String::from_utf8_lossy(&bytes);
        texts.extend(
            text.lines().map(str::trim).filter(|line| !line.is_empty()).take(args.lines).map(Into::into),
        );
        if texts.is_empty() {
            return Err(CliError::input(format!("{}: there is no text in it", path.display())));
        }
    }
    Ok(texts)
}

struct Inspector<'a> {
    tokenizer: &'a TextTokenizer,
    lexicon: Option<&'a Lexicon>,
    device: &'a Device,
    top: usize,
}

impl Inspector<'_> {
    fn inspect(
        &self,
        model: &Pretrained,
        text: &str,
        gold: &mut impl Iterator<Item = u32>,
    ) -> Result<Inspected, CliError> {
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
        let most = model.encoder().max_positions;
        if ids.len() > most {
            return Err(CliError::usage(format!(
                "the text has {} tokens, the model takes at most {most}; shorten it",
                ids.len()
            )));
        }
        let pieces = ids.iter().map(|&id| support::piece(self.tokenizer, id)).collect();

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
    ) -> Result<Vec<Vec<f64>>, CliError> {
        let rows: Vec<i32> = positions.iter().map(|&position| position as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [positions.len()]), self.device);
        let inputs = self.inputs(ids);
        if !model.has_masked_lm() {
            return Err(CliError::input(format!(
                "this folder holds a discriminator only, which cannot fill {GAP}; give a text without it, or a folder with generator/"
            )));
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
                piece: support::piece(self.tokenizer, id),
                probability: probability(id),
                verdict: verdict(id),
            })
            .collect();
        Gap {
            position,
            gold: support::piece(self.tokenizer, word),
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
            piece: support::piece(self.tokenizer, id),
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

/// As the terminal shows it.
fn show(found: &Inspected, judged: bool) -> String {
    let mut out = format!("{}\n", found.text);
    for (number, gap) in found.gaps.iter().enumerate() {
        let source = if gap.gold_given { "given" } else { "its own first prediction" };
        out.push_str(&format!(
            "\n  {GAP} {}: gold \"{}\" ({source}), probability {:.4}, rank {}\n",
            number + 1,
            gap.gold,
            gap.gold_probability,
            term::thousands(gap.gold_rank as u64)
        ));
        let width = gap.predictions.iter().map(|p| p.piece.chars().count()).max().unwrap_or(0);
        for (rank, prediction) in gap.predictions.iter().enumerate() {
            let verdict = match prediction.verdict {
                Verdict::Gold => "gold",
                Verdict::FalseNegative => "false negative",
                Verdict::Negative => "",
            };
            let line = format!(
                "    {:>2}  {:<width$}  {:.4}  {verdict}",
                rank + 1,
                prediction.piece,
                prediction.probability
            );
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    if !found.gaps.is_empty() && !judged {
        out.push_str("\n  (no --lexicon: which predictions are false negatives is not known)\n");
    }
    if let Some(replaced) = &found.replaced {
        out.push_str("\n  probability that a token was replaced:\n");
        let width = replaced.iter().map(|token| token.piece.chars().count()).max().unwrap_or(0);
        for token in replaced {
            let marks = "#".repeat((token.probability * 20.0).round() as usize);
            let filled = if token.filled { "  <- filled in by the generator" } else { "" };
            let line = format!("    {:<width$}  {:.3}  {marks}{filled}", token.piece, token.probability);
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out.push('\n');
    out
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

    #[test]
    fn what_is_shown_names_gold_and_false_negatives() {
        let prediction =
            |piece: &str, probability, verdict| Prediction { piece: piece.into(), probability, verdict };
        let found = Inspected {
            text: "she felt [MASK]".into(),
            pieces: Vec::new(),
            gaps: vec![Gap {
                position: 3,
                gold: "happy".into(),
                gold_given: true,
                gold_rank: 2,
                gold_probability: 0.25,
                predictions: vec![
                    prediction("glad", 0.5, Verdict::FalseNegative),
                    prediction("happy", 0.25, Verdict::Gold),
                    prediction("sad", 0.125, Verdict::Negative),
                ],
            }],
            replaced: Some(vec![Replaced { piece: "glad".into(), filled: true, probability: 0.5 }]),
        };
        let text = show(&found, true);
        assert!(text.contains("[MASK] 1: gold \"happy\" (given), probability 0.2500, rank 2"), "{text}");
        assert!(text.contains(" 1  glad   0.5000  false negative\n"), "{text}");
        assert!(text.contains(" 2  happy  0.2500  gold\n"), "{text}");
        assert!(text.contains(" 3  sad    0.1250\n"), "{text}");
        assert!(text.contains("glad  0.500  ##########  <- filled in by the generator\n"), "{text}");
    }
}
