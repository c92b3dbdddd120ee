//! Short passages of whole sentences, drawn from text.

use std::collections::{BinaryHeap, HashSet};
use std::path::{Path, PathBuf};

use fn_core::noise::{Stream, Use};
use fn_data::source::{SourceOptions, Sources};

use crate::probe::ProbeError;

/// Fewest and most words of a passage.
const WORDS: (usize, usize) = (15, 70);
/// A passage ends at the first end of a sentence from here on.
const ENOUGH: usize = 25;

/// A passage, with the random numbers of its place in the text.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    pub text: String,
    pub stream: Stream,
}

/// Draws up to `count` passages of one file, each one equally likely, in random order; equal ones once. `file` is its number: files have
/// streams of their own.
pub(super) fn draw(
    path: &Path,
    (file, count, seed): (u64, usize, u64),
    options: &SourceOptions,
) -> Result<Vec<Passage>, ProbeError> {
    // Those with the smallest random keys; the largest of them is on top.
    let mut kept: BinaryHeap<(u64, u64, String)> = BinaryHeap::new();
    let stream = |number: u64| Stream::new(seed, file, number, Use::Probe);
    let mut number = 0;
    for document in Sources::open(&[PathBuf::from(path)], options)? {
        let text = document?.text;
        for passage in passages(&text) {
            let key = stream(number).next_u64();
            if kept.len() < count || kept.peek().is_some_and(|(largest, ..)| key < *largest) {
                kept.push((key, number, passage.to_owned()));
                if kept.len() > count {
                    kept.pop();
                }
            }
            number += 1;
        }
    }
    let mut seen = HashSet::new();
    let passages = kept.into_sorted_vec().into_iter().map(|(_, number, text)| {
        let mut stream = stream(number);
        stream.next_u64();
        Passage { text, stream }
    });
    Ok(passages.filter(|passage| seen.insert(passage.text.clone())).collect())
}

/// Whole sentences in a row, [`WORDS`] long; what is too short or too long is passed over.
fn passages(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut end, mut words) = (0, 0, 0);
    let mut close = |start: usize, end: usize, words: usize| {
        if words >= WORDS.0 {
            out.push(text[start..end].trim());
        }
    };
    for sentence in sentences(text) {
        let more = sentence.split_whitespace().count();
        let at = sentence.as_ptr() as usize - text.as_ptr() as usize;
        if words + more > WORDS.1 {
            close(start, end, words);
            words = 0;
            if more > WORDS.1 {
                continue;
            }
        }
        if words == 0 {
            start = at;
        }
        (end, words) = (at + sentence.len(), words + more);
        if words >= ENOUGH {
            close(start, end, words);
            words = 0;
        }
    }
    close(start, end, words);
    out
}

/// Cut at ends of lines, and behind `.`, `!` and `?` before a blank.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let mut ended = false;
        line.split_inclusive(move |c: char| {
            let cut = ended && c.is_whitespace();
            // A closing quotation mark or bracket belongs to the sentence.
            ended = matches!(c, '.' | '!' | '?') || ended && matches!(c, '"' | '\'' | ')' | '”' | '’');
            cut
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_whole_sentences_of_15_to_70_words() {
        let sentence = |words: usize| format!("{}end. ", "w ".repeat(words - 1));
        let cut = |lengths: &[usize]| -> Vec<usize> {
            let text: String = lengths.iter().map(|&n| sentence(n)).collect();
            passages(&text)
                .iter()
                .map(|passage| {
                    assert!(passage.ends_with("end."), "{passage}");
                    passage.split_whitespace().count()
                })
                .collect()
        };
        assert_eq!(cut(&[10, 10, 10, 14]), [30], "the last one is too short");
        assert_eq!(cut(&[20, 60, 30]), [20, 60, 30], "60 more would be too many");
        assert_eq!(cut(&[20, 71, 16]), [20, 16], "71 is too long");
        assert_eq!(cut(&[24, 46]), [70]);
        assert_eq!(cut(&[]), Vec::<usize>::new());
    }

    #[test]
    fn sentences_end_behind_their_marks_and_at_ends_of_lines() {
        let found: Vec<&str> = sentences("He said \"No.\" Mr.X left\nA?! B 3.5 c").collect();
        assert_eq!(found, ["He said \"No.\" ", "Mr.X left\n", "A?! ", "B 3.5 c"]);
    }

    #[test]
    fn the_draw_depends_on_the_seed_alone_and_takes_each_passage_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        let line = |n: usize| format!("{n} {}.\n", "word ".repeat(29));
        let text: String = (0..50).map(|n| line(n % 40)).collect();
        std::fs::write(&path, text).unwrap();
        let draw = |count, seed| -> Vec<String> {
            let found = draw(&path, (0, count, seed), &SourceOptions::default()).unwrap();
            found.into_iter().map(|passage| passage.text).collect()
        };
        assert_eq!(draw(5, 1), draw(5, 1));
        assert_ne!(draw(5, 1), draw(5, 2));
        assert_eq!(draw(5, 1), draw(9, 1)[..5]);
        assert_eq!(draw(100, 1).len(), 40);
    }
}
