//! Whether a model fits a tokenizer and a length.

use crate::config::EncoderConfig;

/// A model whose tables are too small for the ids or the positions that it would be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// Some of the tokenizer's pieces have no row in the token table.
    #[error(
        "the tokenizer has {tokenizer} pieces, but the model's token table has only {model} rows; use the tokenizer that the \
         model was trained with"
    )]
    Vocabulary {
        /// Rows of the token table.
        model: usize,
        /// Pieces of the tokenizer.
        tokenizer: usize,
    },
    /// Positions count from the padding id, and it is another one.
    #[error(
        "the tokenizer's padding piece has id {tokenizer}, but the model's positions count from padding id {model}; use the \
         tokenizer that the model was trained with"
    )]
    Padding {
        /// `pad_token_id` of the model.
        model: usize,
        /// The tokenizer's.
        tokenizer: u32,
    },
    /// Sequences are longer than the position table.
    #[error(
        "sequences have {length} tokens, but the model has only {model} positions; use shorter sequences (`--length`)"
    )]
    Positions {
        /// Positions of the model.
        model: usize,
        /// Tokens of the longest sequence, special tokens included.
        length: usize,
    },
}

impl EncoderConfig {
    /// Checks that there is a row of the token table for each of a tokenizer's `pieces`, and a position for each of the `length`
    /// tokens of a sequence. Anything larger would be read outside of the tables.
    ///
    /// # Errors
    /// [`FitError`] with the sizes of both sides.
    pub fn check_fit(&self, pieces: usize, length: usize) -> Result<(), FitError> {
        if pieces > self.vocab_size {
            return Err(FitError::Vocabulary { model: self.vocab_size, tokenizer: pieces });
        }
        if length > self.max_positions {
            return Err(FitError::Positions { model: self.max_positions, length });
        }
        Ok(())
    }

    /// Checks that a model whose positions count from the padding id has the id of this tokenizer: `pad`.
    ///
    /// # Errors
    /// [`FitError::Padding`] with both ids.
    pub fn check_padding(&self, pad: u32) -> Result<(), FitError> {
        match self.position_offset.checked_sub(1) {
            Some(model) if model != pad as usize => Err(FitError::Padding { model, tokenizer: pad }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EncoderConfig, FitError};

    #[test]
    fn both_sizes_may_be_used_up_and_not_exceeded() {
        let config = EncoderConfig { vocab_size: 100, max_positions: 64, ..EncoderConfig::bert_tiny() };
        assert_eq!(config.check_fit(100, 64), Ok(()));
        assert_eq!(config.check_fit(101, 64), Err(FitError::Vocabulary { model: 100, tokenizer: 101 }));
        assert_eq!(config.check_fit(100, 65), Err(FitError::Positions { model: 64, length: 65 }));
        assert_eq!(config.check_padding(7), Ok(()));
        let roberta = EncoderConfig { position_offset: 2, ..config.clone() };
        assert_eq!(roberta.check_padding(1), Ok(()));
        assert_eq!(roberta.check_padding(0), Err(FitError::Padding { model: 1, tokenizer: 0 }));
        let message = config.check_fit(101, 1).unwrap_err().to_string();
        assert!(message.contains("101 pieces") && message.contains("only 100 rows"), "{message}");
    }
}
