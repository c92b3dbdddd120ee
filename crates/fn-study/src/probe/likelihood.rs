//! How likely a model finds whole sentences.

use burn::tensor::{Int, Tensor, TensorData};
use fn_models::params;
use fn_ops::Noise;
use fn_train::stop::Stop;

use super::score::log_original;
use super::{ProbeError, Prober, Scorer};

/// Tokens of a batch, padding included.
const BATCH_TOKENS: usize = 4096;
/// Most sequences of a batch: each has one row of logits.
const BATCH_ROWS: usize = 256;
/// Sentences whose masked copies are in memory at once.
const SENTENCES: usize = 2048;

/// A score of a whole sentence: a sum of log-probabilities (natural logarithm), higher is likelier. `[CLS]` and `[SEP]` are not scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Likelihood {
    /// Pseudo-log-likelihood (Salazar et al., *Masked Language Model Scoring*, 2020): `sum_t log p(w_t | the sentence with w_t masked)`.
    Pseudo,
    /// The same, with the later pieces of the same word masked as well (Kauf & Ivanova, *A Better Way to Do Masked Language Model Scoring*,
    /// 2023): a piece is not guessed from the rest of its own word.
    WithinWord,
    /// A discriminator's own score: `sum_t log p(w_t is original | the sentence)`, of one pass over the unmasked sentence. It is no
    /// likelihood of the sentence: the discriminator only ever learnt to tell replaced tokens.
    Original,
}

impl Likelihood {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        ["pseudo-log-likelihood", "within words left to right", "discriminator"][self as usize]
    }
}

/// A sequence with a masked place whose token is scored.
struct Masked {
    ids: Vec<u32>,
    place: usize,
    token: u32,
    sentence: usize,
    /// Whether it counts for [`Likelihood::Pseudo`] and for [`Likelihood::WithinWord`].
    counts: [bool; 2],
}

impl Prober {
    /// The scores that this model can give: both of a masked LM (of an ELECTRA: its generator), that of a discriminator.
    pub fn likelihoods(&self) -> Vec<Likelihood> {
        let of = |scorer: &Scorer| match scorer {
            Scorer::MaskedLm | Scorer::Generator => vec![Likelihood::Pseudo, Likelihood::WithinWord],
            Scorer::Discriminator => vec![Likelihood::Original],
        };
        self.scorers().iter().flat_map(of).collect()
    }

