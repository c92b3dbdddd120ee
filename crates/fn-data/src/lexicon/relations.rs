//! How WordNet relates two words of a vocabulary: seven yes-or-no answers, of which some speak for a substitute and some against it.
//!
//! Words are compared as forms of lemmas: *went* is to *traveled* what *go* is to *travel*, and unrelated to *travel*, which does not
//! fit in its place. Lemmas that WordNet writes with a capital only (names) take no part.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::build::is_word;
use super::wordnet::{Form, POS, Pos, Relation, Synset, SynsetId, WordNet};

/// What WordNet may say of two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairRelation {
    /// They stand in one synset.
    Synonym = 0,
    /// The most frequent sense of both is the same.
    FirstSynonym = 1,
    /// They are opposites, for adjectives also through a similar one: *damp* and *dry*, since *damp* is similar to *wet*.
    Antonym = 2,
    /// They have a direct hypernym in common: *oak* and *elm*.
    Sister = 3,
    /// One is directly above the other: *tree* and *oak*.
    Hypernym = 4,
    /// WordNet calls the adjectives similar: *wet* and *damp*.
    Similar = 5,
    /// They are forms of one lemma: *go* and *went*.
    Inflection = 6,
}

/// All of them, in the order of their numbers.
pub const PAIR_RELATIONS: [PairRelation; 7] = [
    PairRelation::Synonym,
    PairRelation::FirstSynonym,
    PairRelation::Antonym,
    PairRelation::Sister,
    PairRelation::Hypernym,
    PairRelation::Similar,
    PairRelation::Inflection,
];

impl PairRelation {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        ["synonym", "first-synonym", "antonym", "sister", "hypernym", "similar", "inflection"][self as usize]
    }
}

/// A word as a form of a lemma.
type Reading<'a> = (Pos, Form, &'a str);

/// The related words of every word of a vocabulary.
#[derive(Debug, Clone)]
pub struct Relations {
    /// By relation and id: related ids, ascending.
    related: [Vec<Vec<u32>>; 7],
}

impl Relations {
    /// Relates the pieces of a vocabulary, in the order of their ids. Pieces that are no lower-case words are related to nothing.
    pub fn new(net: &WordNet, pieces: &[impl AsRef<str>]) -> Self {
        let mut hyponyms: HashMap<SynsetId, Vec<SynsetId>> = HashMap::new();
        for (id, synset) in net.all() {
            for above in targets(synset, Relation::Hypernyms) {
                hyponyms.entry(above).or_default().push(id);
            }
        }
        let mut bases: Vec<Vec<(Pos, Form, String)>> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            bases.push(if is_word(piece.as_ref()) { readings(net, piece.as_ref()) } else { Vec::new() });
        }
        let mut written: HashMap<Reading<'_>, Vec<u32>> = HashMap::new();
        let mut forms: HashMap<(Pos, &str), Vec<u32>> = HashMap::new();
        for (id, of_piece) in bases.iter().enumerate() {
            for (pos, form, lemma) in of_piece {
                written.entry((*pos, *form, lemma)).or_default().push(id as u32);
                forms.entry((*pos, lemma)).or_default().push(id as u32);
            }
        }
        let mut related: [Vec<Vec<u32>>; 7] = std::array::from_fn(|_| vec![Vec::new(); pieces.len()]);
        let finder = Finder { net, hyponyms: &hyponyms };
        for (id, of_piece) in bases.iter().enumerate() {
            for (pos, form, lemma) in of_piece {
                finder.each(lemma, *pos, &mut |relation, other| {
                    let ids = written.get(&(*pos, *form, other)).into_iter().flatten();
                    related[relation as usize][id].extend(ids.filter(|other| **other != id as u32));
                });
                let ids = forms.get(&(*pos, lemma.as_str())).into_iter().flatten();
                related[PairRelation::Inflection as usize][id]
                    .extend(ids.filter(|other| **other != id as u32));
            }
        }
        for lists in &mut related {
            symmetric(lists);
        }
        Self { related }
    }

    /// The words that stand in this relation to `word`, ascending by id; none for an id outside of the vocabulary.
    pub fn of(&self, word: u32, relation: PairRelation) -> &[u32] {
        self.related[relation as usize].get(word as usize).map_or(&[], Vec::as_slice)
    }

    /// What holds between two words, by [`PairRelation`]. Every relation is symmetric.
    pub fn between(&self, a: u32, b: u32) -> [bool; 7] {
        PAIR_RELATIONS.map(|relation| self.of(a, relation).binary_search(&b).is_ok())
    }

    /// All words with any relation to `word`, ascending.
    pub fn any(&self, word: u32) -> Vec<u32> {
        let mut all: Vec<u32> =
            PAIR_RELATIONS.iter().flat_map(|relation| self.of(word, *relation)).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Adds the other direction, sorts, and keeps each once.
fn symmetric(lists: &mut [Vec<u32>]) {
    let pairs: Vec<(u32, u32)> =
        lists.iter().enumerate().flat_map(|(a, list)| list.iter().map(move |b| (*b, a as u32))).collect();
    for (a, b) in pairs {
        lists[a as usize].push(b);
    }
    for list in lists {
        list.sort_unstable();
        list.dedup();
    }
}

/// As a lemma, and as an inflected form.
fn readings(net: &WordNet, word: &str) -> Vec<(Pos, Form, String)> {
    let mut all = Vec::new();
    for pos in POS {
        if net.has(word, pos) {
            all.push((pos, Form::Base, word.to_owned()));
        }
        all.extend(net.bases(word, pos).into_iter().map(|(base, form)| (pos, form, base)));
    }
    all
}

fn targets(synset: &Synset, relation: Relation) -> impl Iterator<Item = SynsetId> {
    synset.pointers.iter().filter(move |(found, _)| *found == relation).map(|(_, target)| *target)
}

struct Finder<'a> {
    net: &'a WordNet,
    hyponyms: &'a HashMap<SynsetId, Vec<SynsetId>>,
}

