//! From what people said to pairs of ids, with traps from WordNet.

use std::collections::BTreeMap;

use fn_data::lexicon::{PairRelation, Relations, is_word};
use fn_data::tokenise::TextTokenizer;
use serde::Serialize;

use super::{Exam, ExamError};

/// A word that looks like a substitute to a judge of association and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trap {
    /// An opposite, for adjectives also through a similar one.
    Antonym = 0,
    /// Another hyponym of a direct hypernym.
    Sister = 1,
    /// Another form of the same lemma.
    Inflection = 2,
}

/// All traps with the relation that they are taken from and how many each target gets at most.
pub const TRAPS: [(Trap, PairRelation, usize); 3] = [
    (Trap::Antonym, PairRelation::Antonym, 3),
    (Trap::Sister, PairRelation::Sister, 3),
    (Trap::Inflection, PairRelation::Inflection, 2),
];

impl Trap {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        ["antonym", "sister", "inflection"][self as usize]
    }
}

/// A target and a word in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Index of the target in [`Exam::targets`].
    pub target: usize,
    /// Id of the target word, in lower case.
    pub word: u32,
    /// Id of the substitute.
    pub substitute: u32,
    /// At least half of the people call it good. Traps that nobody was asked about are errors.
    pub good: bool,
    /// Whether people were asked about it.
    pub asked: bool,
    /// Index of what they said in [`Exam::opinions`]; None where nobody was asked.
    pub opinion: Option<usize>,
    /// Which traps it is, by [`Trap`].
    pub traps: [bool; 3],
}

/// Substitutes that cannot be asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The target is inflected, and substitutes are lemmas.
    pub inflected_target: usize,
    /// Target or substitute is not one lower-case alphabetic piece of the vocabulary.
    pub several_pieces: usize,
    /// The substitute is the target.
    pub same_word: usize,
    /// People gave no label.
    pub unlabelled: usize,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LeftOut { inflected_target, several_pieces, same_word, unlabelled } = self;
        write!(
            f,
            "left out: {inflected_target} with an inflected target, {several_pieces} that are not one lower-case piece, {same_word} \
             equal to the target, {unlabelled} without label"
        )
    }
}

/// The pairs of an exam that a vocabulary can be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared<'a> {
    /// Where they come from.
    pub exam: &'a Exam,
    /// By target; those that people were asked about in the order of the file, then traps.
    pub pairs: Vec<Pair>,
    /// What was left out.
    pub left_out: LeftOut,
    /// Size of the vocabulary.
    pub vocabulary: usize,
    /// Its SHA-256.
    pub vocabulary_sha256: String,
}

impl Exam {
    /// Keeps the pairs whose target and substitute are one lower-case alphabetic piece of the vocabulary each, and differ; where
    /// substitutes are lemmas, only targets in their base form. With `relations`, adds the [`TRAPS`] of every target: of the words that
    /// stand in the relation, and that people do not call good here, those with the lowest ids (in the usual vocabularies the most
    /// frequent ones).
    ///
    /// # Errors
    /// No pair is left; all of them are good, or none is.
    pub fn prepare(
        &self,
        tokenizer: &TextTokenizer,
        relations: Option<&Relations>,
    ) -> Result<Prepared<'_>, ExamError> {
        let mut left_out = LeftOut { unlabelled: self.unlabelled, ..LeftOut::default() };
        let id = |word: &str| tokenizer.spelled_id(word).filter(|_| is_word(word));
        let mut by_target: Vec<BTreeMap<u32, usize>> = vec![BTreeMap::new(); self.targets.len()];
        let mut words: Vec<Option<u32>> = vec![None; self.targets.len()];
        let mut pairs: Vec<Pair> = Vec::new();
        for (index, opinion) in self.opinions.iter().enumerate() {
            let target = &self.targets[opinion.target];
            let word = target.word.to_lowercase();
            if self.lemmas && target.lemma.as_ref().is_some_and(|lemma| *lemma != word) {
                left_out.inflected_target += 1;
                continue;
            }
            if word == opinion.substitute {
                left_out.same_word += 1;
                continue;
            }
            let (Some(word), Some(substitute)) = (id(&word), id(&opinion.substitute)) else {
                left_out.several_pieces += 1;
                continue;
            };
            let pair = Pair {
                target: opinion.target,
                word,
                substitute,
                good: opinion.good(),
                asked: true,
                opinion: Some(index),
                traps: [false; 3],
            };
            words[opinion.target] = Some(word);
            by_target[opinion.target].insert(substitute, pairs.len());
            pairs.push(pair);
        }
        let (count, good) = (pairs.len(), pairs.iter().filter(|pair| pair.good).count());
        if count == 0 {
            let left_out = left_out.to_string();
            return Err(ExamError::Nothing {
                name: self.name.clone(),
                opinions: self.opinions.len(),
                left_out,
            });
        }
        if good == 0 || good == count {
            return Err(ExamError::OneKind { name: self.name.clone(), good, pairs: count });
        }
        for (target, word) in words.iter().enumerate() {
            let (Some(word), Some(relations)) = (*word, relations) else { continue };
            for (trap, relation, most) in TRAPS {
                let known = &mut by_target[target];
                let open = |id: &&u32| known.get(*id).is_none_or(|&at| !pairs[at].good);
                let chosen: Vec<u32> =
                    relations.of(word, relation).iter().filter(open).take(most).copied().collect();
                for substitute in chosen {
                    let at = *known.entry(substitute).or_insert_with(|| {
                        pairs.push(Pair {
                            target,
                            word,
                            substitute,
                            good: false,
                            asked: false,
                            opinion: None,
                            traps: [false; 3],
                        });
                        pairs.len() - 1
                    });
                    pairs[at].traps[trap as usize] = true;
                }
            }
        }
        pairs.sort_by_key(|pair| pair.target);
        Ok(Prepared {
            exam: self,
            pairs,
            left_out,
            vocabulary: tokenizer.size(),
            vocabulary_sha256: tokenizer.sha256().to_owned(),
        })
    }
}
