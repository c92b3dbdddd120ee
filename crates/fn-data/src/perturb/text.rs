//! Words of a text, and how some of them are changed.

use std::ops::Range;

use fn_core::noise::Stream;

/// Where the words are, in bytes: runs of letters and digits, with apostrophes and hyphens between two of them.
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

/// How many of `count` are changed: at least one, unless there is none.
pub(super) fn wanted(count: usize, rate: f64) -> usize {
    let share = (count as f64 * rate).round() as usize;
    share.max(1).min(count)
}

/// Puts other text in place of pieces, which must not overlap.
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

/// As [`change_words`], for a change that depends on where the word stands.
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

/// One of them; None of none.
pub(super) fn pick<'a, T>(items: &'a [T], stream: &mut Stream) -> Option<&'a T> {
    items.get(stream.below(items.len() as u64) as usize)
}

/// Whether a sentence begins at this byte: nothing before it but blanks and opening signs, or the end of another sentence.
pub(super) fn begins_sentence(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    // A quotation or bracket that opens here begins a sentence of its own, as far as capitals say.
    match before.chars().next_back() {
        None => true,
        // A title ends no sentence.
        Some('.') => !["Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St."].contains(&last_word(before)),
        Some(c) => matches!(c, '!' | '?' | ':' | '"' | '“' | '(' | '[' | '`' | '*' | '\'' | '‘'),
    }
}

fn last_word(text: &str) -> &str {
    text.rsplit(char::is_whitespace).next().unwrap_or_default()
}
