//! Exact match and F1 of one answer.

use std::collections::HashMap;

use super::normalise::{normalise, words};

/// Exact match and F1 of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AnswerScore {
    /// 1 if the normal forms are equal, otherwise 0.
    pub exact: f64,
    /// Harmonic mean of the precision and recall of words.
    pub f1: f64,
}

/// Whether prediction and reference have the same normal form.
pub fn exact(prediction: &str, reference: &str) -> bool {
    normalise(prediction) == normalise(reference)
}

/// F1 of the words by the rules of 1.1: 0 if there is no word in common, so also for two answers without words.
pub fn f1_v1(prediction: &str, reference: &str) -> f64 {
    let (prediction, reference) = (normalise(prediction), normalise(reference));
    overlap(&words(&prediction), &words(&reference))
}

/// F1 of the words by the rules of 2.0: if one of the answers has no words, 1 if the other has none either, otherwise 0.
pub fn f1_v2(prediction: &str, reference: &str) -> f64 {
    let (prediction, reference) = (normalise(prediction), normalise(reference));
    f1_v2_normal(&prediction, &reference)
}

fn f1_v2_normal(prediction: &str, reference: &str) -> f64 {
    let (prediction, reference) = (words(prediction), words(reference));
    if prediction.is_empty() || reference.is_empty() {
        return f64::from(prediction.is_empty() && reference.is_empty());
    }
    overlap(&prediction, &reference)
}

/// Exact match and F1 with the best reference for each, by the rules of 1.1. None without references.
pub fn best_v1<'a>(prediction: &str, references: impl IntoIterator<Item = &'a str>) -> Option<AnswerScore> {
    let references: Vec<String> = references.into_iter().map(normalise).collect();
    let prediction = normalise(prediction);
    best(&prediction, &references, |p, r| overlap(&words(p), &words(r)))
}

/// Exact match and F1 with the best reference for each, by the rules of 2.0: references without words are left out, and if none is
/// left, the right answer is the empty one.
pub fn best_v2<'a>(prediction: &str, references: impl IntoIterator<Item = &'a str>) -> AnswerScore {
    let mut references: Vec<String> =
        references.into_iter().map(normalise).filter(|r| !r.is_empty()).collect();
    if references.is_empty() {
        references.push(String::new());
    }
    let prediction = normalise(prediction);
    best(&prediction, &references, f1_v2_normal).unwrap_or_default()
}

/// The best score over all references; prediction and references are normalised already.
fn best(prediction: &str, references: &[String], f1: impl Fn(&str, &str) -> f64) -> Option<AnswerScore> {
    let scores =
        references.iter().map(|r| AnswerScore { exact: f64::from(prediction == r), f1: f1(prediction, r) });
    scores.reduce(|a, b| AnswerScore { exact: a.exact.max(b.exact), f1: a.f1.max(b.f1) })
}

/// F1 of two bags of words; 0 if they have none in common.
fn overlap(prediction: &[&str], reference: &[&str]) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for &word in reference {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0_usize;
    for word in prediction {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / prediction.len() as f64;
    let recall = common as f64 / reference.len() as f64;
    // The same order of operations as in the official scripts: the threshold search compares sums of these values.
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_answers_without_words_differ_between_the_versions() {
        assert!(exact("the", "A!"));
        assert_eq!((f1_v1("the", "A!"), f1_v2("the", "A!")), (0.0, 1.0));
        assert_eq!((f1_v1("", "cat"), f1_v2("", "cat")), (0.0, 0.0));
        assert_eq!((f1_v1("cat", ""), f1_v2("cat", "")), (0.0, 0.0));
    }

    #[test]
    fn a_word_counts_as_often_as_it_occurs_in_both() {
        let value = f1_v2("no no no", "no no yes yes");
        assert!((value - 4.0 / 7.0).abs() < 1e-15, "{value}");
    }

    #[test]
    fn each_metric_takes_its_own_best_reference() {
        let score = best_v1("New York City", ["York", "in New York City today", "new york city!"]).unwrap();
        assert_eq!(score, AnswerScore { exact: 1.0, f1: 1.0 });
        assert_eq!(best_v1("x", []), None);
    }

    #[test]
    fn references_without_words_count_in_one_version_only() {
        assert_eq!(best_v1("a", ["the", "cat"]).unwrap().exact, 1.0);
        assert_eq!(best_v2("a", ["the", "cat"]), AnswerScore::default());
        assert_eq!(best_v2("a", ["the"]), AnswerScore { exact: 1.0, f1: 1.0 });
        assert_eq!(best_v2("", []), AnswerScore { exact: 1.0, f1: 1.0 });
        assert_eq!(best_v2("cat", []), AnswerScore::default());
    }
}
