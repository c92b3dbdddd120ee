//! A WordPiece vocabulary out of text.
//!
//! The `tokenizers` crate learns the pieces. It breaks ties by the order of a hash map that differs from run to run, so it is
//! given what decides its numbering beforehand, in sorted order: the alphabet, as words begin and as they go on.

use std::collections::BTreeMap;

use ahash::AHashMap;
use compact_str::CompactString;
use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use crate::error::DataError;
use crate::source::Document;
use crate::tokenise::{BLANKS, CONTINUES, Normalisation, SPECIAL_TOKENS, TextTokenizer, normalizer, plain};

/// Single characters that become pieces; rarer ones are unknown. As in Hugging Face's BERT trainer.
const ALPHABET: usize = 1_000;
/// Pieces that occur less often are not worth having.
const MIN_FREQUENCY: u64 = 2;
/// Text that is counted at once: keeps all cores busy in little memory.
const CHUNK_BYTES: usize = 16 << 20;
/// Different words that are kept, some 400 MB: with more of them, those seen once so far are dropped.
const MAX_WORDS: usize = 4 << 20;
/// The library counts pairs of letters in 31 bits: larger texts are scaled down.
const MAX_LETTERS: u64 = 1 << 30;

type Counts<'a> = AHashMap<&'a str, u64>;

/// Trains a vocabulary of at most `size` pieces, the special tokens first. The same text gives the same vocabulary.
///
/// Memory stays flat: of a text with more than four million different words, rare ones are forgotten.
///
/// # Errors
/// What the library cannot do; text without a single word.
pub fn train_wordpiece(
    documents: impl Iterator<Item = Document>,
    size: usize,
    lowercase: bool,
) -> Result<TextTokenizer, DataError> {
    let failed = |message: String| DataError::Training { message };
    let mut words = count_words(documents, lowercase, MAX_WORDS);
    if words.is_empty() {
        return Err(failed("the text has no words".to_owned()));
    }
    let letters: u64 = words.iter().map(|(word, count)| word.len() as u64 * count).sum();
    let scale = letters.div_ceil(MAX_LETTERS);
    words.values_mut().for_each(|count| *count = count.div_ceil(scale));
    let first = first_pieces(&words, size);
    let trainer = BpeTrainer::builder()
        .vocab_size(size)
        .min_frequency(MIN_FREQUENCY)
        .limit_alphabet(0)
        .special_tokens(first.into_iter().map(|t| AddedToken::from(t, true)).collect())
        .continuing_subword_prefix(CONTINUES.to_owned())
        .show_progress(false)
        .build();
    let mut model = BPE::default();
    trainer.do_train(&words, &mut model).map_err(|e| failed(e.to_string()))?;
    let mut vocabulary: Vec<(String, u32)> = model.get_vocab().into_iter().collect();
    vocabulary.sort_by_key(|&(_, id)| id);
    let pieces = vocabulary.into_iter().map(|(piece, _)| piece).collect();
    TextTokenizer::from_vocab(pieces, lowercase)
}

/// How often each word occurs, after normalisation; at most about `most` words.
fn count_words(
    mut documents: impl Iterator<Item = Document>,
    lowercase: bool,
    most: usize,
) -> AHashMap<CompactString, u64> {
    let normalizer = normalizer(Normalisation::bert(lowercase));
    let mut words = AHashMap::new();
    loop {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while let Some(document) = (bytes < CHUNK_BYTES).then(|| documents.next()).flatten() {
            bytes += document.text.len();
            chunk.push(document);
        }
        if chunk.is_empty() {
            return words;
        }
        let stretches: Vec<(&str, u64)> = count_stretches(&chunk).into_iter().collect();
        let counted: Vec<Vec<(CompactString, u64)>> = stretches
            .par_chunks(4096)
            .map(|part| {
                let mut out = Vec::new();
                for &(stretch, count) in part {
                    words_of(stretch, lowercase, &normalizer, |word| out.push((word.into(), count)));
                }
                out
            })
            .collect();
        for (word, count) in counted.into_iter().flatten() {
            *words.entry(word).or_default() += count;
        }
        if words.len() > most {
            words.retain(|_, count| *count > 1);
        }
    }
}

