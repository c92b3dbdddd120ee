//! Deletion and insertion of punctuation marks.

use std::ops::Range;

use fn_core::noise::Stream;

use super::text::{replace, wanted, words};

/// Marks that follow a word.
const MARKS: [char; 6] = ['.', ',', ';', ':', '!', '?'];

/// Deletes marks before a blank or the end, and inserts commas after words and a full stop at the end, with equal probability.
/// The number of changes is that of the words that other perturbations would change.
pub(super) fn change(text: &str, rate: f64, stream: &mut Stream) -> String {
    let words = words(text);
    let mut drop: Vec<(Range<usize>, String)> = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let before_blank = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
        if MARKS.contains(&c) && before_blank {
            // In tokenised text, the blank before the mark is deleted with it.
            let start = if text[..at].ends_with(' ') { at - 1 } else { at };
            drop.push((start..at + c.len_utf8(), String::new()));
        }
    }
    let mut add: Vec<(Range<usize>, String)> = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let rest = &text[word.end..];
        let last = n + 1 == words.len();
        if last && rest.trim().is_empty() {
            add.push((word.end..word.end, ".".to_owned()));
        } else if rest.starts_with(' ') && rest.trim_start().starts_with(char::is_alphanumeric) {
            add.push((word.end..word.end, ",".to_owned()));
        }
    }
    stream.shuffle(&mut drop);
    stream.shuffle(&mut add);
    let mut pieces = Vec::new();
    for _ in 0..wanted(words.len(), rate) {
        let (first, second) =
            if stream.below(2) == 0 { (&mut drop, &mut add) } else { (&mut add, &mut drop) };
        pieces.extend(first.pop().or_else(|| second.pop()));
    }
    replace(text, pieces)
}
