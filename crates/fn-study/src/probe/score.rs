//! Scores how well choices fit a gap, with a masked LM or a discriminator.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::progress::Counter;
use fn_core::vocab::VocabFacts;
use fn_data::tokenise::{Frame, TextTokenizer};
use fn_models::hf::{self, LoadReport};
use fn_models::{Inputs, Pretrained, params};
use fn_ops::Noise;
use fn_train::stop::Stop;

use super::ProbeError;

/// Marks the gap in a text.
pub const GAP: &str = "[MASK]";
/// Sequences per batch.
const BATCH: usize = 32;

/// The head that scores the choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scorer {
    /// BERT's masked LM.
    MaskedLm,
    /// ELECTRA's generator, a masked LM as well.
    Generator,
    /// ELECTRA's discriminator.
    Discriminator,
}

impl Scorer {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        ["masked LM", "generator", "discriminator"][self as usize]
    }
}

/// A text with one gap and its choices, as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloze {
    before: Vec<u32>,
    after: Vec<u32>,
    /// The tokens of each choice; none is empty.
    choices: Vec<Vec<u32>>,
}

impl Cloze {
    /// Of ids; no choice is empty.
    pub(crate) fn of_ids(before: Vec<u32>, after: Vec<u32>, choices: Vec<Vec<u32>>) -> Self {
        Self { before, after, choices }
    }

    /// The tokens of each choice.
    pub fn choices(&self) -> &[Vec<u32>] {
        &self.choices
    }

    /// The same gap with as much of the text around it as fits into a sequence of `length` tokens, special tokens included: as much before
    /// as after it, unless the text ends there.
    pub fn within(mut self, length: usize) -> Self {
        let longest = self.choices.iter().map(Vec::len).max().unwrap_or(1);
        let room = length.saturating_sub(2 + longest);
        let (before, after) = (self.before.len(), self.after.len());
        let left = before.min((room / 2).max(room.saturating_sub(after)));
        self.before.drain(..before - left);
        self.after.truncate(room - left);
        self
    }

    /// The sequence `[CLS] before FILLING after [SEP]`.
    fn filled(&self, frame: &Frame, filling: &[u32]) -> Vec<u32> {
        frame.single(&[&self.before[..], filling, &self.after].concat()).0
    }

    /// Position of the gap in [`Cloze::filled`].
    fn start(&self, frame: &Frame) -> usize {
        frame.start() + self.before.len()
    }
}

/// A pre-trained model with its tokenizer.
#[derive(Debug)]
pub struct Prober {
    pub(super) model: Pretrained,
    scorers: Vec<Scorer>,
    tokenizer: TextTokenizer,
    pub(super) facts: VocabFacts,
    pub(super) device: Device,
}

impl Prober {
    /// Reads a Hugging Face folder of BERT or ELECTRA; its [`Prober::scorers`] are the pre-training heads that the folder has.
    ///
    /// # Errors
    /// A folder that cannot be read, has no pre-training head, or a smaller vocabulary than the tokenizer.
    pub fn load(
        dir: &Path,
        tokenizer: TextTokenizer,
        device: &Device,
    ) -> Result<(Self, LoadReport), ProbeError> {
        hf::check_fit(dir, tokenizer.size(), 0)?;
        let (model, report) = Pretrained::open_with_head(dir, device)?;
        Ok((Self::new(model, tokenizer, device), report))
    }

    /// Of a model in memory, with the heads that it has.
    pub(super) fn new(model: Pretrained, tokenizer: TextTokenizer, device: &Device) -> Self {
        let fills = if model.generator().is_some() { Scorer::Generator } else { Scorer::MaskedLm };
        let scorers: Vec<Scorer> = [
            model.has_masked_lm().then_some(fills),
            model.has_discriminator().then_some(Scorer::Discriminator),
        ]
        .into_iter()
        .flatten()
        .collect();
        Self { model, scorers, facts: tokenizer.facts(), tokenizer, device: device.clone() }
    }

    /// The scorers that this model has.
    pub fn scorers(&self) -> &[Scorer] {
        &self.scorers
    }

