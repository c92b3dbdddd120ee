//! Trains a WordPiece vocabulary on text.
//!
//! The `tokenizers` crate learns the pieces. It breaks ties by the order of a hash map, which differs between runs. To make the
//! result deterministic, it is given the alphabet in sorted order beforehand, each character as it begins and as it continues a
//! word.

use std::collections::BTreeMap;

use ahash::{AHashMap, AHashSet};
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
use crate::subword::{Kind, train_bpe, train_unigram};
use crate::tokenise::{
    BLANKS, CONTINUES, MAX_WORD, Normalisation, SPECIAL_TOKENS, TextTokenizer, normalizer, plain,
};

/// Character coverage (as in SentencePiece, and its default): if not all characters of the text fit the vocabulary, the most
/// frequent ones that make up this share of the text are kept.
pub(crate) const COVERAGE: f64 = 0.9995;
/// Pieces that occur less often are not learnt.
pub(crate) const MIN_FREQUENCY: u64 = 2;
/// Text whose words are counted at once, in bytes: enough to keep all cores busy, in bounded memory.
const CHUNK_BYTES: usize = 16 << 20;
/// Maximum number of different words in memory (about 400 MB): beyond it, words with a count of 1 are dropped.
pub(crate) const MAX_WORDS: usize = 4 << 20;
/// The library counts pairs of letters in 31 bits, so the counts of larger texts are scaled down.
pub(crate) const MAX_LETTERS: u64 = 1 << 30;

type Counts<'a> = AHashMap<&'a str, u64>;

/// Options of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Maximum number of pieces, special tokens included.
    pub size: usize,
    /// Whether text is lower-cased and accents are removed.
    pub lowercase: bool,
    /// Maximum number of different characters, the most frequent ones; None: all that fit into `size`.
    pub limit_alphabet: Option<usize>,
}

/// A trained vocabulary, and how much of the training text it can represent.
#[derive(Debug, Clone)]
pub struct TrainedWordPiece {
    /// The tokenizer.
    pub tokenizer: TextTokenizer,
    /// Coverage of the characters of the text.
    pub coverage: Coverage,
}

impl TrainedWordPiece {
    /// With the share of the pieces of the text, of which these are the words, that are \[UNK\].
    pub(crate) fn new(tokenizer: TextTokenizer, coverage: Coverage, counted: &Counted) -> Self {
        let unk = tokenizer.special().unk;
        // Without an unknown character there is no unknown piece: most words need not be encoded.
        let words: Vec<(&CompactString, &u64)> = match coverage.unknown {
            0 => Vec::new(),
            _ => counted.words.iter().collect(),
        };
        let of = |&(word, &count): &(&CompactString, &u64)| {
            // Of Unigram, words are counted with the mark in place of the blank before them.
            let ids = tokenizer.encode(word.trim_start_matches('\u{2581}'));
            (count * ids.len() as u64, count * ids.iter().filter(|&&id| id == unk).count() as u64)
        };
        let add = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
        let (pieces, unknown) = words.par_iter().map(of).reduce(|| (0, 0), add);
        let tokenizer = tokenizer.trained_with(unknown as f64 / pieces.max(1) as f64);
        Self { tokenizer, coverage }
    }
}

/// How much of the training text a vocabulary can represent. Characters are those of the normalised text, without blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Number of different characters of the text.
    pub characters: u64,
    /// Number of them that are pieces, both at the beginning and within words if they occur there.
    pub covered: u64,
    /// Length of the text in characters.
    pub running: u64,
    /// Number of characters of the text in words that become \[UNK\], because a character is not covered or the word is too
    /// long.
    pub unknown: u64,
}

impl Coverage {
    /// Share of the text, in characters, that becomes \[UNK\], from 0 to 1.
    pub fn unknown_share(&self) -> f64 {
        self.unknown as f64 / (self.running as f64).max(1.0)
    }

    /// Remarks for the user about a vocabulary of `found` pieces for which `asked` pieces were requested.
    pub fn remarks(&self, found: usize, asked: usize) -> Vec<String> {
        let mut out = Vec::new();
        if self.covered < self.characters {
            out.push(format!(
                "{} characters of the text, the rarest ones, are not in the vocabulary; more of them with a larger --size, \
                 or a larger --limit-alphabet where it is given",
                self.characters - self.covered
            ));
        } else if self.unknown > 0 {
            out.push(format!(
                "words of more than {MAX_WORD} characters become [UNK], as in BERT; text of a script without blanks has to \
                 be cut into words first"
            ));
        }
        if found < asked {
            out.push(format!(
                "{asked} pieces were requested, the vocabulary has {found}: its characters, and every sequence of them that \
                 occurs twice or more within words"
            ));
        }
        out
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "characters covered: {} of {}; share of running characters that become [UNK]: {:.2} %",
            self.covered,
            self.characters,
            100.0 * self.unknown_share()
        )
    }
}

