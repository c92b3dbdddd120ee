//! Synthetic sequences (structure without meaning) for pre-training before text.
//!
//! A row is `[CLS] symbols [SEP]` of exactly the given length: one segment, no padding. The symbols are ids of ordinary pieces
//! of the vocabulary, chosen at random from the seed, so the model needs no change when text begins. Row `n` is a function of
//! (configuration, vocabulary, seed, `n`, length); there is no state.
//!
//! ```
//! use fn_core::vocab::{SpecialIds, VocabFacts};
//! use fn_data::synthetic::{Synthetic, SyntheticConfig, SyntheticKind};
//!
//! let vocabulary = VocabFacts::plain(300, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
//! let config = SyntheticConfig { kind: SyntheticKind::ShuffleDyck, ..Default::default() };
//! let maker = Synthetic::new(&config, &vocabulary, 1)?.expect("a kind was named");
//! assert_eq!(maker.row(7, 32).ids.len(), 32);
//! assert_eq!(maker.row(7, 32), maker.row(7, 32));
//! # Ok::<(), fn_data::synthetic::SyntheticError>(())
//! ```

mod config;
mod dyck;
mod rnn;

pub use config::{SyntheticConfig, SyntheticError, SyntheticKind};
use fn_core::noise::{Stream, Use};
use fn_core::vocab::{SpecialIds, VocabFacts};

use crate::pack::PackedRow;
use crate::tokenise::Frame;

/// Generates synthetic rows. See the [module page](self).
#[derive(Debug, Clone, PartialEq)]
pub struct Synthetic {
    source: Source,
    seed: u64,
    special: SpecialIds,
    /// The id of each symbol.
    ids: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    ShuffleDyck { k: usize, p: f64, depth: usize },
    LinearRnn(rnn::Network),
}

impl Synthetic {
    /// The generator for a configuration; None for the kind `none`.
    ///
    /// # Errors
    /// A number out of range, or a vocabulary with fewer than `2 k` pieces that are not special tokens.
    pub fn new(
        config: &SyntheticConfig,
        vocabulary: &VocabFacts,
        seed: u64,
    ) -> Result<Option<Self>, SyntheticError> {
        config.validate()?;
        let symbols = 2 * config.k;
        let source = match config.kind {
            SyntheticKind::None => return Ok(None),
            SyntheticKind::ShuffleDyck => {
                Source::ShuffleDyck { k: config.k, p: config.p, depth: config.depth }
            }
            SyntheticKind::LinearRnn => Source::LinearRnn(rnn::Network::new(seed, config.dim, symbols)),
        };
        let mut ids: Vec<u32> = (0..vocabulary.size as u32).filter(|&id| vocabulary.maskable(id)).collect();
        if ids.len() < symbols {
            return Err(SyntheticError::VocabularyTooSmall {
                k: config.k,
                needed: symbols,
                found: ids.len(),
                most: ids.len() / 2,
            });
        }
        Stream::new(seed, 0, 0, Use::Synthetic).shuffle(&mut ids);
        ids.truncate(symbols);
        Ok(Some(Self { source, seed, special: vocabulary.special, ids }))
    }

    /// Row `number`, of `length` ids including `[CLS]` and `[SEP]`; at least these two.
    pub fn row(&self, number: u64, length: usize) -> PackedRow {
        let mut stream = Stream::new(self.seed, 1, number, Use::Synthetic);
        let inner = length.saturating_sub(2);
        let symbols = match &self.source {
            Source::ShuffleDyck { k, p, depth } => dyck::symbols(inner, *k, *p, *depth, &mut stream),
            Source::LinearRnn(network) => network.symbols(inner, &mut stream),
        };
        let tokens: Vec<u32> = symbols.iter().map(|&symbol| self.ids[symbol]).collect();
        PackedRow::one(&Frame::bert(self.special), &tokens)
    }

    /// The id of each symbol. For brackets, symbol `2 t` opens type `t` and symbol `2 t + 1` closes it.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

#[cfg(test)]
mod tests;
