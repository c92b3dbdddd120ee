//! Adversarial distractor sentences that resemble an answer, after Jia and Liang (Adversarial Examples for Evaluating Reading
//! Comprehension Systems, 2017), but without their manual correction of grammar.

use std::collections::HashSet;
use std::ops::Range;

use fn_core::noise::Stream;

use super::entities::Names;
use super::text::{pick, replace, words};

/// Attempts to draw an answer or a number that is not correct by chance.
const TRIES: usize = 20;
/// Maximum number of words of an answer: longer ones are sentences of their own.
const ANSWER_WORDS: usize = 8;
/// Maximum number of words of a question phrase after the first: *what kind of school*.
const PHRASE_WORDS: usize = 4;

/// Interrogative words.
const ASKING: [&str; 9] = ["what", "which", "who", "whom", "whose", "when", "where", "why", "how"];
/// Verbs that end the question phrase.
const VERBS: [&str; 24] = [
    "is", "are", "was", "were", "am", "be", "do", "does", "did", "has", "have", "had", "can", "could",
    "will", "would", "shall", "should", "may", "might", "must", "in", "of", "to",
];

/// A question with one of its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) question: String,
    pub(super) answer: String,
}

/// Material of distractors: names and answers of the whole file.
#[derive(Debug, Default)]
pub(super) struct Material {
    names: Names,
    /// Answers, each with the question phrase that it belongs to.
    answers: Vec<(String, String)>,
}

impl Material {
    pub(super) fn collect(all: &[Asked]) -> Self {
        let names = Names::collect(all.iter().map(|asked| asked.question.as_str()));
        let of = |asked: &Asked| {
            let (_, word) = phrase(&asked.question)?;
            let answer = asked.answer.split_whitespace().collect::<Vec<_>>().join(" ");
            let short = !answer.is_empty() && words(&answer).len() <= ANSWER_WORDS;
            short.then_some((word, answer))
        };
        Self { names, answers: all.iter().filter_map(of).collect() }
    }

    /// The distractor for a question; None if the question has no name or number that can be changed, no question phrase, or if
    /// there is no other answer to insert.
    pub(super) fn sentence(
        &self,
        question: &str,
        context: &str,
        answers: &[&str],
        stream: &mut Stream,
    ) -> Option<String> {
        let (asking, word) = phrase(question)?;
        let mut pieces = self.changes(question, context, &asking, stream);
        if pieces.is_empty() {
            return None;
        }
        let answer = self.answer(&word, question, context, answers, stream)?;
        pieces.push((asking.clone(), answer));
        let sentence = replace(question, pieces);
        let bare = sentence.trim().trim_end_matches(['?', '.', ' ']);
        let mut letters = bare.chars();
        let first = letters.next()?;
        Some(format!("{}{}.", first.to_uppercase(), letters.as_str()))
    }

    /// Replacements for names and numbers; equal ones get equal replacements.
    fn changes(
        &self,
        question: &str,
        context: &str,
        asking: &Range<usize>,
        stream: &mut Stream,
    ) -> Vec<(Range<usize>, String)> {
        let outside = |range: &Range<usize>| range.end <= asking.start || asking.end <= range.start;
        let texts = [question, context];
        let mut taken: HashSet<String> = HashSet::new();
        let mut pieces: Vec<(Range<usize>, String)> = Vec::new();
        let names = Names::sure(question).into_iter().map(|range| (range, true));
        let numbers = numbers(question).into_iter().map(|range| (range, false));
        for (range, is_name) in names.chain(numbers) {
            if !outside(&range) {
                continue;
            }
            let old = &question[range.clone()];
            let before = pieces.iter().find(|(other, _)| question[other.clone()] == *old);
            let new = match before {
                Some((_, new)) => Some(new.clone()),
                None if is_name => self.names.other(&texts, &taken, stream),
                None => other_number(old, &texts, stream),
            };
            if let Some(new) = new {
                taken.insert(new.clone());
                pieces.push((range, new));
            }
        }
        pieces
    }

    /// An answer of another question, preferably one with the same question phrase. It does not occur in the context, and
    /// neither contains a correct answer nor is contained in one.
    fn answer(
        &self,
        word: &str,
        question: &str,
        context: &str,
        right: &[&str],
        stream: &mut Stream,
    ) -> Option<String> {
        let lower = |text: &str| text.to_lowercase();
        let (context, question) = (lower(context), lower(question));
        let right: Vec<String> = right.iter().map(|text| lower(text)).collect();
        let fits = |answer: &str| {
            let answer = lower(answer);
            !context.contains(&answer)
                && !question.contains(&answer)
                && !right.iter().any(|r| r.contains(&answer) || answer.contains(r.as_str()))
        };
        let same: Vec<&str> =
            self.answers.iter().filter(|(w, _)| w == word).map(|(_, answer)| answer.as_str()).collect();
        let all = (0..TRIES).filter_map(|_| pick(&same, stream).copied()).find(|answer| fits(answer));
        let mut any = || pick(&self.answers, stream).map(|(_, answer)| answer.as_str());
        all.map_or_else(|| (0..TRIES).filter_map(|_| any()).find(|answer| fits(answer)), Some)
            .map(str::to_owned)
    }
}

/// The question phrase and its kind: `who`, `how many`. For *what*, *which*, *whose* and *how* the phrase includes the words up
/// to the verb.
fn phrase(question: &str) -> Option<(Range<usize>, String)> {
    let all = words(question);
    let lower = |at: usize| all.get(at).map(|range| question[range.clone()].to_lowercase());
    let at = (0..all.len()).find(|&at| lower(at).is_some_and(|word| ASKING.contains(&word.as_str())))?;
    let mut kind = lower(at)?;
    let mut end = all.get(at)?.end;
    if matches!(kind.as_str(), "what" | "which" | "whose" | "how") {
        let verb = (at + 1..=at + 1 + PHRASE_WORDS)
            .find(|&place| lower(place).is_some_and(|word| VERBS.contains(&word.as_str())));
        let last = verb.filter(|&verb| verb > at + 1).and_then(|verb| all.get(verb - 1));
        end = last.map_or(end, |range| range.end);
    }
    if kind == "how" && matches!(lower(at + 1).as_deref(), Some("many" | "much" | "long" | "old" | "far")) {
        end = end.max(all.get(at + 1)?.end);
        kind = "how many".to_owned();
    }
    Some((all.get(at)?.start..end, kind))
}

/// Words that consist of digits.
fn numbers(text: &str) -> Vec<Range<usize>> {
    let digits = |range: &Range<usize>| text[range.clone()].chars().all(|c| c.is_ascii_digit());
    words(text).into_iter().filter(digits).collect()
}

/// A number with as many digits that occurs in none of the texts; a year stays close to the original.
fn other_number(old: &str, texts: &[&str], stream: &mut Stream) -> Option<String> {
    for _ in 0..TRIES {
        let mut digits: Vec<char> = old.chars().collect();
        let free = if digits.len() == 4 { 2 } else { 0 };
        for (place, digit) in digits.iter_mut().enumerate().skip(free) {
            // No leading zero, except that 0 is a number.
            let low = u64::from(place == 0 && old.len() > 1);
            *digit = char::from(b'0' + (low + stream.below(10 - low)) as u8);
        }
        let new: String = digits.into_iter().collect();
        if !texts.iter().any(|text| text.contains(&new)) {
            return Some(new);
        }
    }
    None
}
