//! A WordPiece vocabulary out of text.

use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    AddedToken, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Trainer,
};

use crate::error::DataError;
use crate::source::Document;
use crate::tokenise::{CONTINUES, Normalisation, SPECIAL_TOKENS, TextTokenizer, normalizer};

/// Single characters that become pieces; rarer ones are unknown. As in Hugging Face's BERT trainer.
const ALPHABET: usize = 1_000;
/// Pieces that occur less often are not worth having.
const MIN_FREQUENCY: u64 = 2;

/// Trains a vocabulary of at most `size` pieces, the special tokens first. The same text gives the same vocabulary.
///
/// # Errors
/// What the library cannot do; text without a single word.
pub fn train_wordpiece(
    documents: impl Iterator<Item = Document> + Send,
    size: usize,
    lowercase: bool,
) -> Result<TextTokenizer, DataError> {
    let failed = |message: String| DataError::Training { message };
    let special = SPECIAL_TOKENS.map(|t| AddedToken::from(t, true)).to_vec();
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(size)
        .min_frequency(MIN_FREQUENCY)
        .limit_alphabet(ALPHABET)
        .special_tokens(special)
        .continuing_subword_prefix(CONTINUES.to_owned())
        .show_progress(false)
        .build();
    let normalizer = normalizer(Normalisation::bert(lowercase));
    let words = |text: &str| -> tokenizers::Result<Vec<String>> {
        let mut normalized = NormalizedString::from(text);
        normalizer.normalize(&mut normalized)?;
        let mut pieces = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut pieces)?;
        let splits = pieces.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(splits.into_iter().map(|(word, _, _)| word.to_owned()).collect())
    };
    trainer
        .feed(documents.map(|d| d.text), words)
        .map_err(|e| failed(e.to_string()))?;
    let mut model = WordPiece::default();
    trainer.train(&mut model).map_err(|e| failed(e.to_string()))?;
    let mut vocabulary: Vec<(String, u32)> = model.get_vocab().into_iter().collect();
    vocabulary.sort_by_key(|&(_, id)| id);
    if vocabulary.len() <= SPECIAL_TOKENS.len() {
        return Err(failed("the text has no words".to_owned()));
    }
    TextTokenizer::from_vocab(
        vocabulary.into_iter().map(|(piece, _)| piece).collect(),
        lowercase,
    )
}