    /// Most pieces of a text that the model reads, beside `[CLS]` and `[SEP]`.
    pub fn max_pieces(&self) -> usize {
        self.model.encoder().max_positions.saturating_sub(self.tokenizer.frame().added_to_single())
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// Encodes the text before and after a gap, and the choices. `path` and `line` are used in error messages only.
    ///
    /// # Errors
    /// A choice without tokens; a text too long for the model.
    pub fn cloze(
        &self,
        (before, after): (&str, &str),
        choices: &[String],
        (path, line): (&Path, usize),
    ) -> Result<Cloze, ProbeError> {
        // Of vocabularies whose words bring their blank along, a choice behind a blank does.
        let within = before.ends_with(char::is_whitespace);
        let encode = |choice: &String| match within {
            true => self.tokenizer.encode_word(choice),
            false => self.tokenizer.encode(choice),
        };
        let pieces: Vec<Vec<u32>> = choices.iter().map(encode).collect();
        if let Some(empty) = pieces.iter().position(Vec::is_empty) {
            let found = format!("the choice {:?}, which has no tokens", choices[empty]);
            return Err(super::lines::wrong(path, line, &found, "choices that are words"));
        }
        let mut parts = self.tokenizer.encode_around_gaps(&[before, after]);
        let (after, before) = (parts.pop().unwrap_or_default(), parts.pop().unwrap_or_default());
        let longest = pieces.iter().map(Vec::len).max().unwrap_or(1);
        let found = before.len() + after.len() + longest + self.tokenizer.frame().added_to_single();
        let limit = self.model.encoder().max_positions;
        if found > limit {
            return Err(ProbeError::TooLong { path: path.to_owned(), line, found, limit });
        }
        Ok(Cloze { before, after, choices: pieces })
    }

    /// As [`Prober::cloze`], with as much of the text as fits into a sequence of `length` tokens ([`Cloze::within`]). None if a choice has no
    /// token, or is too long itself.
    pub fn cut_cloze(
        &self,
        (before, after): (&str, &str),
        choices: &[String],
        length: usize,
    ) -> Option<Cloze> {
        let choices: Vec<Vec<u32>> = choices.iter().map(|choice| self.tokenizer.encode(choice)).collect();
        let fits = |pieces: &Vec<u32>| !pieces.is_empty() && pieces.len() + 2 <= length;
        let (before, after) = (self.tokenizer.encode(before), self.tokenizer.encode(after));
        choices.iter().all(fits).then(|| Cloze { before, after, choices }.within(length))
    }

    /// Log-probabilities (natural logarithm) of the choices of each text; higher fits better.
    ///
    /// A masked LM gets one `[MASK]` per token of a choice and gives the mean log-probability of the tokens. Among choices
    /// of one token this is the order of the logits at the mask. A discriminator gets the text with the choice in the gap and
    /// gives the mean over the choice's tokens of the log-probability that the token is original.
    ///
    /// # Errors
    /// [`ProbeError::Stopped`].
    pub fn scores(&self, clozes: &[Cloze], scorer: Scorer, stop: &Stop) -> Result<Vec<Vec<f64>>, ProbeError> {
        let (special, frame) = (self.tokenizer.special(), self.tokenizer.frame());
        let mut out: Vec<Vec<f64>> = clozes.iter().map(|cloze| vec![f64::NAN; cloze.choices.len()]).collect();
        let mut asked = Vec::new();
        for (text, cloze) in clozes.iter().enumerate() {
            let ask = |filling: &[u32], choices: Vec<usize>| Asked {
                ids: cloze.filled(frame, filling),
                text,
                start: cloze.start(frame),
                pieces: filling.len(),
                choices,
            };
            if scorer == Scorer::Discriminator {
                asked.extend(
                    cloze.choices.iter().enumerate().map(|(choice, pieces)| ask(pieces, vec![choice])),
                );
                continue;
            }
            let mut lengths: Vec<usize> = cloze.choices.iter().map(Vec::len).collect();
            lengths.sort_unstable();
            lengths.dedup();
            for length in lengths {
                let mine = (0..cloze.choices.len()).filter(|&i| cloze.choices[i].len() == length);
                asked.push(ask(&vec![special.mask; length], mine.collect()));
            }
        }
        // Batch sequences of similar length: less padding.
        asked.sort_by_key(|asked| asked.ids.len());
        let mut counter = Counter::new("scoring", "rows", asked.len());
        for batch in asked.chunks(BATCH) {
            if stop.requested() {
                return Err(ProbeError::Stopped);
            }
            self.batch(batch, clozes, scorer, &mut out);
            counter.add(batch.len());
        }
        Ok(out)
    }

    fn batch(&self, batch: &[Asked], clozes: &[Cloze], scorer: Scorer, out: &mut [Vec<f64>]) {
        let rows: Vec<&[u32]> = batch.iter().map(|asked| &asked.ids[..]).collect();
        let (inputs, length) = self.inputs(&rows);
        let noise = Noise::none();
        let places = |row: usize| (0..batch[row].pieces).map(move |k| row * length + batch[row].start + k);
        if scorer == Scorer::Discriminator {
            let Some(logits) = self.model.replaced_logits(&inputs, &noise) else { return };
            let logits = params::host(logits);
            for (row, asked) in batch.iter().enumerate() {
                let sum: f64 = places(row).map(|place| log_original(f64::from(logits[place]))).sum();
                for &choice in &asked.choices {
                    out[asked.text][choice] = sum / asked.pieces as f64;
                }
            }
            return;
        }
        let rows: Vec<i32> = (0..batch.len()).flat_map(places).map(|place| place as i32).collect();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &self.device);
        let logits = self.model.masked_logits(&inputs, rows, &noise);
        let [_, vocabulary] = logits.dims();
        let logits = params::host(logits);
        let mut rows = logits.chunks_exact(vocabulary.max(1));
        for asked in batch {
            let gap: Vec<(&[f32], f64)> =
                rows.by_ref().take(asked.pieces).map(|row| (row, log_sum(row))).collect();
            for &choice in &asked.choices {
                let pieces = &clozes[asked.text].choices[choice];
                let of = |(&piece, &(row, all)): (&u32, &(&[f32], f64))| f64::from(row[piece as usize]) - all;
                out[asked.text][choice] = pieces.iter().zip(&gap).map(of).sum::<f64>() / pieces.len() as f64;
            }
        }
    }

