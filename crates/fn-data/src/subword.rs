//! Trains byte-level BPE and Unigram vocabularies on text, beside [`wordpiece`](crate::wordpiece).
//!
//! The `tokenizers` crate learns the pieces from counted words, in an order that makes the result the same for the same text.

use std::collections::BTreeSet;

use fn_core::panics::caught;
use rayon::prelude::*;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::normalizers::{NFC, NFKC};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use crate::error::DataError;
use crate::source::Document;
use crate::tokenise::{MAX_WORD, SPECIAL_TOKENS, TextTokenizer, byte_characters};
use crate::wordpiece::{
    Alphabet, COVERAGE, Counted, Coverage, MAX_LETTERS, MAX_WORDS, MIN_FREQUENCY, TrainedWordPiece,
    WordPieceOptions, count_words,
};

/// Kind of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// BERT's, with `##` before pieces within words.
    #[default]
    WordPiece,
    /// Byte-level BPE, as in RoBERTa and ModernBERT: `Ġ` before pieces that begin a word; every text can be written.
    Bpe,
    /// SentencePiece's Unigram, as in XLM-R: `▁` before pieces that begin a word.
    Unigram,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(["wordpiece", "bpe", "unigram"][*self as usize])
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let kinds = [Self::WordPiece, Self::Bpe, Self::Unigram];
        let found = kinds.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| "expected wordpiece, bpe or unigram".to_owned())
    }
}

/// Mark of SentencePiece before a word.
const MARK: char = '▁';

/// Trains a byte-level BPE vocabulary of at most `options.size` pieces: the special tokens (as in ModernBERT `[PAD]`, `[UNK]`,
/// `[CLS]`, `[SEP]` and `[MASK]`), the 256 bytes, and what is learnt. The same text gives the same vocabulary. Text is normalised to
/// NFC, and lower-cased if `options.lowercase`.
///
/// # Errors
/// An error of the library; a text without words; a limited alphabet, or fewer pieces than bytes and special tokens.
pub fn train_bpe(
    documents: impl Iterator<Item = Document>,
    options: &WordPieceOptions,
) -> Result<TrainedWordPiece, DataError> {
    let first: Vec<String> = SPECIAL_TOKENS
        .iter()
        .map(|&token| token.to_owned())
        .chain(sorted(byte_characters()).map(String::from))
        .collect();
    if options.limit_alphabet.is_some() {
        return Err(failed(
            "a byte-level vocabulary writes every character with its 256 bytes; leave out --limit-alphabet",
        ));
    }
    if options.size < first.len() {
        let least = first.len();
        return Err(failed(format!(
            "--size is {}; allowed: {least} or more, the bytes and the special tokens",
            options.size
        )));
    }
    let splitter = ByteLevel::new(false, true, true);
    let split = |stretch: &str, with: &mut dyn FnMut(&str)| {
        let Some(text) = normalised(stretch, &NFC, options.lowercase) else { return };
        let mut pieces = PreTokenizedString::from(text);
        if splitter.pre_tokenize(&mut pieces).is_ok() {
            for (word, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
                with(word);
            }
        }
    };
    let counted = count_words(documents, true, MAX_WORDS, &split);
    let scaled = scaled(&counted)?;
    let scaled = scaled.into_iter().map(|(word, count)| (word.into(), u64::from(count))).collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(options.size)
        .min_frequency(MIN_FREQUENCY)
        .limit_alphabet(0)
        .special_tokens(first.into_iter().map(|token| AddedToken::from(token, true)).collect())
        .show_progress(false)
        .build();
    let mut model = BPE::default();
    trainer.do_train(&scaled, &mut model).map_err(|e| failed(e.to_string()))?;
    let model = serde_json::to_value(&model).map_err(|e| failed(e.to_string()))?;
    let step = |prefix: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true});
    let tokenizer = tokenizer("NFC", options.lowercase, [step(false), step(true)], model)?;
    // All bytes are pieces, and each stands for itself.
    let running = counted.words.iter().map(|(word, count)| word.chars().count() as u64 * count).sum();
    let coverage = Coverage { characters: 256, covered: 256, running, unknown: 0 };
    Ok(TrainedWordPiece::new(tokenizer, coverage, &counted))
}

