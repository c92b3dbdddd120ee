//! Builds look-up sets from WordNet.
//!
//! Only pieces that are whole, lower-case, alphabetic words have entries. `V(w)` holds the lemmas of the synsets of `w` that
//! are single pieces, and never `w`. *went* finds the synsets of *go* through morphy; [`Inflections`] determines the contents
//! of the set of an inflected form.

use super::wordnet::{Form, POS, Pos, Relation, Synset, SynsetId, WordNet, WordNetError};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How inflected forms are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Inflections {
    /// No inflection: a word has only the synsets that list it as a lemma.
    None,
    /// The set of an inflected form holds the lemmas of its base form's synsets, in their base form: `V(went)` holds *go*,
    /// *travel*, *move*. (The symmetric closure then puts *went* into `V(travel)`.)
    #[default]
    BaseForms,
    /// Only forms with the same inflection: `V(went)` holds *traveled*, *moved*; `V(go)` holds *travel*, *move*. They fit the
    /// sentence better, but the sets are smaller.
    Matching,
}

/// Options of building look-up sets from WordNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WordNetOptions {
    /// Parts of speech that are looked up. Default: all four.
    pub pos: Vec<Pos>,
    /// Only the first n senses of each lemma and part of speech, the most frequent first. Default: all.
    pub senses: Option<usize>,
    /// `synonyms` alone (default), or also `similar` (adjectives) and `hypernyms` (direct ones).
    pub relations: Vec<Relation>,
    /// See [`Inflections`]. Default `base-forms`.
    pub inflections: Inflections,
    /// Also lemmas that WordNet writes with a capital (names, abbreviations, chemical symbols). Default false: in a
    /// lower-case vocabulary *he* would find *helium*, *in* *indiana* and *it* *computing*.
    pub names: bool,
    /// Whether `r` in `V(w)` puts `w` into `V(r)`. Default true.
    pub symmetric: bool,
    /// Shorter words (in letters) take no part. Default 1: all.
    pub min_length: usize,
}

impl Default for WordNetOptions {
    fn default() -> Self {
        WordNetOptions {
            pos: POS.to_vec(),
            senses: None,
            relations: vec![Relation::Synonyms],
            inflections: Inflections::BaseForms,
            names: false,
            symmetric: true,
            min_length: 1,
        }
    }
}

impl WordNetOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// No part of speech, no relation, or no sense is left.
    pub fn validate(&self) -> Result<(), WordNetError> {
        let wrong =
            |field, found: &str, expected| Err(WordNetError::Option { field, found: found.into(), expected });
        if self.pos.is_empty() {
            return wrong("pos", "empty", "at least one of noun, verb, adjective, adverb");
        }
        if self.relations.is_empty() {
            return wrong("relations", "empty", "at least one of synonyms, similar, hypernyms");
        }
        if self.senses == Some(0) {
            return wrong("senses", "0", "at least 1, or absent for all");
        }
        Ok(())
    }

    fn admits(&self, piece: &str) -> bool {
        is_word(piece) && piece.chars().count() >= self.min_length
    }
}

/// Whether a piece is a whole, lower-case, alphabetic word; `##` pieces, special tokens, digits and punctuation are not.
pub fn is_word(piece: &str) -> bool {
    !piece.is_empty() && piece.chars().all(|c| c.is_alphabetic() && c.is_lowercase())
}

/// A word as a form of a lemma.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Analysis {
    pos: Pos,
    form: Form,
    lemma: String,
}

/// Why one word is in the look-up set of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'a> {
    /// Part of speech of the shared meaning.
    pub pos: Pos,
    /// The relation between the two.
    pub relation: Relation,
    /// Number of the sense among those of the first word's lemma, counted from 1.
    pub sense: usize,
    /// The lemma of the first word (*go* for *went*).
    pub lemma: String,
    /// The lemma of the second word.
    pub other: String,
    /// The synset that contains the second lemma.
    pub synset: &'a Synset,
    /// Whether the entry exists only because look-up sets are symmetric; the roles of the words are exchanged then.
    pub reversed: bool,
}

