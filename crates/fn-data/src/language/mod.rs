//! A generated language whose false negatives are known by construction.
//!
//! The language has *concepts* (meanings) and *words* (their written forms). A small grammar samples the concept of each slot
//! of a sentence: a document has a topic, a noun prefers certain adjectives and verbs, a verb prefers certain objects, adverbs
//! and one preposition, determiners agree with the class of their noun. The concept is then written as one of its
//! interchangeable words, which is sampled by rank (Zipf) independently of the context. So two words of a concept are
//! interchangeable wherever the concept occurs, and a prediction `r` for the word `w` of a slot is a false negative exactly if
//! `r != w` and `r` is a word of the concept of the slot ([`Language::is_false_negative`]).
//!
//! A share of the words is polysemous: they belong to two concepts. A look-up set does not distinguish them by context, so
//! even the complete lexicon ([`Language::lexicon`]) has imperfect precision, like WordNet on English.
//!
//! Every token is a whole word of a vocabulary of a few hundred pieces, so no tokenizer has to be trained; the text
//! ([`Language::documents`]) can also be written to a `.txt` file and read by the ordinary pipeline.
//!
//! **Ceiling.** The choice among interchangeable words is not predictable. [`Language::ceiling`] computes the accuracy of the
//! Bayes-optimal prediction from the grammar; with the default configuration (435 pieces) it is 0.75 over all tokens and 0.54
//! over the content words, whose *concept* is predicted correctly in 0.88. About three quarters of the errors of the optimal
//! prediction are false negatives.
//!
//! Everything is a function of the configuration and two seeds: that of the language and that of the text.
//!
//! ```
//! use fn_data::language::{Language, LanguageConfig};
//! let language = Language::new(LanguageConfig::default(), 1)?;
//! let row = language.row(0, 64, 7);
//! let (at, slot) = row.slots.iter().enumerate().find_map(|(i, s)| s.map(|s| (i, s))).expect("a content word");
//! assert!(language.truth_fits(slot, row.ids[at]));
//! assert!(!language.is_false_negative(slot, row.ids[at], row.ids[at]));
//! # Ok::<(), fn_data::language::LanguageError>(())
//! ```

mod ceiling;
mod conditional;
mod config;
mod fits;
mod grammar;
mod template;
#[cfg(test)]
mod tests;
mod words;

pub use ceiling::Ceiling;
pub use conditional::PlannedRow;
pub use config::{LanguageConfig, LanguageError};

use fn_core::files::hex;
use fn_core::lexicon::{Lexicon, LexiconError, LexiconInfo};
use fn_core::noise::{Stream, Use, mix};
use fn_core::vocab::{SpecialIds, VocabFacts};
use grammar::{Grammar, Sentence};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use template::{Part, Role};

/// The five special pieces, in the order of their ids.
pub const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const SPECIAL_IDS: SpecialIds = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

/// The concept of a slot of a sentence, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlotId(pub u32);

/// A packed row with its ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthRow {
    /// `[CLS] sentences [SEP]`, without padding; at most the requested length.
    pub ids: Vec<u32>,
    /// The concept of each id; `None` for special tokens, function words and punctuation.
    pub slots: Vec<Option<SlotId>>,
}

/// Errors of a look-up table compared with the ground truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LexiconNoise {
    /// Share of the true synonym pairs that the table contains, in `[0, 1]`. Default 1.
    pub coverage: f64,
    /// Number of wrong pairs that are added, as a share of the number of true pairs; at least 0. Default 0.
    pub wrong: f64,
}

impl Default for LexiconNoise {
    fn default() -> Self {
        LexiconNoise { coverage: 1.0, wrong: 0.0 }
    }
}

/// A language: words, concepts and grammar. See the [module page](self).
///
/// Invariants: every content word belongs to one or two concepts; every concept has at least one word; word ids are below
/// [`size`](Self::size); ids 0 to 4 are [`SPECIALS`].
#[derive(Debug, Clone)]
pub struct Language {
    config: LanguageConfig,
    seed: u64,
    vocabulary: Vec<String>,
    /// Words of each concept, the most frequent first.
    words: Vec<Vec<u32>>,
    /// Probability of each of these words given the concept.
    weights: Vec<Vec<f64>>,
    /// Concepts of each word, ascending; empty for specials and function words.
    senses: Vec<Vec<u32>>,
    grammar: Grammar,
    templates: Vec<Vec<Part>>,
    /// First ids of the determiners and prepositions, and the ids of comma and full stop.
    function: FunctionWords,
}

#[derive(Debug, Clone)]
struct FunctionWords {
    comma: u32,
    stop: u32,
    /// `[class of the noun][0 subject, 1 otherwise]`
    determiners: Vec<[u32; 2]>,
    prepositions: Vec<u32>,
}