    /// Scores of sentences (ids without `[CLS]` and `[SEP]`, at most the model's length less 2), `[sentences][likelihoods]` in the order
    /// of [`likelihoods`](Self::likelihoods). `done` hears how many sentences are done, now and then.
    ///
    /// # Errors
    /// [`ProbeError::Stopped`].
    pub fn log_likelihoods(
        &self,
        sentences: &[Vec<u32>],
        stop: &Stop,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f64>>, ProbeError> {
        let kinds = self.likelihoods();
        let mut out = vec![vec![0.0; kinds.len()]; sentences.len()];
        for (chunk, (sentences, out)) in
            sentences.chunks(SENTENCES).zip(out.chunks_mut(SENTENCES)).enumerate()
        {
            let before = chunk * SENTENCES;
            if kinds.contains(&Likelihood::Pseudo) {
                self.masked_sums(sentences, out, stop, &mut |share| {
                    done(before + (share * sentences.len() as f64) as usize);
                })?;
            }
            if let Some(at) = kinds.iter().position(|kind| *kind == Likelihood::Original) {
                self.original_sums(sentences, out, at, stop)?;
            }
            done(before + sentences.len());
        }
        Ok(out)
    }

    /// Adds to the first two scores of each sentence.
    fn masked_sums(
        &self,
        sentences: &[Vec<u32>],
        out: &mut [Vec<f64>],
        stop: &Stop,
        done: &mut dyn FnMut(f64),
    ) -> Result<(), ProbeError> {
        let mut masked: Vec<Masked> = Vec::new();
        for (sentence, pieces) in sentences.iter().enumerate() {
            self.mask(sentence, pieces, &mut masked);
        }
        // Sequences of similar length together: less padding.
        masked.sort_by_key(|masked| masked.ids.len());
        let mut at = 0;
        while at < masked.len() {
            if stop.requested() {
                return Err(ProbeError::Stopped);
            }
            let fits = |rows: &usize| {
                let longest = masked[at + rows - 1].ids.len();
                *rows == 1 || rows * longest <= BATCH_TOKENS
            };
            let rows = (1..=BATCH_ROWS.min(masked.len() - at)).take_while(fits).last().unwrap_or(1);
            let batch = &masked[at..at + rows];
            for (masked, log) in batch.iter().zip(self.log_probabilities(batch)) {
                for (kind, counts) in masked.counts.into_iter().enumerate() {
                    if counts {
                        out[masked.sentence][kind] += log;
                    }
                }
            }
            at += rows;
            done(at as f64 / masked.len() as f64);
        }
        Ok(())
    }

    /// The masked copies of a sentence: each piece alone, and each piece with the later ones of its word.
    fn mask(&self, sentence: usize, pieces: &[u32], masked: &mut Vec<Masked>) {
        let special = self.tokenizer().special();
        let first = self.tokenizer().frame().start();
        for (at, &token) in pieces.iter().enumerate() {
            let later = pieces[at..].windows(2).take_while(|ids| self.facts.joins(ids[0], ids[1])).count();
            let mut ids = self.framed(pieces);
            let place = first + at;
            ids[place] = special.mask;
            if later > 0 {
                let mut whole = ids.clone();
                whole[place..=place + later].fill(special.mask);
                masked.push(Masked { ids: whole, place, token, sentence, counts: [false, true] });
            }
            masked.push(Masked { ids, place, token, sentence, counts: [true, later == 0] });
        }
    }

    /// `[CLS] pieces [SEP]`, or as the tokenizer frames a text.
    fn framed(&self, pieces: &[u32]) -> Vec<u32> {
        self.tokenizer().frame().single(pieces).0
    }

    /// Log-probability of the token at the masked place of each sequence.
    fn log_probabilities(&self, batch: &[Masked]) -> Vec<f64> {
        let rows: Vec<&[u32]> = batch.iter().map(|masked| &masked.ids[..]).collect();
        let (inputs, length) = self.inputs(&rows);
        let ids = |ids: Vec<i32>| {
            let count = ids.len();
            Tensor::<1, Int>::from_data(TensorData::new(ids, [count]), &self.device)
        };
        let place = |(row, masked): (usize, &Masked)| (row * length + masked.place) as i32;
        let places = ids(batch.iter().enumerate().map(place).collect());
        let tokens = ids(batch.iter().map(|masked| masked.token as i32).collect());
        let logits = self.model.masked_logits(&inputs, places, &Noise::none());
        let losses = params::host(fn_ops::cross_entropy_rows(logits, tokens));
        losses.into_iter().map(|loss| -f64::from(loss)).collect()
    }

    /// Writes the discriminator's score of each sentence.
    fn original_sums(
        &self,
        sentences: &[Vec<u32>],
        out: &mut [Vec<f64>],
        at: usize,
        stop: &Stop,
    ) -> Result<(), ProbeError> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&sentence| sentences[sentence].len());
        for batch in order.chunks(32) {
            if stop.requested() {
                return Err(ProbeError::Stopped);
            }
            let first = self.tokenizer().frame().start();
            let framed: Vec<Vec<u32>> =
                batch.iter().map(|&sentence| self.framed(&sentences[sentence])).collect();
            let rows: Vec<&[u32]> = framed.iter().map(Vec::as_slice).collect();
            let (inputs, length) = self.inputs(&rows);
            let Some(logits) = self.model.replaced_logits(&inputs, &Noise::none()) else { return Ok(()) };
            let logits = params::host(logits);
            for (row, &sentence) in batch.iter().enumerate() {
                let pieces = row * length + first..row * length + first + sentences[sentence].len();
                out[sentence][at] = logits[pieces].iter().map(|&logit| log_original(f64::from(logit))).sum();
            }
        }
        Ok(())
    }
}