/// Builds `V` for a vocabulary: `pieces` in the order of their ids.
///
/// # Errors
/// Options out of range, or no entry at all.
pub fn build_wordnet_lexicon(
    net: &WordNet,
    pieces: &[impl AsRef<str>],
    vocabulary_sha256: &str,
    options: &WordNetOptions,
) -> Result<Lexicon, WordNetError> {
    options.validate()?;
    let analyses: Vec<Vec<Analysis>> = pieces
        .iter()
        .map(
            |piece| {
                if options.admits(piece.as_ref()) { net.analyses(piece.as_ref(), options) } else { vec![] }
            },
        )
        .collect();
    let mut written: HashMap<&Analysis, Vec<u32>> = HashMap::new();
    for (id, of_piece) in analyses.iter().enumerate() {
        for analysis in of_piece {
            written.entry(analysis).or_default().push(id as u32);
        }
    }
    let mut rows = Vec::new();
    for (id, of_piece) in analyses.iter().enumerate() {
        let mut row = Vec::new();
        for analysis in of_piece {
            for member in net.members(analysis, options) {
                row.extend(written.get(&member.analysis).into_iter().flatten().filter(|r| **r != id as u32));
            }
        }
        if !row.is_empty() {
            rows.push((id as u32, row));
        }
    }
    if rows.is_empty() {
        return Err(WordNetError::NothingFound { pieces: pieces.len() });
    }
    let info = LexiconInfo {
        kind: "wordnet".into(),
        vocabulary_sha256: vocabulary_sha256.into(),
        note: serde_json::to_string(options).unwrap_or_default(),
    };
    let lexicon = Lexicon::from_rows(pieces.len(), rows, info)?;
    Ok(if options.symmetric { lexicon.symmetric() } else { lexicon })
}

/// A lemma related to an analysis, and its synset.
struct Member {
    analysis: Analysis,
    relation: Relation,
    sense: usize,
    synset: SynsetId,
}

impl WordNet {
    /// Why `r` is in `V(w)` under these options; `None` if it is not.
    pub fn relation(&self, w: &str, r: &str, options: &WordNetOptions) -> Option<Explanation<'_>> {
        if w == r || !options.admits(w) || !options.admits(r) {
            return None;
        }
        self.explain(w, r, options, false)
            .or_else(|| options.symmetric.then(|| self.explain(r, w, options, true)).flatten())
    }

    fn explain(&self, w: &str, r: &str, options: &WordNetOptions, reversed: bool) -> Option<Explanation<'_>> {
        let targets = self.analyses(r, options);
        for analysis in self.analyses(w, options) {
            for member in self.members(&analysis, options) {
                if targets.contains(&member.analysis) {
                    return Some(Explanation {
                        pos: analysis.pos,
                        relation: member.relation,
                        sense: member.sense,
                        lemma: analysis.lemma,
                        other: member.analysis.lemma,
                        synset: self.synset(member.synset)?,
                        reversed,
                    });
                }
            }
        }
        None
    }

    /// All analyses of a word: as a lemma, and as an inflected form.
    fn analyses(&self, word: &str, options: &WordNetOptions) -> Vec<Analysis> {
        let mut all = Vec::new();
        for &pos in &options.pos {
            if self.has(word, pos) {
                all.push(Analysis { pos, form: Form::Base, lemma: word.to_string() });
            }
            if options.inflections != Inflections::None {
                all.extend(self.bases(word, pos).into_iter().map(|(lemma, form)| Analysis {
                    pos,
                    form,
                    lemma,
                }));
            }
        }
        all
    }

    /// The members of `V` for an analysis of a word: lemmas, each in the form that the options select.
    fn members(&self, of: &Analysis, options: &WordNetOptions) -> Vec<Member> {
        let form = match options.inflections {
            Inflections::Matching => of.form,
            Inflections::None | Inflections::BaseForms => Form::Base,
        };
        let spelt =
            |synset: &Synset, lemma: &str| options.names || synset.words.iter().any(|w| **w == *lemma);
        let mut members = Vec::new();
        // A lemma that is only written with a capital is a name: *May* is not a sense of *may*.
        let own_senses = self.senses(&of.lemma, of.pos).iter().enumerate().filter_map(|(sense, id)| {
            let own = self.synset(*id)?;
            spelt(own, &of.lemma).then_some((sense, *id, own))
        });
        for (sense, id, own) in own_senses.take(options.senses.unwrap_or(usize::MAX)) {
            let related = own.pointers.iter().filter(|(relation, _)| options.relations.contains(relation));
            let synonyms =
                options.relations.contains(&Relation::Synonyms).then_some((Relation::Synonyms, id));
            for (relation, target) in synonyms.into_iter().chain(related.copied()) {
                for word in self.synset(target).map_or(&[][..], |s| &s.words) {
                    let lemma = if options.names { word.to_lowercase() } else { word.to_string() };
                    if !is_word(&lemma) {
                        continue;
                    }
                    let analysis = Analysis { pos: of.pos, form, lemma };
                    members.push(Member { analysis, relation, sense: sense + 1, synset: target });
                }
            }
        }
        members
    }
}