impl<'a> Finder<'a> {
    /// Calls `found` with every lemma that is related to `lemma`; one may come several times.
    fn each(&self, lemma: &str, pos: Pos, found: &mut impl FnMut(PairRelation, &'a str)) {
        let senses = self.senses(lemma, pos);
        for &id in &senses {
            let Some(own) = self.net.synset(id) else { continue };
            for other in words(own) {
                found(PairRelation::Synonym, other);
                if senses[0] == id && self.senses(other, pos).first() == Some(&id) {
                    found(PairRelation::FirstSynonym, other);
                }
            }
            for &(here, target, there) in &own.antonyms {
                if own.words.get(here).is_some_and(|word| **word == *lemma) {
                    self.antonym(target, there, found);
                }
            }
            for similar in targets(own, Relation::Similar) {
                self.words_of(similar).for_each(|other| found(PairRelation::Similar, other));
                for &(_, target, there) in self.net.synset(similar).map_or(&[][..], |s| &s.antonyms) {
                    self.antonym(target, there, found);
                }
            }
            for above in targets(own, Relation::Hypernyms) {
                self.words_of(above).for_each(|other| found(PairRelation::Hypernym, other));
                let beside = self.hyponyms.get(&above).into_iter().flatten();
                for &sister in beside.filter(|sister| !senses.contains(sister)) {
                    self.words_of(sister).for_each(|other| found(PairRelation::Sister, other));
                }
            }
        }
    }

    fn antonym(&self, synset: SynsetId, place: usize, found: &mut impl FnMut(PairRelation, &'a str)) {
        let word = self.net.synset(synset).and_then(|synset| synset.words.get(place));
        if let Some(word) = word.filter(|word| is_word(word)) {
            found(PairRelation::Antonym, word);
        }
    }

    /// The senses in which the lemma is written in lower case.
    fn senses(&self, lemma: &str, pos: Pos) -> Vec<SynsetId> {
        let spelt = |id: &&SynsetId| {
            self.net.synset(**id).is_some_and(|synset| synset.words.iter().any(|word| **word == *lemma))
        };
        self.net.senses(lemma, pos).iter().filter(spelt).copied().collect()
    }

    fn words_of(&self, synset: SynsetId) -> impl Iterator<Item = &'a str> {
        self.net.synset(synset).into_iter().flat_map(words)
    }
}

fn words(synset: &Synset) -> impl Iterator<Item = &str> {
    synset.words.iter().map(|word| &**word).filter(|word| is_word(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::wordnet::WordNetFiles;
    use std::path::Path;

    const VOCABULARY: [&str; 30] = [
        "[PAD]", "glad", "happy", "merry", "gay", "left", "big", "go", "travel", "move", "leave", "went",
        "moved", "moving", "going", "gone", "boat", "boats", "tub", "vessel", "box", "glass", "may", "bath",
        "bloom", "Go", "##go", "stop", "tubs", "thing",
    ];

    /// The dictionary of the tests, with *happy* and *left* as opposites, written at *happy* only.
    fn relations() -> Relations {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wordnet_tiny");
        let mut files = WordNetFiles::read(&dir).unwrap();
        let text = String::from_utf8(files.data[2].clone()).unwrap();
        let with = text.replacen("001 & 00000163 a 0000", "002 & 00000163 a 0000 ! 00000232 a 0201", 1);
        assert_ne!(text, with);
        files.data[2] = with.into_bytes();
        Relations::new(&WordNet::parse(&dir, &files).unwrap(), &VOCABULARY)
    }

    fn of(word: &str, relation: PairRelation) -> Vec<&'static str> {
        let id = VOCABULARY.iter().position(|w| *w == word).unwrap();
        relations().of(id as u32, relation).iter().map(|id| VOCABULARY[*id as usize]).collect()
    }

    #[test]
    fn words_of_a_synset_are_synonyms_in_the_same_form() {
        assert_eq!(of("go", PairRelation::Synonym), ["travel", "move", "leave"]);
        assert_eq!(of("went", PairRelation::Synonym), ["left", "moved", "gone"], "past forms only");
        assert_eq!(of("go", PairRelation::FirstSynonym), ["travel", "move"], "leave shares its second sense");
        assert_eq!(of("tubs", PairRelation::Synonym), ["boats"]);
        assert_eq!(of("may", PairRelation::Synonym), ["bloom"], "the month is a name");
    }

    #[test]
    fn opposites_are_found_through_similar_words_and_both_ways() {
        assert_eq!(of("happy", PairRelation::Antonym), ["left"]);
        assert_eq!(of("glad", PairRelation::Antonym), [""; 0], "its synonym has the opposite");
        assert_eq!(of("merry", PairRelation::Antonym), ["left"]);
        assert_eq!(of("left", PairRelation::Antonym), ["happy", "merry", "gay"]);
        assert_eq!(of("merry", PairRelation::Similar), ["glad", "happy"]);
    }

    #[test]
    fn sisters_share_what_is_directly_above() {
        assert_eq!(of("boat", PairRelation::Sister), ["box", "glass"]);
        assert_eq!(of("boat", PairRelation::Hypernym), ["vessel"]);
        assert_eq!(of("vessel", PairRelation::Hypernym), ["boat", "tub", "box", "glass", "thing"]);
        assert_eq!(of("bath", PairRelation::Sister), ["vessel", "may", "bloom"]);
    }

    #[test]
    fn forms_of_a_lemma_are_inflections() {
        assert_eq!(of("go", PairRelation::Inflection), ["went", "going", "gone"]);
        assert_eq!(of("went", PairRelation::Inflection), ["go", "going", "gone"]);
        assert_eq!(of("boat", PairRelation::Inflection), ["boats"]);
        assert_eq!(of("left", PairRelation::Inflection), ["leave"]);
    }

    #[test]
    fn every_relation_is_symmetric_and_between_agrees_with_the_lists() {
        let all = relations();
        for a in 0..VOCABULARY.len() as u32 {
            for b in 0..VOCABULARY.len() as u32 {
                let found = all.between(a, b);
                assert_eq!(found, all.between(b, a));
                assert_eq!(all.any(a).contains(&b), found.contains(&true));
                assert!(a != b || !found.contains(&true), "{a} is related to itself");
            }
        }
        for none in ["Go", "##go", "[PAD]"] {
            assert!(PAIR_RELATIONS.iter().all(|relation| of(none, *relation).is_empty()));
        }
        assert!(all.of(99, PairRelation::Synonym).is_empty());
    }
}