/// Trains a vocabulary of at most `size` pieces, the special tokens first. The same text gives the same vocabulary.
///
/// Every character of the text becomes a piece, as in the `tokenizers` crate, unless `limit_alphabet` is set. If they do not
/// all fit into `size`, those that make up 99.95 % of the text become pieces, or as many of them as fit.
///
/// Memory is bounded: of a text with more than four million different words, rare words are dropped (but their characters
/// count).
///
/// # Errors
/// An error of the library; a text without words; a limit of 0.
pub fn train_wordpiece(
    documents: impl Iterator<Item = Document>,
    options: &WordPieceOptions,
) -> Result<TrainedWordPiece, DataError> {
    let failed = |message: String| DataError::Training { message };
    if options.limit_alphabet == Some(0) {
        return Err(failed(
            "an alphabet of 0 characters; at least 1 is needed (--limit-alphabet)".to_owned(),
        ));
    }
    let normalizer = normalizer(Normalisation::bert(options.lowercase));
    let split =
        |stretch: &str, with: &mut dyn FnMut(&str)| words_of(stretch, options.lowercase, &normalizer, with);
    let counted = count_words(documents, false, MAX_WORDS, &split);
    if counted.words.is_empty() {
        return Err(failed("the text has no words".to_owned()));
    }
    let alphabet = Alphabet::of(&counted);
    let letters: u64 = counted.words.iter().map(|(word, count)| word.len() as u64 * count).sum();
    let scale = letters.div_ceil(MAX_LETTERS);
    let scaled = counted.words.iter().map(|(word, count)| (word.clone(), count.div_ceil(scale))).collect();
    let first = alphabet.first_pieces(options);
    let trainer = BpeTrainer::builder()
        .vocab_size(options.size)
        .min_frequency(MIN_FREQUENCY)
        .limit_alphabet(0)
        .special_tokens(first.into_iter().map(|t| AddedToken::from(t, true)).collect())
        .continuing_subword_prefix(CONTINUES.to_owned())
        .show_progress(false)
        .build();
    let mut model = BPE::default();
    trainer.do_train(&scaled, &mut model).map_err(|e| failed(e.to_string()))?;
    let mut vocabulary: Vec<(String, u32)> = model.get_vocab().into_iter().collect();
    vocabulary.sort_by_key(|&(_, id)| id);
    let pieces = vocabulary.into_iter().map(|(piece, _)| piece).collect();
    let tokenizer = TextTokenizer::from_vocab(pieces, options.lowercase)?;
    let coverage = alphabet.coverage(&counted, &tokenizer);
    Ok(TrainedWordPiece::new(tokenizer, coverage, &counted))
}

/// Trains a vocabulary of a kind on documents whose reading may fail; `seen` is called for each document.
///
/// # Errors
/// The first document that could not be read; those of [`train_wordpiece`], [`train_bpe`] and [`train_unigram`].
pub fn train_from(
    kind: Kind,
    documents: impl Iterator<Item = Result<Document, DataError>>,
    options: &WordPieceOptions,
    mut seen: impl FnMut(&Document),
) -> Result<TrainedWordPiece, DataError> {
    let mut failed = None;
    let read = documents.map_while(|document| document.map_err(|error| failed = Some(error)).ok());
    let read = read.inspect(&mut seen);
    let trained = match kind {
        Kind::WordPiece => train_wordpiece(read, options),
        Kind::Bpe => train_bpe(read, options),
        Kind::Unigram => train_unigram(read, options),
    };
    failed.map_or(trained, Err)
}

/// Words and their counts.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) words: AHashMap<CompactString, u64>,
    /// Characters of the words that were dropped.
    pub(crate) forgotten: Alphabet,
}

/// Calls a function for each word of a part of the text between blanks.
pub(crate) type Split<'a> = dyn Fn(&str, &mut dyn FnMut(&str)) + Sync + 'a;

/// Counts the words that `split` makes of the text between blanks; keeps at most about `most` words. `blanks`: with the blank before
/// it, where there is one.
pub(crate) fn count_words(
    mut documents: impl Iterator<Item = Document>,
    blanks: bool,
    most: usize,
    split: &Split<'_>,
) -> Counted {
    let mut all = Counted::default();
    loop {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while let Some(document) = (bytes < CHUNK_BYTES).then(|| documents.next()).flatten() {
            bytes += document.text.len();
            chunk.push(document);
        }
        if chunk.is_empty() {
            return all;
        }
        let stretches: Vec<(&str, u64)> = count_stretches(&chunk, blanks).into_iter().collect();
        let counted: Vec<Vec<(CompactString, u64)>> = stretches
            .par_chunks(4096)
            .map(|part| {
                let mut out = Vec::new();
                for &(stretch, count) in part {
                    split(stretch, &mut |word| out.push((word.into(), count)));
                }
                out
            })
            .collect();
        for (word, count) in counted.into_iter().flatten() {
            *all.words.entry(word).or_default() += count;
        }
        if all.words.len() > most {
            all.words.retain(|word, count| {
                if *count == 1 {
                    all.forgotten.add(word, 1);
                }
                *count > 1
            });
        }
    }
}

