//! Replacement of names, word by word, so that *Bush* is the same name in *George Bush* and alone.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use fn_core::noise::Stream;

use super::text::{begins_sentence, pick, replace, wanted, words};

/// Attempts to draw a name that does not occur in the text.
const TRIES: usize = 20;

/// Names of a file, in order of occurrence.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    list: Vec<String>,
    known: HashSet<String>,
}

/// A word without `'s`, if it looks like a name: an upper-case letter followed by a lower-case letter.
fn core(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let all = &text[word.clone()];
    let bare = all.strip_suffix("'s").or_else(|| all.strip_suffix("’s")).unwrap_or(all);
    let mut letters = bare.chars();
    let capital = letters.next()?.is_uppercase() && letters.next()?.is_lowercase();
    let plain = letters.all(|c| c.is_alphabetic() || c == '-');
    (capital && plain).then(|| word.start..word.start + bare.len())
}

/// Words that look like names, at any position.
fn capitalised(text: &str) -> Vec<Range<usize>> {
    words(text).into_iter().filter_map(|word| core(text, word)).collect()
}

impl Names {
    /// Collects the names of texts: capitalised words that do not begin a sentence, unless most words do so (a headline).
    pub(super) fn collect<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for text in texts {
            for range in Self::sure(text) {
                let name = &text[range];
                if names.known.insert(name.to_owned()) {
                    names.list.push(name.to_owned());
                }
            }
        }
        names
    }

    /// Names in one text.
    pub(super) fn sure(text: &str) -> Vec<Range<usize>> {
        let found = capitalised(text);
        // In a headline, capitalised words need not be names.
        if found.len() > 3 && found.len() * 3 > words(text).len() * 2 {
            return Vec::new();
        }
        found.into_iter().filter(|range| !begins_sentence(text, range.start)).collect()
    }

    /// A name that occurs in none of the texts and has not been used yet.
    pub(super) fn other(
        &self,
        texts: &[&str],
        taken: &HashSet<String>,
        stream: &mut Stream,
    ) -> Option<String> {
        for _ in 0..TRIES {
            let name = pick(&self.list, stream)?;
            if !taken.contains(name) && !texts.iter().any(|text| text.contains(name.as_str())) {
                return Some(name.clone());
            }
        }
        None
    }

    /// Replaces names until a share of the words is changed. All occurrences of a name in all texts get the same new name, also
    /// at the beginning of a sentence; different names get different new names.
    pub(super) fn replace(&self, texts: &[&str], rate: f64, stream: &mut Stream) -> Vec<String> {
        let mut here: Vec<String> = Vec::new();
        for text in texts {
            for range in Self::sure(text) {
                if !here.iter().any(|name| *name == text[range.clone()]) {
                    here.push(text[range].to_owned());
                }
            }
        }
        let ranges: Vec<Vec<Range<usize>>> = texts.iter().map(|text| capitalised(text)).collect();
        let mut left = wanted(texts.iter().map(|text| words(text).len()).sum(), rate);
        stream.shuffle(&mut here);
        let mut new: HashMap<String, String> = HashMap::new();
        let mut taken = HashSet::new();
        for name in here {
            if left == 0 {
                break;
            }
            let Some(other) = self.other(texts, &taken, stream) else { continue };
            let times = texts
                .iter()
                .zip(&ranges)
                .map(|(text, ranges)| ranges.iter().filter(|range| text[(*range).clone()] == name).count());
            left = left.saturating_sub(times.sum());
            taken.insert(other.clone());
            new.insert(name, other);
        }
        let change = |(text, ranges): (&&str, &Vec<Range<usize>>)| {
            let piece = |range: &Range<usize>| Some((range.clone(), new.get(&text[range.clone()])?.clone()));
            replace(text, ranges.iter().filter_map(piece).collect())
        };
        texts.iter().zip(&ranges).map(change).collect()
    }
}
