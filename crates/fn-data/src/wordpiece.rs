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
use crate::tokenise::{
    BLANKS, CONTINUES, MAX_WORD, Normalisation, SPECIAL_TOKENS, TextTokenizer, normalizer, plain,
};

/// Character coverage (as in SentencePiece, and its default): if not all characters of the text fit the vocabulary, the most
/// frequent ones that make up this share of the text are kept.
const COVERAGE: f64 = 0.9995;
/// Pieces that occur less often are not learnt.
const MIN_FREQUENCY: u64 = 2;
/// Text whose words are counted at once, in bytes: enough to keep all cores busy, in bounded memory.
const CHUNK_BYTES: usize = 16 << 20;
/// Maximum number of different words in memory (about 400 MB): beyond it, words with a count of 1 are dropped.
const MAX_WORDS: usize = 4 << 20;
/// The library counts pairs of letters in 31 bits, so the counts of larger texts are scaled down.
const MAX_LETTERS: u64 = 1 << 30;

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
    let counted = count_words(documents, options.lowercase, MAX_WORDS);
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
    Ok(TrainedWordPiece { tokenizer, coverage })
}

/// [`train_wordpiece`] on documents whose reading may fail; `seen` is called for each document.
///
/// # Errors
/// The first document that could not be read; those of [`train_wordpiece`].
pub fn train_from(
    documents: impl Iterator<Item = Result<Document, DataError>>,
    options: &WordPieceOptions,
    mut seen: impl FnMut(&Document),
) -> Result<TrainedWordPiece, DataError> {
    let mut failed = None;
    let read = documents.map_while(|document| document.map_err(|error| failed = Some(error)).ok());
    let trained = train_wordpiece(read.inspect(&mut seen), options);
    failed.map_or(trained, Err)
}

/// Words and their counts.
#[derive(Default)]
struct Counted {
    words: AHashMap<CompactString, u64>,
    /// Characters of the words that were dropped.
    forgotten: Alphabet,
}

