//! A WordPiece vocabulary out of text.
//!
//! The `tokenizers` crate learns the pieces. It breaks ties by the order of a hash map that differs from run to run, so it is
//! given what decides its numbering beforehand, in sorted order: the alphabet, as words begin and as they go on.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
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
/// Documents that are counted at once: keeps all cores busy in little memory.
const CHUNK: usize = 512;

/// Trains a vocabulary of at most `size` pieces, the special tokens first. The same text gives the same vocabulary.
///
/// # Errors
/// What the library cannot do; text without a single word.
pub fn train_wordpiece(
    documents: impl Iterator<Item = Document>,
    size: usize,
    lowercase: bool,
) -> Result<TextTokenizer, DataError> {
    let failed = |message: String| DataError::Training { message };
    let words = count_words(documents, &normalizer(Normalisation::bert(lowercase)));
    if words.is_empty() {
        return Err(failed("the text has no words".to_owned()));
    }
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(size)
        .min_frequency(MIN_FREQUENCY)
        .limit_alphabet(0)
        .special_tokens(
            first_pieces(&words)
                .into_iter()
                .map(|t| AddedToken::from(t, true))
                .collect(),
        )
        .continuing_subword_prefix(CONTINUES.to_owned())
        .show_progress(false)
        .build();
    // The library counts what it is fed: each word as often as it occurred.
    let repeat = |entry: &str| -> tokenizers::Result<Vec<String>> {
        let (count, word) = entry.split_once(' ').ok_or("no count")?;
        Ok(vec![word.to_owned(); count.parse()?])
    };
    let entries = words.iter().map(|(word, count)| format!("{count} {word}"));
    trainer.feed(entries, repeat).map_err(|e| failed(e.to_string()))?;
    let mut model = WordPiece::default();
    trainer.train(&mut model).map_err(|e| failed(e.to_string()))?;
    let mut vocabulary: Vec<(String, u32)> = model.get_vocab().into_iter().collect();
    vocabulary.sort_by_key(|&(_, id)| id);
    TextTokenizer::from_vocab(
        vocabulary.into_iter().map(|(piece, _)| piece).collect(),
        lowercase,
    )
}

/// How often each word occurs, after normalisation.
fn count_words(
    mut documents: impl Iterator<Item = Document>,
    normalizer: &BertNormalizer,
) -> BTreeMap<String, u64> {
    let mut words = BTreeMap::new();
    loop {
        let chunk: Vec<Document> = documents.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            return words;
        }
        let counted: Vec<HashMap<String, u64>> =
            chunk.par_iter().map(|d| words_of(&d.text, normalizer)).collect();
        for (word, count) in counted.into_iter().flatten() {
            *words.entry(word).or_default() += count;
        }
    }
}

fn words_of(text: &str, normalizer: &BertNormalizer) -> HashMap<String, u64> {
    let mut words = HashMap::new();
    for line in text.lines() {
        let mut normalized = NormalizedString::from(line);
        // Neither step fails on text; a line that nevertheless does has no words.
        if normalizer.normalize(&mut normalized).is_err() {
            continue;
        }
        let mut pieces = PreTokenizedString::from(normalized);
        if BertPreTokenizer.pre_tokenize(&mut pieces).is_err() {
            continue;
        }
        for (word, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    words
}

/// Special tokens, then the most frequent characters, then those that go on a word.
fn first_pieces(words: &BTreeMap<String, u64>) -> Vec<String> {
    let (mut all, mut inner) = (BTreeMap::<char, u64>::new(), BTreeMap::<char, u64>::new());
    for (word, &count) in words {
        for (place, c) in word.chars().enumerate() {
            *all.entry(c).or_default() += count;
            if place > 0 {
                *inner.entry(c).or_default() += count;
            }
        }
    }
    let mut frequent: Vec<(char, u64)> = all.into_iter().collect();
    frequent.sort_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
    frequent.truncate(ALPHABET);
    frequent.sort_unstable();
    let special = SPECIAL_TOKENS.iter().map(|&t| t.to_owned());
    let plain = frequent.iter().map(|(c, _)| c.to_string());
    let going_on = frequent
        .iter()
        .filter(|(c, _)| inner.contains_key(c))
        .map(|(c, _)| format!("{CONTINUES}{c}"));
    special.chain(plain).chain(going_on).collect()
}
