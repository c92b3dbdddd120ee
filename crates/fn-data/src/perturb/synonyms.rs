//! Words of the same meaning.

use std::ops::Range;

use fn_core::noise::Stream;

use super::text::{begins_sentence, pick};
use crate::lexicon::wordnet::{POS, WordNet};

/// Words of sentences rather than of meanings: WordNet's other spelling of *not* is *non*.
const KEPT: [&str; 18] = [
    "not", "never", "nor", "non", "also", "too", "very", "more", "most", "less", "least", "only", "always",
    "again", "ever", "just", "yet", "quite",
];

/// A single word of the first sense. Only a word that is known as the base form of one part of speech and as no form of
/// another is changed: without a parser nothing says which one is meant. A capital within a sentence makes it a name, or a word
/// of a headline: both stay.
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
    // A name in lower case is another word: *us* is not the United States.
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