    /// Pads to the longest sequence; returns its length as well.
    pub(super) fn inputs(&self, rows: &[&[u32]]) -> (Inputs, usize) {
        let length = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let pad = self.tokenizer.special().pad;
        let mut ids = Vec::with_capacity(rows.len() * length);
        let mut mask = Vec::with_capacity(rows.len() * length);
        for row in rows {
            let padding = length - row.len();
            ids.extend(row.iter().copied().chain(std::iter::repeat_n(pad, padding)).map(|id| id as i32));
            mask.extend(std::iter::repeat_n(1.0_f32, row.len()));
            mask.extend(std::iter::repeat_n(0.0_f32, padding));
        }
        let shape = [rows.len(), length];
        let mut inputs =
            Inputs::plain(Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &self.device));
        if mask.contains(&0.0) {
            inputs.mask = Some(Tensor::<2>::from_data(TensorData::new(mask, shape), &self.device));
        }
        (inputs, length)
    }
}

/// A sequence of the forward pass, and the text and choices that it scores.
struct Asked {
    ids: Vec<u32>,
    text: usize,
    start: usize,
    pieces: usize,
    choices: Vec<usize>,
}

/// `ln(1 - sigmoid(logit))` for the discriminator's logit of "replaced".
pub(super) fn log_original(logit: f64) -> f64 {
    -(logit.max(0.0) + (-logit.abs()).exp().ln_1p())
}

/// `ln(sum(exp(row)))`
fn log_sum(row: &[f32]) -> f64 {
    let most = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + row.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_stay_finite_for_extreme_logits() {
        assert!((log_original(0.0) - 0.5_f64.ln()).abs() < 1e-15);
        assert_eq!(log_original(1e4), -1e4);
        assert_eq!(log_original(-1e4), 0.0);
        assert!((log_sum(&[1e4, 1e4, -1e4]) - (1e4 + 2.0_f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn a_gap_is_filled_between_the_special_tokens() {
        let cloze = Cloze { before: vec![7, 8], after: vec![9], choices: vec![vec![5, 6]] };
        let special = fn_core::vocab::SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
        let frame = Frame::bert(special);
        let filled = cloze.filled(&frame, &[5, 6]);
        assert_eq!(filled, [2, 7, 8, 5, 6, 9, 3]);
        assert_eq!(filled[cloze.start(&frame)..][..2], [5, 6]);
    }

    #[test]
    fn a_text_is_cut_around_its_gap() {
        let cloze = |before: u32, after: u32| Cloze {
            before: (0..before).collect(),
            after: (100..100 + after).collect(),
            choices: vec![vec![7], vec![8, 9]],
        };
        // Two special tokens and two of the longer choice leave room for six.
        let cut = |before, after| {
            let cut = cloze(before, after).within(10);
            (cut.before, cut.after)
        };
        assert_eq!(cut(9, 9), (vec![6, 7, 8], vec![100, 101, 102]));
        assert_eq!(cut(9, 1), (vec![4, 5, 6, 7, 8], vec![100]));
        assert_eq!(cut(1, 9), (vec![0], vec![100, 101, 102, 103, 104]));
        assert_eq!(cut(2, 1), (vec![0, 1], vec![100]));
        let none = cloze(3, 3).within(2);
        assert!(none.before.is_empty() && none.after.is_empty());
    }
}
