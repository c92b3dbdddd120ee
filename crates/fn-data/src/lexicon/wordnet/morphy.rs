//! Base forms of inflected words, by the exception lists and detachment rules of the WordNet documentation (`morphy`).

use super::{Pos, WordNet};

/// Kind of an inflected form, so that look-up sets can be restricted to words of the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// The lemma itself.
    Base,
    /// Plural of a noun, third person of a verb.
    S,
    /// Past tense or past participle.
    Past,
    /// Present participle, gerund.
    Ing,
    /// Comparative.
    Comparative,
    /// Superlative.
    Superlative,
}

/// Suffix, its replacement, the kind of form.
type Rule = (&'static str, &'static str, Form);

const NOUN: [Rule; 8] = [
    ("s", "", Form::S),
    ("ses", "s", Form::S),
    ("xes", "x", Form::S),
    ("zes", "z", Form::S),
    ("ches", "ch", Form::S),
    ("shes", "sh", Form::S),
    ("men", "man", Form::S),
    ("ies", "y", Form::S),
];
const VERB: [Rule; 8] = [
    ("s", "", Form::S),
    ("ies", "y", Form::S),
    ("es", "e", Form::S),
    ("es", "", Form::S),
    ("ed", "e", Form::Past),
    ("ed", "", Form::Past),
    ("ing", "e", Form::Ing),
    ("ing", "", Form::Ing),
];
const ADJECTIVE: [Rule; 4] = [
    ("er", "", Form::Comparative),
    ("est", "", Form::Superlative),
    ("er", "e", Form::Comparative),
    ("est", "e", Form::Superlative),
];

/// Results of the detachment rules, which need not be words: `(base, form)` in the order of the rules.
///
/// Nouns in -ss and words of one or two letters are not changed; nouns in -ful are inflected before it (*boxesful*);
/// adverbs have no rules.
pub fn detach(word: &str, pos: Pos) -> Vec<(String, Form)> {
    let rules: &[Rule] = match pos {
        Pos::Noun => &NOUN,
        Pos::Verb => &VERB,
        Pos::Adjective => &ADJECTIVE,
        Pos::Adverb => &[],
    };
    let (stem, tail) = match word.strip_suffix("ful") {
        Some(stem) if pos == Pos::Noun && !stem.is_empty() => (stem, "ful"),
        _ => (word, ""),
    };
    if pos == Pos::Noun && (stem.ends_with("ss") || stem.chars().count() <= 2) {
        return Vec::new();
    }
    rules
        .iter()
        .filter_map(|(suffix, ending, form)| {
            let rest = stem.strip_suffix(suffix)?;
            (!rest.is_empty()).then(|| (format!("{rest}{ending}{tail}"), *form))
        })
        .collect()
}

/// Kind of an irregular form by its ending, because the exception lists do not contain it.
fn irregular(word: &str, pos: Pos) -> Form {
    match pos {
        Pos::Noun => Form::S,
        Pos::Verb if word.ends_with("ing") => Form::Ing,
        Pos::Verb if word.ends_with('s') => Form::S,
        Pos::Verb => Form::Past,
        _ if word.ends_with("st") => Form::Superlative,
        _ => Form::Comparative,
    }
}

impl WordNet {
    /// The base forms of an inflected word: those of the exception list, otherwise all results of the detachment rules that
    /// are in WordNet, without the word itself. *went* gives *go*, *axes* gives *ax* and *axis*.
    pub fn morphy(&self, word: &str, pos: Pos) -> Vec<String> {
        self.bases(word, pos).into_iter().map(|(base, _)| base).collect()
    }

    /// As [`morphy`](Self::morphy), with the kind of form.
    pub(crate) fn bases(&self, word: &str, pos: Pos) -> Vec<(String, Form)> {
        let listed = self.exceptions[pos as usize].get(word);
        let all = match listed {
            Some(bases) => bases.iter().map(|b| (b.to_string(), irregular(word, pos))).collect(),
            None => detach(word, pos),
        };
        let mut known: Vec<(String, Form)> = Vec::new();
        for (base, form) in all {
            if base != word && self.has(&base, pos) && !known.iter().any(|(b, _)| *b == base) {
                known.push((base, form));
            }
        }
        known
    }
}