impl Language {
    /// Builds the language: words, synonym sets, polysemy and the preferences of the grammar.
    ///
    /// # Errors
    /// The configuration is out of range; the error names the field.
    pub fn new(config: LanguageConfig, seed: u64) -> Result<Self, LanguageError> {
        let templates = config.validate()?;
        let mut stream = Stream::new(seed, 0, 0, Use::Language);
        let grammar = Grammar::new(&config, &mut stream);
        let sets = words::synonym_sets(&config, &grammar, &mut stream);
        let coined = words::coin(config.function_words(), sets.word_count, &mut stream);

        let mut vocabulary: Vec<String> = SPECIALS.iter().map(ToString::to_string).collect();
        vocabulary.extend([",".to_string(), ".".to_string()]);
        let first_function = vocabulary.len() as u32;
        vocabulary.extend(coined.function);
        let first_content = vocabulary.len() as u32;
        vocabulary.extend(coined.content);
        let classes = config.noun_classes as u32;
        let function = FunctionWords {
            comma: 5,
            stop: 6,
            determiners: (0..classes).map(|c| [first_function + 2 * c, first_function + 2 * c + 1]).collect(),
            prepositions: (0..config.prepositions as u32).map(|p| first_function + 2 * classes + p).collect(),
        };
        let words: Vec<Vec<u32>> =
            sets.sets.iter().map(|set| set.iter().map(|w| first_content + w).collect()).collect();
        let weights = words.iter().map(|set| words::zipf(set.len(), config.zipf)).collect();
        let mut senses = vec![Vec::new(); vocabulary.len()];
        for (concept, set) in words.iter().enumerate() {
            for &word in set {
                senses[word as usize].push(concept as u32);
            }
        }
        Ok(Language { config, seed, vocabulary, words, weights, senses, grammar, templates, function })
    }

    /// The configuration of this language.
    pub fn config(&self) -> &LanguageConfig {
        &self.config
    }

    /// All pieces in the order of their ids: special tokens, punctuation, function words, content words.
    pub fn vocabulary(&self) -> Vec<String> {
        self.vocabulary.clone()
    }