/// Counts words after normalisation; keeps at most about `most` words.
fn count_words(mut documents: impl Iterator<Item = Document>, lowercase: bool, most: usize) -> Counted {
    let normalizer = normalizer(Normalisation::bert(lowercase));
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
struct Alphabet {
    /// At any position.
    all: BTreeMap<char, u64>,
    /// Within words, not at their beginning.
    inner: BTreeMap<char, u64>,
}

impl Alphabet {
    fn of(counted: &Counted) -> Self {
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
mod tests {
    use super::*;

    fn documents(texts: &[&str]) -> impl Iterator<Item = Document> {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        texts.into_iter().map(|text| Document { text })
    }

    fn options(size: usize, limit_alphabet: Option<usize>) -> WordPieceOptions {
        WordPieceOptions { size, lowercase: true, limit_alphabet }
    }

    fn train(texts: &[&str], size: usize, limit_alphabet: Option<usize>) -> TrainedWordPiece {
        train_wordpiece(documents(texts), &options(size, limit_alphabet)).unwrap()
    }

    /// 1,200 Chinese characters, each a word, and Greek words: more than the 1,000 characters that the library's BERT trainer
    /// keeps by default.
    fn chinese_and_greek() -> String {
        let chinese = (0..1_200_u32).map(|i| char::from_u32(0x4e00 + i).unwrap());
        let line: String = chinese.chain(" αβγ βγα γαβ αβγ".chars()).collect();
        format!("{line}\n").repeat(3)
    }

    #[test]
    fn every_character_is_kept_as_by_the_library_without_a_limit() {
        use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
        use tokenizers::{
            TokenizerBuilder, TokenizerImpl, decoders::DecoderWrapper, processors::PostProcessorWrapper,
        };
        let text = chinese_and_greek();
        let mut plainly: TokenizerImpl<
            WordPiece,
            BertNormalizer,
            BertPreTokenizer,
            PostProcessorWrapper,
            DecoderWrapper,
        > = TokenizerBuilder::new()
            .with_model(WordPiece::default())
            .with_normalizer(Some(normalizer(Normalisation::bert(true))))
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(None)
            .with_decoder(None)
            .build()
            .unwrap();
        let mut trainer = WordPieceTrainer::builder().vocab_size(1_300).show_progress(false).build();
        plainly.train(&mut trainer, std::iter::once(text.as_str())).unwrap();
        let single = |piece: &str| piece.trim_start_matches("##").chars().count() == 1;
        let mut theirs: Vec<String> =
            plainly.get_vocab(false).into_keys().filter(|piece| single(piece)).collect();
        let trained = train(&[&text], 1_300, None);
        let mut ours: Vec<String> =
            trained.tokenizer.pieces().iter().filter(|piece| single(piece)).cloned().collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 1_200 + 6);
        assert!(!trained.tokenizer.encode(&text).contains(&trained.tokenizer.special().unk));
        assert_eq!(
            trained.coverage,
            Coverage { characters: 1_203, covered: 1_203, running: 3 * 1_212, unknown: 0 }
        );
        let said = trained.coverage.to_string();
        assert_eq!(
            said,
            "characters covered: 1203 of 1203; share of running characters that become [UNK]: 0.00 %"
        );
        // "αβγ", "βγα", "γαβ" and their parts: no more pieces can be learnt from the text, and a remark says so.
        let remarks = trained.coverage.remarks(trained.tokenizer.size(), 1_300);
        assert!(remarks.len() == 1 && remarks[0].contains("1300 pieces were requested"), "{remarks:?}");
    }

    #[test]
    fn the_coverage_of_a_limited_alphabet_is_the_share_of_unk_in_the_encoded_text() {
        let text = chinese_and_greek();
        let trained = train(&[&text], 1_300, Some(900));
        let unk = trained.tokenizer.special().unk;
        // The Greek letters are most frequent; of the Chinese ones, which are equally frequent, those with the smallest code
        // are kept.
        assert_eq!((trained.coverage.covered, trained.coverage.unknown), (900, 3 * 303));
        let unknown = trained.tokenizer.encode(&text).iter().filter(|&&id| id == unk).count();
        assert_eq!(unknown as u64, trained.coverage.unknown, "each Chinese character is a word");
        assert!(
            trained
                .coverage
                .to_string()
                .contains("900 of 1203; share of running characters that become [UNK]: 25.00 %")
        );
        assert!(trained.coverage.remarks(1_300, 1_300)[0].contains("303 characters"));
        assert!(train_wordpiece(documents(&[&text]), &options(300, Some(0))).is_err());
    }

    #[test]
    fn if_not_all_characters_fit_rare_ones_do_not_displace_learnt_pieces() {
        let signs: String = (0..300_u32).flat_map(|i| [char::from_u32(0x2600 + i).unwrap(), ' ']).collect();
        let text = format!("{}\n{signs}", "the cat sat on that mat ".repeat(50_000));
        let trained = train(&[&text], 120, None);
        assert!(trained.tokenizer.id("that").is_some() && trained.coverage.unknown_share() < 5e-4);
        let all = train(&[&text], 800, None).coverage;
        assert_eq!((all.covered, all.unknown), (all.characters, 0));
    }

    #[test]
    fn words_that_are_too_long_count_as_unknown() {
        let text = format!("{} abc abc", "abc".repeat(40));
        let trained = train(&[&text], 100, None);
        assert_eq!((trained.coverage.running, trained.coverage.unknown), (126, 120));
        assert!(trained.coverage.remarks(100, 100)[0].contains("more than 100 characters"));
    }

    #[test]
    fn words_are_counted_as_the_tokenizer_splits_them() {
        let words = count_words(documents(&["The cat, the\nCafé", "cafe  THE\u{301}"]), true, 100).words;
        let mut words: Vec<(&str, u64)> = words.iter().map(|(w, &c)| (w.as_str(), c)).collect();
        words.sort_unstable();
        assert_eq!(words, [(",", 1), ("cafe", 2), ("cat", 1), ("the", 3)]);
    }

    #[test]
    fn beyond_the_limit_rare_words_are_dropped_but_not_their_characters() {
        let counted = count_words(documents(&["a a b b c de"]), true, 3);
        assert_eq!(counted.words.len(), 2);
        let alphabet = Alphabet::of(&counted);
        assert_eq!(alphabet.all.into_keys().collect::<String>(), "abcde");
    }

    #[test]
    fn a_vocabulary_smaller_than_the_alphabet_has_the_requested_size() {
        let text: String = ('a'..='z').chain('α'..='ω').flat_map(|c| [c, 'x', c, ' ']).collect();
        let trained = train(&[&text, &text, &text], 60, None);
        assert_eq!(trained.tokenizer.size(), 60);
        // To cover all 51 letters at the beginning of and within words, 5 + 3 * 51 pieces would be needed; there are 55.
        assert_eq!((trained.coverage.characters, trained.coverage.covered), (51, 27));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let text: String = (0..20_000_u32).map(|i| format!("w{} x{}é\n", i % 777, i % 91)).collect();
        let pieces = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
            let train = || {
                train_wordpiece(documents(&[&text, &text]), &options(300, None))
                    .map(|t| t.tokenizer.pieces().to_vec())
            };
            pool.map(|pool| pool.install(train).ok())
        };
        assert_eq!(pieces(1), pieces(3));
        assert!(pieces(1).flatten().is_some_and(|pieces| pieces.len() == 300));
    }
}
