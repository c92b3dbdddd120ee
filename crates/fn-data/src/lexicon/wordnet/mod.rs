//! Reads WordNet 3.x from its dict files: lemmas, senses in the order of their frequency, synsets, morphy.
//!
//! The files are those of the `dict` folder (`index.noun`, `data.noun`, `noun.exc`, ... for noun, verb, adj, adv). The
//! exception lists may be missing, as they are in some distributions of WordNet 3.1; then *went* does not find *go*.
//! The order of the synsets in an index line is the order of the senses, the most frequent first.

mod error;
mod morphy;
mod parse;
#[cfg(test)]
mod tests;

pub use error::WordNetError;
pub use morphy::{Form, detach};
pub use parse::WordNetFiles;

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Part of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pos {
    /// Nouns.
    Noun = 0,
    /// Verbs.
    Verb = 1,
    /// Adjectives, satellites included.
    Adjective = 2,
    /// Adverbs.
    Adverb = 3,
}

/// All parts of speech, in the order of their numbers.
pub const POS: [Pos; 4] = [Pos::Noun, Pos::Verb, Pos::Adjective, Pos::Adverb];

impl Pos {
    /// Part of file names: `noun`, `verb`, `adj`, `adv`.
    pub fn file(self) -> &'static str {
        ["noun", "verb", "adj", "adv"][self as usize]
    }

    fn from_letter(letter: &str) -> Option<Pos> {
        Some(match letter {
            "n" => Pos::Noun,
            "v" => Pos::Verb,
            "a" | "s" => Pos::Adjective,
            "r" => Pos::Adverb,
            _ => return None,
        })
    }
}

impl std::fmt::Display for Pos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(["noun", "verb", "adjective", "adverb"][*self as usize])
    }
}

/// A relation between two words of a look-up set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Lemmas of one synset.
    Synonyms,
    /// Lemmas of a synset that is similar to it (adjectives).
    Similar,
    /// Lemmas of a direct hypernym (nouns, verbs).
    Hypernyms,
}

/// Number of a synset within one [`WordNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SynsetId(pub u32);

/// A set of words with the same meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synset {
    /// Part of speech.
    pub pos: Pos,
    /// Lemmas as written in the file (case kept, blanks as `_`), without syntactic markers.
    pub words: Vec<Box<str>>,
    /// Similar synsets and direct hypernyms.
    pub pointers: Vec<(Relation, SynsetId)>,
    /// Antonyms: index of a word in this synset, synset of its antonym, index of the antonym in that synset.
    pub antonyms: Vec<(usize, SynsetId, usize)>,
    /// Definition and examples.
    pub gloss: Box<str>,
}

/// WordNet in memory. Invariant: every [`SynsetId`] in it is an index of `synsets`.
#[derive(Debug, Clone)]
pub struct WordNet {
    synsets: Vec<Synset>,
    /// For each part of speech: the senses of each lower-case lemma, the most frequent first.
    index: [HashMap<Box<str>, Vec<SynsetId>>; 4],
    /// For each part of speech: the base forms of each irregular form.
    exceptions: [HashMap<Box<str>, Vec<Box<str>>>; 4],
    source: PathBuf,
}

impl WordNet {
    /// Reads a dict folder.
    ///
    /// # Errors
    /// A file is missing, too large, not text, or not in the format; the error names file and line.
    pub fn open(dir: &Path) -> Result<Self, WordNetError> {
        Self::parse(dir, &WordNetFiles::read(dir)?)
    }

    /// Parses files that are already in memory; `dir` is used in messages only.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn parse(dir: &Path, files: &WordNetFiles) -> Result<Self, WordNetError> {
        parse::parse(dir, files)
    }

    /// Every pair of antonyms, in both directions if the files contain both.
    pub fn antonyms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.synsets.iter().flat_map(|synset| {
            synset.antonyms.iter().filter_map(|&(here, other, there)| {
                let word = synset.words.get(here)?;
                Some((&**word, &**self.synset(other)?.words.get(there)?))
            })
        })
    }

    /// Every pair of different words of one synset.
    pub fn synonyms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.synsets.iter().flat_map(|synset| {
            let words = &synset.words;
            (0..words.len()).flat_map(move |a| (a + 1..words.len()).map(move |b| (&*words[a], &*words[b])))
        })
    }

    /// The folder it was read from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Every synset with its number.
    pub fn all(&self) -> impl Iterator<Item = (SynsetId, &Synset)> {
        self.synsets.iter().enumerate().map(|(id, synset)| (SynsetId(id as u32), synset))
    }

    /// Number of synsets.
    pub fn len(&self) -> usize {
        self.synsets.len()
    }

    /// Whether there are no synsets.
    pub fn is_empty(&self) -> bool {
        self.synsets.is_empty()
    }

    /// Number of lemmas of a part of speech.
    pub fn lemmas(&self, pos: Pos) -> usize {
        self.index[pos as usize].len()
    }

    /// Number of irregular forms of a part of speech.
    pub fn exceptions(&self, pos: Pos) -> usize {
        self.exceptions[pos as usize].len()
    }

    /// Whether `lemma` (lower case) is in the index of this part of speech.
    pub fn has(&self, lemma: &str, pos: Pos) -> bool {
        self.index[pos as usize].contains_key(lemma)
    }

    /// The senses of a lemma, the most frequent first; no morphology.
    pub fn senses(&self, lemma: &str, pos: Pos) -> &[SynsetId] {
        self.index[pos as usize].get(lemma).map_or(&[], Vec::as_slice)
    }

    /// The senses of a word: its own, then those of its base forms.
    pub fn synsets(&self, word: &str, pos: Pos) -> Vec<SynsetId> {
        let mut all = self.senses(word, pos).to_vec();
        for base in self.morphy(word, pos) {
            for sense in self.senses(&base, pos) {
                if !all.contains(sense) {
                    all.push(*sense);
                }
            }
        }
        all
    }

    /// The synset with this number, if it exists.
    pub fn synset(&self, id: SynsetId) -> Option<&Synset> {
        self.synsets.get(id.0 as usize)
    }
}