/// Trains a Unigram vocabulary of at most `options.size` pieces: the special tokens, all characters of the text (or those of a
/// limited alphabet, or that fit, as in [`train_wordpiece`](crate::wordpiece::train_wordpiece)), and what is learnt. The same text
/// gives the same vocabulary. Text is normalised to NFKC, and lower-cased if `options.lowercase`.
///
/// # Errors
/// An error of the library; a text without words; a limit of 0.
pub fn train_unigram(
    documents: impl Iterator<Item = Document>,
    options: &WordPieceOptions,
) -> Result<TrainedWordPiece, DataError> {
    if options.limit_alphabet == Some(0) {
        return Err(failed("an alphabet of 0 characters; at least 1 is needed (--limit-alphabet)"));
    }
    let split = |stretch: &str, with: &mut dyn FnMut(&str)| {
        let Some(text) = normalised(stretch, &NFKC, options.lowercase) else { return };
        for word in text.get().split_whitespace() {
            with(&format!("{MARK}{word}"));
        }
    };
    let counted = count_words(documents, false, MAX_WORDS, &split);
    let alphabet = Alphabet::of(&counted);
    let kept = kept(&alphabet, options);
    let known = |word: &str| word.chars().all(|c| kept.contains(&c));
    let mut sentences: Vec<(String, u32)> = scaled(&counted)?
        .into_iter()
        .filter(|(word, _)| known(word) && word.chars().count() <= MAX_WORD)
        .collect();
    // The library takes its alphabet from the words: those of dropped or long words are added as words of their own.
    let present: BTreeSet<char> = sentences.iter().flat_map(|(word, _)| word.chars()).collect();
    sentences.extend(kept.difference(&present).map(|c| (c.to_string(), 1)));
    let model = learn_unigram(sentences, options.size)?;
    let step = json!({"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": true});
    let splitter = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, step]});
    let tokenizer = tokenizer("NFKC", options.lowercase, [splitter, step], model)?;
    let counts = |c: &char| alphabet.all.get(c).copied().unwrap_or(0);
    // The mark is no character of the text.
    let of_text = |c: &&char| **c != MARK;
    let running: u64 = alphabet.all.keys().filter(of_text).map(counts).sum();
    let covered = kept.iter().filter(of_text).count() as u64;
    let coverage = Coverage {
        characters: alphabet.all.keys().filter(of_text).count() as u64,
        covered,
        running,
        unknown: running - kept.iter().filter(of_text).map(counts).sum::<u64>(),
    };
    Ok(TrainedWordPiece::new(tokenizer, coverage, &counted))
}

/// The model that the library learns from words and their counts.
fn learn_unigram(mut sentences: Vec<(String, u32)>, size: usize) -> Result<Value, DataError> {
    sentences.sort_unstable();
    let trainer = UnigramTrainer::builder()
        .vocab_size(u32::try_from(size).map_err(|_| failed("--size is too large"))?)
        .special_tokens(
            SPECIAL_TOKENS.iter().map(|&token| AddedToken::from(token.to_owned(), true)).collect(),
        )
        .unk_token(Some(SPECIAL_TOKENS[1].to_owned()))
        .show_progress(false)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    // One thread, since sums of several would depend on their number; the library panics where a likelihood is not finite.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|e| failed(e.to_string()))?;
    let learnt = pool.install(|| {
        caught(|| {
            let mut model = Unigram::default();
            trainer.do_train(sentences, &mut model).map_err(|e| failed(e.to_string()))?;
            serde_json::to_value(&model).map_err(|e| failed(e.to_string()))
        })
    });
    let mut model = learnt.unwrap_or_else(|| Err(failed("the likelihood of the text is not finite")))?;
    if let Some(pieces) = model.get_mut("vocab").and_then(Value::as_array_mut) {
        settle(pieces);
    }
    Ok(model)
}