    /// Number of pieces.
    pub fn size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The written form of an id, if there is one.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.vocabulary.get(id as usize).map(String::as_str)
    }

    /// SHA-256 (hex) over `"piece\n"` in the order of the ids, as for tokenizers.
    pub fn vocabulary_sha256(&self) -> String {
        let mut hash = Sha256::new();
        for piece in &self.vocabulary {
            hash.update(piece.as_bytes());
            hash.update(b"\n");
        }
        hex(&hash.finalize())
    }

    /// The ids of `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`.
    pub fn special(&self) -> SpecialIds {
        SPECIAL_IDS
    }

    /// The properties of the vocabulary that masking needs; no piece continues another.
    pub fn facts(&self) -> VocabFacts {
        VocabFacts::plain(self.size(), SPECIAL_IDS)
    }

    /// Number of concepts.
    pub fn concepts(&self) -> usize {
        self.words.len()
    }

    /// The interchangeable words of a concept, the most frequent first; empty for an unknown concept.
    pub fn realisations(&self, slot: SlotId) -> &[u32] {
        self.words.get(slot.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether `word` belongs to the concept of `slot`; true for the original word.
    pub fn truth_fits(&self, slot: SlotId, word: u32) -> bool {
        self.realisations(slot).contains(&word)
    }

    /// The ground truth of detection: whether `predicted` is not the original word, but has the same meaning in this slot.
    pub fn is_false_negative(&self, slot: SlotId, gold: u32, predicted: u32) -> bool {
        predicted != gold && self.truth_fits(slot, predicted)
    }

    /// The first `n` documents of the text with this seed: one sentence on each line, words and punctuation separated by
    /// single blanks, without blank lines. Document `i` does not depend on `n`.
    pub fn documents(&self, n: usize, seed: u64) -> impl Iterator<Item = String> + '_ {
        (0..n as u64).map(move |i| self.document(i, seed))
    }

    /// Document `i` of the text with this seed.
    pub fn document(&self, i: u64, seed: u64) -> String {
        let mut writer = Writer::new(self, self.text_stream(i, seed, 1));
        let (low, high) = (self.config.sentences.0 as u64, self.config.sentences.1 as u64);
        let count = low + writer.stream.below(high - low + 1);
        let lines: Vec<String> = (0..count)
            .map(|_| {
                let (ids, _) = writer.sentence();
                let words: Vec<&str> = ids.iter().filter_map(|&id| self.word(id)).collect();
                words.join(" ")
            })
            .collect();
        lines.join("\n")
    }

    /// The first `n` packed rows of the text with this seed; row `i` does not depend on `n`.
    pub fn rows(&self, n: usize, length: usize, seed: u64) -> Vec<TruthRow> {
        (0..n as u64).map(|i| self.row(i, length, seed)).collect()
    }

    /// Row `i`: `[CLS]`, as many whole sentences of a document as fit into `length`, `[SEP]`.
    ///
    /// If not even one sentence fits, the row is `[CLS] [SEP]`.
    pub fn row(&self, i: u64, length: usize, seed: u64) -> TruthRow {
        self.planned_row(i, length, seed).truth
    }

    /// The context-free look-up table: `V(w)` = all words that share a concept with `w` in *any* of its senses, with the errors
    /// of `noise`. Symmetric; a function of the language and `noise`.
    ///
    /// # Errors
    /// None if `noise` is in its range; otherwise those of the validation of lexicons.
    pub fn lexicon(&self, vocabulary_sha256: &str, noise: LexiconNoise) -> Result<Lexicon, LexiconError> {
        let truth = self.true_pairs();
        let mut stream = Stream::new(self.seed, 3, 0, Use::Language);
        let mut pairs: BTreeSet<(u32, u32)> =
            truth.iter().copied().filter(|_| stream.unit() < noise.coverage).collect();
        let first = self.senses.iter().position(|s| !s.is_empty()).unwrap_or(0) as u64;
        let content = self.size() as u64 - first;
        let room = content * content.saturating_sub(1) / 2 - truth.len() as u64;
        let wanted = ((truth.len() as f64 * noise.wrong.max(0.0)).round() as u64).min(room / 2);
        let mut added = 0;
        while added < wanted {
            let (a, b) = ((first + stream.below(content)) as u32, (first + stream.below(content)) as u32);
            let pair = (a.min(b), a.max(b));
            if a != b && !truth.contains(&pair) && pairs.insert(pair) {
                added += 1;
            }
        }
        let mut rows = vec![Vec::new(); self.size()];
        for (a, b) in pairs {
            rows[a as usize].push(b);
            rows[b as usize].push(a);
        }
        let rows = rows.into_iter().enumerate().filter(|(_, r)| !r.is_empty()).map(|(w, r)| (w as u32, r));
        let info = LexiconInfo {
            kind: "planted".into(),
            vocabulary_sha256: vocabulary_sha256.into(),
            note: format!("seed {}, coverage {}, wrong {}", self.seed, noise.coverage, noise.wrong),
        };
        Lexicon::from_rows(self.size(), rows, info)
    }

    /// All pairs `(a, b)`, `a < b`, of different words that share at least one concept.
    pub fn true_pairs(&self) -> BTreeSet<(u32, u32)> {
        let mut pairs = BTreeSet::new();
        for set in &self.words {
            for (i, &a) in set.iter().enumerate() {
                for &b in &set[i + 1..] {
                    pairs.insert((a.min(b), a.max(b)));
                }
            }
        }
        pairs
    }

    fn text_stream(&self, i: u64, seed: u64, kind: u64) -> Stream {
        Stream::new(mix(&[self.seed, seed]), kind, i, Use::Language)
    }

    /// Ids and slots of a sentence; words are sampled with `stream`.
    fn write(&self, sentence: &Sentence, stream: &mut Stream) -> (Vec<u32>, Vec<Option<SlotId>>) {
        let parts = &self.templates[sentence.template];
        let mut ids = Vec::with_capacity(parts.len());
        let mut slots = Vec::with_capacity(parts.len());
        for &part in parts {
            let concept = sentence.concept(part);
            ids.push(match (part, concept) {
                (_, Some(concept)) => {
                    let rank = grammar::draw(&self.weights[concept as usize], stream);
                    self.words[concept as usize][rank]
                }
                (Part::Determiner(role), None) => {
                    let class = self.grammar.class_of(sentence.noun(role));
                    self.function.determiners[class][usize::from(role != Role::Subject)]
                }
                (Part::Preposition, None) => {
                    self.function.prepositions[self.grammar.preposition_of(sentence.verb())]
                }
                (Part::Comma, None) => self.function.comma,
                _ => self.function.stop,
            });
            slots.push(concept.map(SlotId));
        }
        (ids, slots)
    }
}

/// Generates an endless document: its topic, and the noun that links consecutive sentences.
struct Writer<'a> {
    language: &'a Language,
    stream: Stream,
    topic: usize,
    previous: Option<u32>,
}

impl<'a> Writer<'a> {
    fn new(language: &'a Language, mut stream: Stream) -> Self {
        let topic = stream.below(language.config.topics as u64) as usize;
        Writer { language, stream, topic, previous: None }
    }

    fn plan(&mut self) -> Sentence {
        let template = self.stream.below(self.language.templates.len() as u64) as usize;
        let parts = &self.language.templates[template];
        let sentence =
            self.language.grammar.sentence(self.topic, self.previous, template, parts, &mut self.stream);
        self.previous = Some(sentence.last_noun());
        sentence
    }

    fn sentence(&mut self) -> (Vec<u32>, Vec<Option<SlotId>>) {
        let sentence = self.plan();
        self.language.write(&sentence, &mut self.stream)
    }
}
