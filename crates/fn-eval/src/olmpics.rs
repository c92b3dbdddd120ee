//! Multiple choice without training, in the format of oLMpics (Talmor et al. 2020): which word fills the gap?
//!
//! A masked language model scores a choice by the mean log-probability of its pieces at as many masks. A discriminator scores it
//! by the mean log-probability that its pieces, put into the gap, are original.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_data::tokenise::TextTokenizer;
use fn_models::{BertForPreTraining, Electra, Inputs, params};
use fn_ops::Noise;
use serde::Deserialize;

/// How the gap is written.
const GAP: &str = "[MASK]";
/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Most questions of a file.
const MAX_QUESTIONS: usize = 1 << 20;

/// What is wrong with a file of questions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OlmpicsError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line is not such a question.
    #[error(
        "{path}: line {line}: {found}, expected a question with a stem that has one [MASK], at least two choices, and the label of one as answerKey"
    )]
    Question {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was found.
        found: String,
    },
    /// A question is longer than the model takes.
    #[error("{path}: line {line}: {tokens} tokens, the model takes at most {most}; leave it out")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Its tokens.
        tokens: usize,
        /// The model's positions.
        most: usize,
    },
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its line, counted from 1.
    pub line: usize,
    /// What stands before and behind the gap.
    pub stem: (String, String),
    /// Words that may fill it.
    pub choices: Vec<String>,
    /// The number of the right one.
    pub answer: usize,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "answerKey")]
    answer: String,
    question: Stem,
}

#[derive(Deserialize)]
struct Stem {
    stem: String,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    label: String,
    text: String,
}

/// Reads a `.jsonl` file of questions.
///
/// # Errors
/// A file that cannot be read; a line without exactly one gap, with fewer than two choices, or with an answer that is no choice.
pub fn read(path: &Path) -> Result<Vec<Question>, OlmpicsError> {
    let io = |source| OlmpicsError::Io { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut out = Vec::new();
    for line in 1.. {
        let wrong = |found: String| OlmpicsError::Question { path: path.to_owned(), line, found };
        let mut text = String::new();
        if file.by_ref().take(MAX_LINE).read_line(&mut text).map_err(io)? == 0 {
            break;
        }
        if text.len() as u64 == MAX_LINE || out.len() == MAX_QUESTIONS {
            return Err(wrong("a longer line or more questions than are read".to_owned()));
        }
        if text.trim().is_empty() {
            continue;
        }
        let parsed: Line = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let parts: Vec<&str> = parsed.question.stem.split(GAP).collect();
        let [before, after] = parts[..] else {
            return Err(wrong(format!("a stem with {} {GAP}", parts.len() - 1)));
        };
        let choices = parsed.question.choices;
        let answer = choices.iter().position(|choice| choice.label == parsed.answer);
        let Some(answer) = answer.filter(|_| choices.len() > 1) else {
            let labels: Vec<&str> = choices.iter().map(|choice| choice.label.as_str()).collect();
            return Err(wrong(format!("answerKey {:?} of choices {}", parsed.answer, labels.join(", "))));
        };
        let stem = (before.to_owned(), after.to_owned());
        out.push(Question { line, stem, choices: choices.into_iter().map(|c| c.text).collect(), answer });
    }
    if out.is_empty() {
        return Err(OlmpicsError::Question {
            path: path.to_owned(),
            line: 1,
            found: "no question".to_owned(),
        });
    }
    Ok(out)
}

/// Who answers.
pub enum Scorer<'a> {
    /// A BERT.
    MaskedLm(&'a BertForPreTraining),
    /// An ELECTRA's generator.
    Generator(&'a Electra),
    /// An ELECTRA's discriminator.
    Discriminator(&'a Electra),
}

impl Scorer<'_> {
    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MaskedLm(_) => "masked LM",
            Self::Generator(_) => "generator",
            Self::Discriminator(_) => "discriminator",
        }
    }

    /// The score of each choice: a mean log-probability, more is better. `most` is the number of positions that the model has.
    ///
    /// # Errors
    /// [`OlmpicsError::TooLong`]; `path` is for messages.
    pub fn scores(
        &self,
        question: &Question,
        tokenizer: &TextTokenizer,
        most: usize,
        device: &Device,
        path: &Path,
    ) -> Result<Vec<f64>, OlmpicsError> {
        let (before, after) = (tokenizer.encode(&question.stem.0), tokenizer.encode(&question.stem.1));
        let special = tokenizer.special();
        let mut out = Vec::new();
        for choice in &question.choices {
            let pieces = tokenizer.encode(choice);
            let hidden = vec![special.mask; pieces.len()];
            let filling = if matches!(self, Self::Discriminator(_)) { &pieces } else { &hidden };
            let ids = [&[special.cls], &before[..], filling, &after[..], &[special.sep]].concat();
            if ids.len() > most {
                let (path, line, tokens) = (path.to_owned(), question.line, ids.len());
                return Err(OlmpicsError::TooLong { path, line, tokens, most });
            }
            // A choice of which the tokenizer keeps nothing fits nowhere.
            let score = match pieces.len() {
                0 => f64::NEG_INFINITY,
                n => {
                    self.log_probabilities(&ids, before.len() + 1, &pieces, device).iter().sum::<f64>()
                        / n as f64
                }
            };
            out.push(score);
        }
        Ok(out)
    }

    /// Of each piece, from position `start` on.
    fn log_probabilities(&self, ids: &[u32], start: usize, pieces: &[u32], device: &Device) -> Vec<f64> {
        let numbers = |values: Vec<i32>| {
            let shape = [values.len()];
            Tensor::<1, Int>::from_data(TensorData::new(values, shape), device)
        };
        let inputs = Inputs::plain(numbers(ids.iter().map(|&id| id as i32).collect()).unsqueeze_dim(0));
        let rows = numbers((start..start + pieces.len()).map(|at| at as i32).collect());
        let of_gap = |logits: Tensor<2>| {
            let gold = numbers(pieces.iter().map(|&id| id as i32).collect());
            params::host(fn_ops::cross_entropy_rows(logits, gold))
                .into_iter()
                .map(|loss| -f64::from(loss))
                .collect()
        };
        match self {
            Self::MaskedLm(model) => of_gap(model.masked_logits(&inputs, rows, &Noise::none())),
            Self::Generator(model) => of_gap(model.generator_logits(&inputs, rows, &Noise::none())),
            Self::Discriminator(model) => {
                let logits = params::host(model.discriminator_logits(&inputs, &Noise::none()));
                // ln(1 - sigmoid(z)) = -ln(1 + e^z), with the larger exponent taken out.
                let original = |z: &f32| -(f64::from(z.max(0.0)) + (-f64::from(z.abs())).exp().ln_1p());
                logits[start..start + pieces.len()].iter().map(original).collect()
            }
        }
    }
}