/// How often each stretch between blanks occurs: most of them many times, and each is normalised once.
fn count_stretches(documents: &[Document]) -> Counts<'_> {
    let lines = documents.par_iter().flat_map(|d| d.text.par_lines());
    let counts = lines.fold(Counts::new, |mut counts, line| {
        for stretch in line.split(BLANKS).filter(|s| !s.is_empty()) {
            *counts.entry(stretch).or_default() += 1;
        }
        counts
    });
    counts.reduce(Counts::new, |a, b| {
        let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
        for (stretch, count) in small {
            *large.entry(stretch).or_default() += count;
        }
        large
    })
}

fn words_of(stretch: &str, lowercase: bool, normalizer: &BertNormalizer, mut with: impl FnMut(&str)) {
    if plain::words(stretch, lowercase, &mut with) {
        return;
    }
    // No step fails on text; a stretch that nevertheless does has no words.
    let mut normalized = NormalizedString::from(stretch);
    if normalizer.normalize(&mut normalized).is_err() {
        return;
    }
    let mut pieces = PreTokenizedString::from(normalized);
    if BertPreTokenizer.pre_tokenize(&mut pieces).is_err() {
        return;
    }
    for (word, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        with(word);
    }
}

/// Special tokens, then the most frequent characters, then those that go on a word: at most half of a small vocabulary.
fn first_pieces(words: &AHashMap<CompactString, u64>, size: usize) -> Vec<String> {
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
    frequent.truncate(ALPHABET.min(size.saturating_sub(SPECIAL_TOKENS.len()) / 4));
    frequent.sort_unstable();
    let special = SPECIAL_TOKENS.iter().map(|&t| t.to_owned());
    let plain = frequent.iter().map(|(c, _)| c.to_string());
    let going_on =
        frequent.iter().filter(|(c, _)| inner.contains_key(c)).map(|(c, _)| format!("{CONTINUES}{c}"));
    special.chain(plain).chain(going_on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(texts: &[&str]) -> impl Iterator<Item = Document> {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        texts.into_iter().map(|text| Document { text })
    }

    #[test]
    fn words_are_counted_as_the_tokenizer_cuts_them() {
        let words = count_words(documents(&["The cat, the\nCafé", "cafe  THE\u{301}"]), true, 100);
        let mut words: Vec<(&str, u64)> = words.iter().map(|(w, &c)| (w.as_str(), c)).collect();
        words.sort_unstable();
        assert_eq!(words, [(",", 1), ("cafe", 2), ("cat", 1), ("the", 3)]);
    }

    #[test]
    fn rare_words_are_forgotten_when_there_are_too_many() {
        let words = count_words(documents(&["a a b b c d"]), true, 3);
        assert_eq!(words.len(), 2);
    }

    #[test]
    fn a_small_vocabulary_of_a_text_with_many_letters_keeps_its_size() {
        let text: String = ('a'..='z').chain('α'..='ω').flat_map(|c| [c, 'x', c, ' ']).collect();
        let tokenizer = train_wordpiece(documents(&[&text, &text, &text]), 60, true);
        assert!(tokenizer.is_ok_and(|t| t.size() <= 60));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let text: String = (0..20_000_u32).map(|i| format!("w{} x{}é\n", i % 777, i % 91)).collect();
        let train = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
            let train =
                || train_wordpiece(documents(&[&text, &text]), 300, true).map(|t| t.pieces().to_vec());
            pool.map(|pool| pool.install(train).ok())
        };
        assert_eq!(train(1), train(3));
        assert!(train(1).flatten().is_some_and(|pieces| pieces.len() == 300));
    }
}
