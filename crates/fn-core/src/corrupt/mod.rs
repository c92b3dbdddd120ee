//! Which positions of a sequence are masked, and what replaces them: ids in, ids out.
//!
//! Two choices, one file per variant. *Where*: single tokens (`token.rs`), words (`whole_word.rs`) or spans (`span.rs`).
//! *What*: the shares of `[MASK]`, random words and unchanged tokens of BERT ([`bert`]) or ELECTRA ([`electra`]).
//!
//! A sequence's corruption is a function of its ids and its [`Key`]: not of the batch, of padding, or of the thread that computes it.

pub mod bert;
mod config;
pub mod electra;
mod span;
mod token;
mod whole_word;

pub use config::{CorruptionConfig, MaskRate, Scheme, Shares, Unit};

use crate::error::CoreError;
use crate::noise::{Stream, Use};
use crate::vocab::VocabFacts;

/// What the corruption of a sequence depends on, beside its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Micro-batch (or epoch) in which the sequence is used.
    pub step: u64,
    /// Number of the sequence.
    pub row: u64,
}

/// A corrupted sequence.
///
/// Invariants: `positions` ascend, `gold.len() == positions.len()`, and `input` differs from the original at `positions`
/// only (where the original id is in `gold`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptedRow {
    /// Ids that the model sees, as many as came in.
    pub input: Vec<u32>,
    /// Masked positions within the sequence.
    pub positions: Vec<u32>,
    /// Original id at each of them.
    pub gold: Vec<u32>,
}

/// Positions that are replaced in one go: they share one draw of mask, random or keep.
pub(crate) type Group = Vec<u32>;

/// Corrupts sequences.
///
/// ```
/// use fn_core::corrupt::{CorruptionConfig, Corruptor, Key};
/// use fn_core::vocab::{SpecialIds, VocabFacts};
/// let vocab = VocabFacts::plain(100, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
/// let corruptor = Corruptor::new(CorruptionConfig::default(), vocab)?;
/// let ids: Vec<u32> = [2].into_iter().chain(10..50).chain([3]).collect();
/// let row = corruptor.corrupt(&ids, Key { seed: 1, step: 0, row: 0 });
/// assert_eq!(row.positions.len(), 6); // 15 % of 40
/// assert_eq!(row.gold[0], ids[row.positions[0] as usize]);
/// # Ok::<(), fn_core::error::CoreError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Corruptor {
    config: CorruptionConfig,
    shares: Shares,
    vocab: VocabFacts,
    /// Ids that may replace a token: all that are not special.
    words: Vec<u32>,
}

impl Corruptor {
    /// Checks configuration and vocabulary.
    pub fn new(config: CorruptionConfig, vocab: VocabFacts) -> Result<Self, CoreError> {
        config.validate()?;
        vocab.validate()?;
        let shares = config.shares();
        let words: Vec<u32> = (0..vocab.size as u32).filter(|&id| vocab.maskable(id)).collect();
        if shares.random > 0.0 && words.is_empty() {
            return Err(CoreError::NothingToDraw { share: shares.random, size: vocab.size });
        }
        Ok(Self { config, shares, vocab, words })
    }

    /// The configuration.
    pub fn config(&self) -> &CorruptionConfig {
        &self.config
    }

    /// The vocabulary.
    pub fn vocab(&self) -> &VocabFacts {
        &self.vocab
    }

    /// The most masked positions that a sequence of at most `length` ids gets: the configured number, or
    /// `int((rate + 0.005) * length)` as in ELECTRA, at least 1.
    pub fn max_predictions(&self, length: usize) -> usize {
        self.max_predictions_at(length, self.config.rate)
    }

    /// [`max_predictions`](Self::max_predictions) at another share of masked tokens than the configured one.
    pub fn max_predictions_at(&self, length: usize, rate: f64) -> usize {
        self.config.max_predictions.unwrap_or(((rate + 0.005) * length as f64) as usize).max(1)
    }

    /// Corrupts one sequence; `ids` may end in padding, which changes nothing. `round(rate * maskable)` positions are chosen, at
    /// least one and at most [`max_predictions`](Self::max_predictions) of the sequence without its padding; a sequence without a
    /// maskable token comes back as it is.
    pub fn corrupt(&self, ids: &[u32], key: Key) -> CorruptedRow {
        self.corrupt_at(ids, key, self.config.rate)
    }

    /// [`corrupt`](Self::corrupt) at another share of masked tokens than the configured one.
    pub fn corrupt_at(&self, ids: &[u32], key: Key, rate: f64) -> CorruptedRow {
        let real = ids.iter().rposition(|&id| id != self.vocab.special.pad).map_or(0, |last| last + 1);
        let ids_real = &ids[..real];
        let maskable = ids_real.iter().filter(|&&id| self.vocab.maskable(id)).count();
        if maskable == 0 {
            return CorruptedRow { input: ids.to_vec(), positions: Vec::new(), gold: Vec::new() };
        }
        let most = self.max_predictions_at(real, rate);
        let wanted = ((maskable as f64 * rate).round() as usize).clamp(1, most);

        let mut stream = Stream::new(key.seed, key.step, key.row, Use::Positions);
        let groups = match self.config.unit {
            Unit::Token => token::choose(ids_real, &self.vocab, wanted, &mut stream),
            Unit::WholeWord => whole_word::choose(ids_real, &self.vocab, wanted, most, &mut stream),
            Unit::Span => {
                let lengths = span::Lengths::new(self.config.span_mean, self.config.span_max);
                span::choose(ids_real, &self.vocab, wanted, &lengths, &mut stream)
            }
        };
        self.replace(ids, groups, key)
    }

    /// Replaces the groups' tokens by the shares.
    fn replace(&self, ids: &[u32], groups: Vec<Group>, key: Key) -> CorruptedRow {
        let mut choice = Stream::new(key.seed, key.step, key.row, Use::Choice);
        let mut replacement = Stream::new(key.seed, key.step, key.row, Use::Replacement);
        let mut input = ids.to_vec();
        for group in &groups {
            let u = choice.unit();
            for &position in group {
                // Drawn whether used or not: the n-th token's word depends on n alone.
                let drawn = replacement.below(self.words.len() as u64) as usize;
                if u < self.shares.mask {
                    input[position as usize] = self.vocab.special.mask;
                } else if u < self.shares.mask + self.shares.random {
                    input[position as usize] = self.words[drawn];
                }
            }
        }
        let mut positions: Vec<u32> = groups.into_iter().flatten().collect();
        positions.sort_unstable();
        let gold = positions.iter().map(|&p| ids[p as usize]).collect();
        CorruptedRow { input, positions, gold }
    }
}