/// The number of the largest score; the first of equal ones.
pub fn best(scores: &[f64]) -> usize {
    let better = |best: usize, at: usize| if scores[at] > scores[best] { at } else { best };
    (1..scores.len()).fold(0, better)
}

/// Right answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Questions answered right.
    pub right: usize,
    /// All questions.
    pub questions: usize,
}

impl Accuracy {
    /// Share of right answers.
    pub fn share(&self) -> f64 {
        self.right as f64 / self.questions as f64
    }

    /// 95 % interval of the share (E. B. Wilson 1927).
    pub fn interval(&self) -> (f64, f64) {
        const Z: f64 = 1.959_963_984_540_054;
        let (n, p) = (self.questions as f64, self.share());
        let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        (centre - half, centre + half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.jsonl");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    const LINE: &str = r#"{"answerKey":"B","id":"1","question":{"choices":[{"label":"A","text":"older"},{"label":"B","text":"younger"}],"stem":"He is [MASK] than she ."}}"#;

    #[test]
    fn questions_are_read() {
        let (_dir, path) = file(&format!("{LINE}\n\n{LINE}\n"));
        let questions = read(&path).unwrap();
        assert_eq!(questions.len(), 2);
        assert_eq!((questions[1].line, questions[1].answer), (3, 1));
        assert_eq!(questions[0].stem, ("He is ".to_owned(), " than she .".to_owned()));
        assert_eq!(questions[0].choices, ["older", "younger"]);
    }

    #[test]
    fn what_is_no_question_is_named_with_its_line() {
        for (text, part) in [
            (LINE.replace("[MASK]", "so"), "a stem with 0 [MASK]"),
            (LINE.replace("she", "[MASK]"), "a stem with 2 [MASK]"),
            (LINE.replace("\"B\",\"id\"", "\"C\",\"id\""), "answerKey \"C\" of choices A, B"),
            ("{}".to_owned(), "missing field"),
            (String::new(), "no question"),
        ] {
            let (_dir, path) = file(&text);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("line 1"), "{error}");
        }
        assert!(matches!(read(Path::new("nowhere.jsonl")), Err(OlmpicsError::Io { .. })));
    }

    #[test]
    fn intervals_are_wilsons() {
        // scipy.stats.binomtest(12, 30).proportion_ci(method="wilson")
        let (low, high) = Accuracy { right: 12, questions: 30 }.interval();
        assert!((low - 0.245_906_28).abs() < 1e-7 && (high - 0.576_796_40).abs() < 1e-7, "{low} {high}");
        assert_eq!(best(&[1.0, 3.0, 3.0, f64::NEG_INFINITY]), 1);
    }
}
