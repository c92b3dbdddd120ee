//! Errors of a model in context, for people to label.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::files::write_atomic;
use fn_core::noise::Stream;
use fn_core::progress::Counter;
use fn_core::vocab::VocabFacts;
use fn_data::source::{SourceOptions, Sources, plain_stem};
use fn_data::tokenise::TextTokenizer;
use fn_models::{Pretrained, hf, params};
use fn_ops::Noise;
use fn_train::checkpoint;
use fn_train::config::RunConfig;
use fn_train::model;
use fn_train::stop::Stop;
use serde::Serialize;

use super::Subject;
use super::passages::{self, Passage};
use crate::probe::{ProbeError, Prober};

/// Passages drawn for each error that is wanted: many predictions are right, or no words.
const PASSAGES_PER_ERROR: usize = 20;
/// Sequences per batch.
const BATCH: usize = 32;

/// Which errors are written.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Text to mask and predict; if empty, the run's held-out text.
    pub text: &'a [PathBuf],
    /// Number of errors, the same for each file of the text.
    pub errors: usize,
    /// Draw the prediction from the model's distribution (temperature 1), as the generator of replaced-token detection does, in place of
    /// the most probable token.
    pub sampled: bool,
    /// Share of the other tokens of a passage that are masked as well, 0 to 1.
    pub rate: f64,
    /// Seed of passages, places and predictions.
    pub seed: u64,
}

/// An error in its context; the format of the files that judges are held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorInContext {
    /// Domain and number.
    pub id: String,
    /// The file that it comes from.
    pub domain: String,
    /// The passage with the original word.
    pub context: String,
    /// Where the word begins, in characters from 0.
    pub start: usize,
    /// The original word as it is written there.
    pub word: String,
    /// What the model says in its place.
    pub prediction: String,
    /// The prediction's probability.
    pub p_prediction: f64,
    /// The original word's probability.
    pub p_word: f64,
    /// Rank of the original word among all predictions, from 1.
    pub rank_word: usize,
    /// Readings: none yet.
    pub labels: [String; 0],
}

/// The errors, and what the others were.
#[derive(Debug, Clone, Default)]
pub struct Exported {
    /// The errors, by file.
    pub errors: Vec<ErrorInContext>,
    /// Passages whose masked word was predicted right.
    pub right: usize,
    /// Wrong predictions that are no whole word of letters: punctuation, numbers, pieces of words.
    pub not_words: usize,
    /// How many errors were wanted and not found: the text is too short.
    pub missing: usize,
}

impl Exported {
    /// Writes one JSON object per line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ProbeError> {
        let io = |source| ProbeError::Write { path: path.to_owned(), source };
        let mut text = String::new();
        for error in &self.errors {
            text.push_str(&serde_json::to_string(error).map_err(|error| io(error.into()))?);
            text.push('\n');
        }
        write_atomic(path, text.as_bytes()).map_err(io)
    }
}

impl std::fmt::Display for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Exported { errors, right, not_words, missing } = self;
        write!(
            f,
            "{} errors in context; passed over: {right} right predictions, {not_words} that are no words",
            errors.len()
        )?;
        if *missing > 0 {
            write!(f, "; {missing} fewer than asked: the text has no more passages")?;
        }
        Ok(())
    }
}