/// Gives the scores of characters that were not learnt, which the library hands out in random order, in the order of the
/// characters; and sorts pieces by score and text.
fn settle(pieces: &mut Vec<Value>) {
    let special = SPECIAL_TOKENS.len().min(pieces.len());
    let mut learnt: Vec<(String, f64)> = pieces[special..]
        .iter()
        .filter_map(|piece| Some((piece.get(0)?.as_str()?.to_owned(), piece.get(1)?.as_f64()?)))
        .collect();
    let lowest = learnt.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let single = |text: &str| text.chars().count() == 1;
    // The library adds 0.0001 for each.
    let band = lowest + 1e-4 * learnt.len() as f64 + 1e-9;
    let at: Vec<usize> =
        (0..learnt.len()).filter(|&at| single(&learnt[at].0) && learnt[at].1 <= band).collect();
    let mut texts: Vec<String> = at.iter().map(|&at| learnt[at].0.clone()).collect();
    let mut scores: Vec<f64> = at.iter().map(|&at| learnt[at].1).collect();
    texts.sort_unstable();
    scores.sort_by(|a, b| b.total_cmp(a));
    for ((at, text), score) in at.into_iter().zip(texts).zip(scores) {
        learnt[at] = (text, score);
    }
    learnt.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    pieces.truncate(special);
    pieces.extend(learnt.into_iter().map(|(text, score)| json!([text, score])));
}

/// The characters that become pieces: the most frequent ones of the limit, and as many as fit; see [`COVERAGE`].
fn kept(alphabet: &Alphabet, options: &WordPieceOptions) -> BTreeSet<char> {
    let mut frequent: Vec<(char, u64)> = alphabet.all.iter().map(|(&c, &count)| (c, count)).collect();
    // The mark first: without it, no word has a beginning.
    frequent.sort_by_key(|&(c, count)| (c != MARK, std::cmp::Reverse(count), c));
    frequent.truncate(options.limit_alphabet.map_or(usize::MAX, |limit| limit.saturating_add(1)));
    let room = options.size.saturating_sub(SPECIAL_TOKENS.len());
    if frequent.len() > room {
        let enough = COVERAGE * alphabet.all.values().sum::<u64>() as f64;
        let mut covered = 0.0;
        let take = frequent.iter().take_while(|&&(_, count)| {
            let take = covered < enough;
            covered += count as f64;
            take
        });
        let take = take.count().min(room);
        frequent.truncate(take);
    }
    frequent.into_iter().map(|(c, _)| c).collect()
}

/// Words and their counts, scaled so that the library can add them up in 31 bits.
fn scaled(counted: &Counted) -> Result<Vec<(String, u32)>, DataError> {
    if counted.words.is_empty() {
        return Err(failed("the text has no words"));
    }
    let letters: u64 = counted.words.par_iter().map(|(word, count)| word.len() as u64 * count).sum();
    let scale = letters.div_ceil(MAX_LETTERS);
    let count = |count: u64| u32::try_from(count.div_ceil(scale)).unwrap_or(u32::MAX);
    Ok(counted.words.iter().map(|(word, &n)| (word.to_string(), count(n))).collect())
}

/// A text after normalisation; None if it fails, which it does not on valid text.
fn normalised(text: &str, form: &impl Normalizer, lowercase: bool) -> Option<NormalizedString> {
    let mut text = NormalizedString::from(text);
    form.normalize(&mut text).ok()?;
    if lowercase {
        text.lowercase();
    }
    Some(text)
}

/// The tokenizer of a learnt model. `steps`: how text is split, and how it is put together again.
fn tokenizer(
    form: &str,
    lowercase: bool,
    steps: [Value; 2],
    model: Value,
) -> Result<TextTokenizer, DataError> {
    let mut normalizers = vec![json!({"type": form})];
    if lowercase {
        normalizers.push(json!({"type": "Lowercase"}));
    }
    let added: Vec<Value> = (0..)
        .zip(SPECIAL_TOKENS)
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": content == SPECIAL_TOKENS[4],
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let [splitter, decoder] = steps;
    TextTokenizer::from_rules(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": splitter, "post_processor": null, "decoder": decoder, "model": model,
    }))
}