/// Counts the parts of the text between blanks, so that each different one is normalised only once.
fn count_stretches(documents: &[Document], blanks: bool) -> Counts<'_> {
    let lines = documents.par_iter().flat_map(|d| d.text.par_lines());
    let counts = lines.fold(Counts::new, |mut counts, line| {
        let mut end = 0;
        for stretch in line.split(BLANKS) {
            // The characters at which text is split have one byte.
            let start = end;
            end += stretch.len() + 1;
            if !stretch.is_empty() {
                let from = if blanks { start.saturating_sub(1) } else { start };
                *counts.entry(&line[from..start + stretch.len()]).or_default() += 1;
            }
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

fn words_of(stretch: &str, lowercase: bool, normalizer: &BertNormalizer, with: &mut dyn FnMut(&str)) {
    if plain::words(stretch, lowercase, &mut *with) {
        return;
    }
    // Normalisation does not fail on valid text; if it did, the part would have no words.
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

/// Counts of characters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alphabet {
    /// At any position.
    pub(crate) all: BTreeMap<char, u64>,
    /// Within words, not at their beginning.
    inner: BTreeMap<char, u64>,
}

impl Alphabet {
    pub(crate) fn of(counted: &Counted) -> Self {
        let mut alphabet = counted.forgotten.clone();
        counted.words.iter().for_each(|(word, &count)| alphabet.add(word, count));
        alphabet
    }

    fn add(&mut self, word: &str, count: u64) {
        for (place, c) in word.chars().enumerate() {
            *self.all.entry(c).or_default() += count;
            if place > 0 {
                *self.inner.entry(c).or_default() += count;
            }
        }
    }

    /// Special tokens, then the characters that are kept, then those of them that continue a word.
    fn first_pieces(&self, options: &WordPieceOptions) -> Vec<String> {
        let mut frequent: Vec<(char, u64)> = self.all.iter().map(|(&c, &count)| (c, count)).collect();
        frequent.sort_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
        frequent.truncate(options.limit_alphabet.unwrap_or(usize::MAX));
        let room = options.size.saturating_sub(SPECIAL_TOKENS.len());
        let pieces = |c: char| 1 + usize::from(self.inner.contains_key(&c));
        if frequent.iter().map(|&(c, _)| pieces(c)).sum::<usize>() > room {
            let enough = COVERAGE * self.all.values().sum::<u64>() as f64;
            let (mut used, mut covered) = (0, 0.0);
            let kept = frequent.iter().take_while(|&&(c, count)| {
                let take = covered < enough && used + pieces(c) <= room;
                (used, covered) = (used + pieces(c), covered + count as f64);
                take
            });
            let kept = kept.count();
            frequent.truncate(kept);
        }
        frequent.sort_unstable();
        let special = SPECIAL_TOKENS.iter().map(|&t| t.to_owned());
        let plain = frequent.iter().map(|(c, _)| c.to_string());
        let going_on = frequent
            .iter()
            .filter(|(c, _)| self.inner.contains_key(c))
            .map(|(c, _)| format!("{CONTINUES}{c}"));
        special.chain(plain).chain(going_on).collect()
    }

    fn coverage(&self, counted: &Counted, tokenizer: &TextTokenizer) -> Coverage {
        // A character is kept both at the beginning of words and within them, or not at all.
        let mut buffer = [0; 4];
        let known: AHashSet<char> =
            self.all.keys().copied().filter(|c| tokenizer.id(c.encode_utf8(&mut buffer)).is_some()).collect();
        let mut coverage = Coverage {
            characters: self.all.len() as u64,
            covered: known.len() as u64,
            running: self.all.values().sum(),
            unknown: counted.forgotten.all.iter().filter(|(c, _)| !known.contains(c)).map(|(_, n)| n).sum(),
        };
        for (word, &count) in &counted.words {
            let letters = word.chars().count();
            if letters > MAX_WORD || word.chars().any(|c| !known.contains(&c)) {
                coverage.unknown += letters as u64 * count;
            }
        }
        coverage
    }
}

#[cfg(test)]
mod tests;
