//! Synonyms from WordNet.

use std::ops::Range;

use fn_core::noise::Stream;

use super::text::{begins_sentence, pick};
use crate::lexicon::wordnet::{POS, WordNet};

/// Function words, which are not replaced: WordNet lists *non* as a synonym of *not*.
const KEPT: [&str; 18] = [
    "not", "never", "nor", "non", "also", "too", "very", "more", "most", "less", "least", "only", "always",
    "again", "ever", "just", "yet", "quite",
];

/// A single-word synonym of the first sense. Only words that are the base form of exactly one part of speech are replaced,
/// because the part of speech is not known without a parser. A capitalised word within a sentence is taken for a name (or a
/// headline) and is not replaced.
pub(super) fn synonym(net: &WordNet, text: &str, at: Range<usize>, stream: &mut Stream) -> Option<String> {
    let word = &text[at.clone()];
    let lower = word.to_lowercase();
    let mut rest = word.chars();
    let first = rest.next()?;
    if lower.len() < 3
        || KEPT.contains(&lower.as_str())
        || !lower.chars().all(|c| c.is_ascii_lowercase())
        || rest.any(char::is_uppercase)
        || (first.is_uppercase() && !begins_sentence(text, at.start))
    {
        return None;
    }
    let mut known = POS.into_iter().filter(|&pos| net.has(&lower, pos));
    let pos = known.next().filter(|_| known.next().is_none())?;
    if POS.into_iter().any(|pos| !net.morphy(&lower, pos).is_empty()) {
        return None;
    }
    let sense = net.synset(*net.senses(&lower, pos).first()?)?;
    // The sense must list the word in lower case: *us* is not the United States.
    if !sense.words.iter().any(|w| **w == *lower) {
        return None;
    }
    let fits = |w: &&str| *w != lower && w.len() > 1 && w.chars().all(|c| c.is_ascii_lowercase());
    let others: Vec<&str> = sense.words.iter().map(AsRef::as_ref).filter(fits).collect();
    let new = *pick(&others, stream)?;
    if first.is_uppercase() {
        let capital = new.chars().next()?.to_ascii_uppercase();
        return Some(format!("{capital}{}", &new[1..]));
    }
    Some(new.to_owned())
}