fn sorted(mut characters: [char; 256]) -> impl Iterator<Item = char> {
    characters.sort_unstable();
    characters.into_iter()
}

fn failed(message: impl Into<String>) -> DataError {
    DataError::Training { message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenise::WordMark;

    const TEXT: &str = "The keeper counts the ships, and the keeper's bridge is unpassable.\nNobody counts 中文 ships; they count bees.\n";

    fn documents(times: usize) -> impl Iterator<Item = Document> {
        (0..times).map(|_| Document { text: TEXT.to_owned() })
    }

    fn options(size: usize, lowercase: bool, limit_alphabet: Option<usize>) -> WordPieceOptions {
        WordPieceOptions { size, lowercase, limit_alphabet }
    }

    #[test]
    fn a_byte_level_vocabulary_writes_every_text_and_learns_words() {
        let trained = train_bpe(documents(20), &options(400, false, None)).unwrap().tokenizer;
        assert!((262..=400).contains(&trained.size()), "{}", trained.size());
        assert_eq!((trained.special().pad, trained.special().mask), (0, 4));
        assert_eq!(*trained.mark(), WordMark::ByteLevel);
        assert!(trained.id("Ġkeeper").is_some() && trained.spelled_id("keeper").is_some());
        for text in ["The keeper", "Ünïcödé 🐝", "中文"] {
            assert_eq!(trained.decode(&trained.encode(text)), text);
        }
        let lower = train_bpe(documents(20), &options(400, true, None)).unwrap().tokenizer;
        assert!(lower.lowercase() && lower.encode("The") == lower.encode("the") && !trained.lowercase());
        assert!(train_bpe(documents(1), &options(260, false, None)).is_err());
        assert!(train_bpe(documents(1), &options(400, false, Some(9))).is_err());
        assert!(train_bpe(documents(0), &options(400, false, None)).is_err());
    }

    #[test]
    fn a_unigram_vocabulary_keeps_the_alphabet_unless_it_is_limited() {
        let trained = train_unigram(documents(20), &options(120, false, None)).unwrap();
        let (tokenizer, coverage) = (&trained.tokenizer, trained.coverage);
        assert_eq!((coverage.covered, coverage.unknown), (coverage.characters, 0));
        assert!(tokenizer.size() <= 120 && *tokenizer.mark() == WordMark::Blank('▁'));
        let unknown = tokenizer.special().unk;
        let ids = tokenizer.encode(TEXT);
        assert!(!ids.contains(&unknown));
        assert_eq!(tokenizer.decode(&ids), TEXT.split_whitespace().collect::<Vec<_>>().join(" "));
        let limited = train_unigram(documents(20), &options(120, false, Some(12))).unwrap();
        assert_eq!(limited.coverage.covered, 12);
        assert!(
            limited.coverage.unknown > 0
                && limited.tokenizer.encode("中").contains(&limited.tokenizer.special().unk)
        );
        assert!(train_unigram(documents(1), &options(120, false, Some(0))).is_err());
    }

    #[test]
    fn the_same_text_gives_the_same_vocabulary() {
        let trained = |kind: usize| {
            let of = options(300, true, None);
            let trained =
                if kind == 0 { train_bpe(documents(9), &of) } else { train_unigram(documents(9), &of) };
            trained.unwrap().tokenizer
        };
        for kind in [0, 1] {
            let dirs = [0, 1].map(|_| {
                let dir = tempfile::tempdir().unwrap();
                trained(kind).save(dir.path()).unwrap();
                std::fs::read_to_string(dir.path().join("tokenizer.json")).unwrap()
            });
            assert_eq!(dirs[0], dirs[1], "{kind}");
        }
    }
}