/// Masks one word in each of many short passages and keeps the errors of the model there.
///
/// A passage is 15 to 70 words of whole sentences, as long as the run's rows at most. The masked word is one that is a single token of
/// letters, every such word of the passage equally likely; the prediction is kept if it is a token of letters too, no piece of a
/// longer word, and another one. Of an ELECTRA it is the generator's.
///
/// # Errors
/// A run without model or text; files that cannot be read; text without any error; a requested stop.
pub fn export(
    subject: &Subject,
    wanted: &Wanted<'_>,
    config: &RunConfig,
    tokenizer: &TextTokenizer,
    device: &Device,
    stop: &Stop,
) -> Result<Exported, ProbeError> {
    let text = if wanted.text.is_empty() { &config.data.held_out[..] } else { wanted.text };
    if text.is_empty() {
        return Err(ProbeError::NoText);
    }
    let model = subject.open(config, tokenizer, device)?;
    let prober = Prober::new(model, tokenizer.clone(), device);
    let options = SourceOptions {
        json_field: config.data.json_field.clone(),
        parquet_column: config.data.parquet_column.clone(),
        on_bad_line: config.data.on_bad_line,
        stop: stop.flag(),
    };
    let files = Sources::open(text, &options)?.files().to_vec();
    let mut out = Exported::default();
    for (number, file) in files.iter().enumerate() {
        let share = wanted.errors / files.len() + usize::from(number < wanted.errors % files.len());
        let count = share.saturating_mul(PASSAGES_PER_ERROR);
        let passages = passages::draw(file, (number as u64, count, wanted.seed), &options)?;
        let limit = config.data.length.min(prober.max_pieces() + 2) - 2;
        let places =
            passages.into_iter().filter_map(|passage| Place::of(passage, (tokenizer, &prober.facts), limit));
        let places: Vec<Place> = places.collect();
        let (domain, before) = (plain_stem(file), out.errors.len());
        let mut counter = Counter::new("predicting", "passages", places.len());
        for batch in places.chunks(BATCH) {
            counter.add(batch.len());
            if stop.requested() {
                return Err(ProbeError::Stopped);
            }
            for (place, row) in batch.iter().zip(prober.rows(batch, wanted.rate)) {
                if out.errors.len() - before < share {
                    out.add(place, &row, tokenizer, (&domain, before, wanted.sampled));
                }
            }
            if out.errors.len() - before == share {
                break;
            }
        }
        out.missing += share - (out.errors.len() - before);
    }
    if out.errors.is_empty() {
        return Err(ProbeError::NothingMasked);
    }
    Ok(out)
}

impl Subject {
    /// The model: the folder, or the newest intact checkpoint.
    fn open(
        &self,
        config: &RunConfig,
        tokenizer: &TextTokenizer,
        device: &Device,
    ) -> Result<Pretrained, ProbeError> {
        if let Some(folder) = &self.folder {
            hf::check_fit(folder, tokenizer.size(), config.data.length)?;
            return Ok(Pretrained::open_masked_lm(folder, device)?.0);
        }
        let intact = self.checkpoints.iter().rev().find_map(|folder| checkpoint::load(folder).ok());
        let mut loaded = intact.ok_or_else(|| ProbeError::NoModel { path: self.run.clone() })?;
        Ok(model::of_checkpoint(&config.model, &mut loaded, device)?)
    }
}

/// A passage with a word to mask.
struct Place {
    text: String,
    ids: Vec<u32>,
    /// Index of the word in `ids`.
    at: usize,
    /// Its first character.
    start: usize,
    word: String,
    stream: Stream,
}

impl Place {
    /// None for a passage that is longer than `limit` tokens or has no such word.
    fn of(passage: Passage, (tokenizer, facts): (&TextTokenizer, &VocabFacts), limit: usize) -> Option<Self> {
        let Passage { text, mut stream } = passage;
        let (ids, ranges) = tokenizer.encode_with_offsets(&text);
        let alone = |at: &usize| {
            let goes_on = ids.get(at + 1).is_some_and(|&next| facts.joins(ids[*at], next));
            is_word(tokenizer, ids[*at]) && !goes_on
        };
        let words: Vec<usize> = (0..ids.len()).filter(alone).collect();
        if ids.len() > limit || words.is_empty() {
            return None;
        }
        let at = words[stream.below(words.len() as u64) as usize];
        let range = ranges.get(at)?.clone();
        let (start, word) = (text.get(..range.start)?.chars().count(), text.get(range)?.to_owned());
        Some(Self { text, ids, at, start, word, stream })
    }

    /// The tokens with the word masked, and a share `rate` of the others.
    fn masked(&self, tokenizer: &TextTokenizer, rate: f64) -> Vec<u32> {
        let mask = tokenizer.special().mask;
        // Not the numbers that draw the prediction.
        let mut stream = self.stream.clone();
        let _ = stream.next_u64();
        let masked = |(at, &id): (usize, &u32)| if stream.unit() < rate || at == self.at { mask } else { id };
        let inner: Vec<u32> = self.ids.iter().enumerate().map(masked).collect();
        tokenizer.frame().single(&inner).0
    }
}

/// Whether a token is a whole word, or the beginning of one, of letters alone.
fn is_word(tokenizer: &TextTokenizer, id: u32) -> bool {
    let piece = tokenizer.piece(id);
    !piece.is_empty() && piece.chars().all(char::is_alphabetic)
}

