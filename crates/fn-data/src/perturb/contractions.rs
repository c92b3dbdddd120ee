//! Contractions: *do not* becomes *don't* and vice versa.
//!
//! Only changes that are grammatical nearly everywhere: *'s* and *'d* are ambiguous and left unchanged, a pronoun and its verb
//! are contracted only before another word (not *that is how it's*), and *n't* before a subject is not expanded (*don't you*).

use std::ops::Range;

use fn_core::noise::Stream;

use super::text::{begins_sentence, replace, wanted, words};

/// Verbs that take *n't* without a change of their own.
const VERBS: [&str; 17] = [
    "do", "does", "did", "is", "are", "was", "were", "has", "have", "had", "could", "would", "should",
    "must", "need", "might", "dare",
];
/// Words whose contraction is irregular, with both spellings of the long form.
const IRREGULAR: [(&str, &str); 3] = [("cannot", "can't"), ("can not", "can't"), ("will not", "won't")];
/// The same in the tokenisation of the Penn Treebank.
const CUT: [(&str, &str); 2] = [("can not", "ca n't"), ("will not", "wo n't")];
/// A pronoun and a verb, contracted only before another word.
const PRONOUNS: [(&str, &str); 11] = [
    ("i am", "i'm"),
    ("you are", "you're"),
    ("we are", "we're"),
    ("they are", "they're"),
    ("i will", "i'll"),
    ("you will", "you'll"),
    ("he will", "he'll"),
    ("she will", "she'll"),
    ("we will", "we'll"),
    ("they will", "they'll"),
    ("it will", "it'll"),
];
/// Contractions that are only expanded: *I have* is not always *I've*.
const SPELT_OUT: [(&str, &str); 5] = [
    ("i have", "i've"),
    ("you have", "you've"),
    ("we have", "we've"),
    ("they have", "they've"),
    ("let us", "let's"),
];
/// Subjects before which *n't* is not expanded.
const SUBJECTS: [&str; 11] = ["i", "you", "he", "she", "it", "we", "they", "there", "this", "that", "anyone"];

/// Applies a share of all possible changes.
pub(super) fn change(text: &str, rate: f64, stream: &mut Stream) -> String {
    let mut places = places(text);
    stream.shuffle(&mut places);
    places.truncate(wanted(places.len().max(words(text).len()), rate));
    replace(text, places)
}

/// All possible changes, without overlaps.
fn places(text: &str) -> Vec<(Range<usize>, String)> {
    let mut out: Vec<(Range<usize>, String)> = Vec::new();
    let mut look = |from: &str, to: &str, allowed: &dyn Fn(Range<usize>) -> bool| {
        for from in [from.to_owned(), from.replace('\'', "’")] {
            for range in find(text, &from) {
                let free = out.iter().all(|(other, _)| other.end <= range.start || range.end <= other.start);
                if free && allowed(range.clone()) {
                    out.push((range.clone(), with_capital(&text[range], to)));
                }
            }
        }
    };
    let next = |range: &Range<usize>| {
        let rest = text[range.end..].trim_start_matches(' ');
        rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase()
    };
    let always = |_: Range<usize>| true;
    let no_question = |range: Range<usize>| {
        !begins_sentence(text, range.start) && !SUBJECTS.contains(&next(&range).as_str())
    };
    let before_word = |range: Range<usize>| {
        let rest = &text[range.end..];
        rest.starts_with(' ') && !matches!(next(&range).as_str(), "" | "not")
    };
    for (long, short) in IRREGULAR {
        look(long, short, &always);
        look(short, if long == "can not" { "cannot" } else { long }, &no_question);
    }
    for (long, short) in CUT {
        look(short, if long == "can not" { "cannot" } else { long }, &no_question);
    }
    for verb in VERBS {
        look(&format!("{verb} not"), &format!("{verb}n't"), &always);
        look(&format!("{verb}n't"), &format!("{verb} not"), &no_question);
        look(&format!("{verb} n't"), &format!("{verb} not"), &no_question);
    }
    for (long, short) in PRONOUNS {
        look(long, short, &before_word);
    }
    for (long, short) in PRONOUNS.iter().chain(&SPELT_OUT) {
        look(short, long, &always);
    }
    out
}

/// Occurrences of a phrase as whole words; the case of its first letter is ignored.
fn find(text: &str, phrase: &str) -> Vec<Range<usize>> {
    let Some(first) = phrase.chars().next() else { return Vec::new() };
    let capital = format!("{}{}", first.to_ascii_uppercase(), &phrase[first.len_utf8()..]);
    let both = text.match_indices(phrase).chain(text.match_indices(capital.as_str()));
    let whole = |(at, found): (usize, &str)| {
        let end = at + found.len();
        let inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-'));
        let (before, after) = (text[..at].chars().next_back(), text[end..].chars().next());
        (!inner(before) && !inner(after)).then_some(at..end)
    };
    both.filter_map(whole).collect()
}

/// `new` with the case of the first letter of `old`.
fn with_capital(old: &str, new: &str) -> String {
    match (old.chars().next(), new.chars().next()) {
        (Some(a), Some(b)) if a.eq_ignore_ascii_case(&b) => format!("{a}{}", &new[b.len_utf8()..]),
        _ => new.to_owned(),
    }
}
