//! Splits a text into words and changes a share of them.

use std::ops::Range;

use fn_core::noise::Stream;

/// Byte ranges of the words: runs of letters and digits, including apostrophes and hyphens between two of them.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut open: Option<usize> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let joins = matches!(c, '\'' | '’' | '-')
            && characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        match open {
            None if c.is_alphanumeric() => open = Some(at),
            Some(start) if !c.is_alphanumeric() && !joins => {
                out.push(start..at);
                open = None;
            }
            _ => {}
        }
    }
    out.extend(open.map(|start| start..text.len()));
    out
}

/// Number of words to change out of `count`: at least one, if there is any.
pub(super) fn wanted(count: usize, rate: f64) -> usize {
    let share = (count as f64 * rate).round() as usize;
    share.max(1).min(count)
}

/// Replaces ranges of a text, which must not overlap.
pub(super) fn replace(text: &str, mut pieces: Vec<(Range<usize>, String)>) -> String {
    pieces.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for (range, new) in pieces {
        out.push_str(&text[at..range.start]);
        out.push_str(&new);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Changes a share of the words; `change` gives None for a word that it cannot change.
pub(super) fn change_words(
    text: &str,
    rate: f64,
    stream: &mut Stream,
    mut change: impl FnMut(&str, &mut Stream) -> Option<String>,
) -> String {
    change_places(text, rate, stream, |range, stream| change(&text[range], stream))
}

/// As [`change_words`], for a change that depends on the position of the word.
pub(super) fn change_places(
    text: &str,
    rate: f64,
    stream: &mut Stream,
    mut change: impl FnMut(Range<usize>, &mut Stream) -> Option<String>,
) -> String {
    let mut words = words(text);
    let wanted = wanted(words.len(), rate);
    stream.shuffle(&mut words);
    let mut pieces = Vec::with_capacity(wanted);
    for range in words {
        if pieces.len() == wanted {
            break;
        }
        let word = &text[range.clone()];
        if let Some(new) = change(range.clone(), stream).filter(|new| new != word) {
            pieces.push((range, new));
        }
    }
    replace(text, pieces)
}

/// A random item; None if there are none.
pub(super) fn pick<'a, T>(items: &'a [T], stream: &mut Stream) -> Option<&'a T> {
    items.get(stream.below(items.len() as u64) as usize)
}

/// Whether a sentence begins at this byte: before it are only blanks, opening quotes or brackets, or the end of a sentence.
pub(super) fn begins_sentence(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    // A word after an opening quote or bracket is treated as the beginning of a sentence: its capital may not mean a name.
    match before.chars().next_back() {
        None => true,
        // The full stop of a title does not end a sentence.
        Some('.') => !["Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St."].contains(&last_word(before)),
        Some(c) => matches!(c, '!' | '?' | ':' | '"' | '“' | '(' | '[' | '`' | '*' | '\'' | '‘'),
    }
}

fn last_word(text: &str) -> &str {
    text.rsplit(char::is_whitespace).next().unwrap_or_default()
}