impl Prober {
    /// Log-probabilities of all tokens of the vocabulary at the masked word of each passage.
    fn rows(&self, batch: &[Place], rate: f64) -> Vec<Vec<f64>> {
        let masked: Vec<Vec<u32>> = batch.iter().map(|place| place.masked(self.tokenizer(), rate)).collect();
        let first = self.tokenizer().frame().start();
        let rows: Vec<&[u32]> = masked.iter().map(Vec::as_slice).collect();
        let (inputs, length) = self.inputs(&rows);
        let places: Vec<i32> =
            batch.iter().enumerate().map(|(row, place)| (row * length + first + place.at) as i32).collect();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [batch.len()]), &self.device);
        let logits = self.model.masked_logits(&inputs, places, &Noise::none());
        let [_, width] = logits.dims();
        // The embedding may be padded beyond the vocabulary; drop those logits.
        let vocabulary = self.tokenizer().size();
        params::host(logits).chunks_exact(width).map(|row| log_softmax(&row[..vocabulary])).collect()
    }
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let all = most + row.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>().ln();
    row.iter().map(|&logit| f64::from(logit) - all).collect()
}

impl Exported {
    /// Counts a prediction; keeps it if it is an error. `row`: log-probabilities of all tokens.
    fn add(
        &mut self,
        place: &Place,
        row: &[f64],
        tokenizer: &TextTokenizer,
        (domain, before, sampled): (&str, usize, bool),
    ) {
        let gold = place.ids[place.at];
        let predicted = if sampled { sample(row, place.stream.clone().unit()) } else { largest(row) } as u32;
        if predicted == gold {
            self.right += 1;
            return;
        }
        if !is_word(tokenizer, predicted) {
            self.not_words += 1;
            return;
        }
        let of_word = row[gold as usize];
        let probability = |log: f64| (1e6 * log.exp()).round() / 1e6;
        let kind = if sampled { "s-" } else { "" };
        self.errors.push(ErrorInContext {
            id: format!("{kind}{domain}-{:03}", self.errors.len() - before),
            domain: domain.to_owned(),
            context: place.text.clone(),
            start: place.start,
            word: place.word.clone(),
            prediction: tokenizer.piece(predicted),
            p_prediction: probability(row[predicted as usize]),
            p_word: probability(of_word),
            rank_word: 1 + row.iter().filter(|&&log| log > of_word).count(),
            labels: [],
        });
    }
}

/// The token where the sum of the probabilities passes `unit`.
fn sample(row: &[f64], unit: f64) -> usize {
    let mut sum = 0.0;
    let passes = |log: &f64| {
        sum += log.exp();
        sum > unit
    };
    row.iter().position(passes).unwrap_or_else(|| largest(row))
}

/// The most probable token, the first of equal ones.
fn largest(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (at, &log)| if log > row[best] { at } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        let row = log_softmax(&[0.5_f32.ln(), 0.2_f32.ln(), 0.3_f32.ln()]);
        assert_eq!([0.0, 0.49, 0.51, 0.69, 0.71, 0.999].map(|unit| sample(&row, unit)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(sample(&[f64::NAN, f64::NAN], 0.5), 0);
        assert_eq!(largest(&[-2.0, -1.0, -1.0]), 1);
    }

    #[test]
    fn a_masked_word_is_one_token_of_letters() {
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "é", "boat", "##s", "1"];
        let tokenizer = TextTokenizer::from_vocab(pieces.map(str::to_owned).to_vec(), false).unwrap();
        let place = |text: &str, limit| {
            let stream = Stream::new(1, 0, 0, fn_core::noise::Use::Test);
            Place::of(Passage { text: text.to_owned(), stream }, (&tokenizer, &tokenizer.facts()), limit)
        };
        let found = place("é 1 boats .", 9);
        let found = found.map(|place| (place.at, place.start, place.word)).unwrap();
        assert_eq!(found, (0, 0, "é".to_owned()), "boats has two tokens");
        let found = place("1 . 1 boat", 9).unwrap();
        assert_eq!((found.at, found.start, found.word.as_str()), (3, 6, "boat"));
        assert_eq!(found.masked(&tokenizer, 0.0), [2, 10, 5, 10, 4, 3]);
        assert_eq!(found.masked(&tokenizer, 1.0), [2, 4, 4, 4, 4, 3]);
        assert!(place("1 . 1 boat", 3).is_none() && place("boats 1", 9).is_none());
    }
}
