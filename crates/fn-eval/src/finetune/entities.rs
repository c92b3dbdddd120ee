//! Entity-level F1 of BIO tags (`B-x I-x I-x O`): an entity is correct if its first word, last word and type are.

use std::collections::HashSet;

use crate::predictions::{Answer, Record};

/// Micro-averaged F1 over all records as the CoNLL script computes it: an `I-x` without an entity of type x before it starts a
/// new one. None if the gold tags are not BIO tags (only `O`, `B-...` and `I-...`, with at least one `B-`).
pub(super) fn f1(records: &[Record]) -> Option<f64> {
    let gold = |record: &Record| match &record.gold {
        Some(Answer::Tags(tags)) => tags.clone(),
        _ => Vec::new(),
    };
    let all: Vec<Vec<String>> = records.iter().map(gold).collect();
    let plain = |tag: &String| tag == "O" || tag.starts_with("B-") || tag.starts_with("I-");
    let names = || all.iter().flatten();
    if !names().all(plain) || !names().any(|tag| tag.starts_with("B-")) {
        return None;
    }
    let (mut right, mut found, mut wanted) = (0_usize, 0, 0);
    for (record, gold) in records.iter().zip(&all) {
        let predicted = match &record.prediction {
            Answer::Tags(tags) => entities(tags),
            _ => HashSet::new(),
        };
        let gold = entities(gold);
        right += predicted.intersection(&gold).count();
        found += predicted.len();
        wanted += gold.len();
    }
    Some(2.0 * right as f64 / (found + wanted).max(1) as f64)
}

/// Each entity: index of its first word, index after its last word, type.
fn entities(tags: &[String]) -> HashSet<(usize, usize, &str)> {
    let mut out = HashSet::new();
    let mut open: Option<(usize, &str)> = None;
    for (place, tag) in tags.iter().enumerate() {
        let (mark, kind) = tag.split_once('-').unwrap_or(("O", ""));
        let goes_on = mark == "I" && open.is_some_and(|(_, of)| of == kind);
        if !goes_on {
            if let Some((start, of)) = open.take() {
                out.insert((start, place, of));
            }
            open = (mark != "O").then_some((place, kind));
        }
    }
    if let Some((start, of)) = open {
        out.insert((start, tags.len(), of));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(gold: &str, prediction: &str) -> Record {
        let tags = |text: &str| Answer::Tags(text.split(' ').map(str::to_owned).collect());
        Record { index: 0, id: None, gold: Some(tags(gold)), prediction: tags(prediction), scores: vec![] }
    }

    #[test]
    fn entities_count_whole() {
        let all = [record("B-A I-A O B-B", "B-A I-A O B-A"), record("O B-A I-A", "O B-A O")];
        // Three wanted, three found, one right.
        assert!((f1(&all).unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(f1(&[record("B-A B-A", "I-A B-A")]), Some(1.0));
        assert_eq!(f1(&[record("B-A I-B", "B-A I-B")]), Some(1.0));
        assert_eq!(f1(&[record("noun verb", "noun verb")]), None);
        assert_eq!(f1(&[record("O O", "O O")]), None);
    }
}
