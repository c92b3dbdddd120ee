//! Normalisation of answers before they are compared.

use std::sync::LazyLock;

use regex::Regex;

/// A maximal run of the word characters of Python's `re`: letters, numbers and `_`, but no combining marks. The `\w` of the
/// crate `regex` includes the marks and lacks some numbers, so its `\b` would match at other positions.
const WORD: &str = r"[\p{L}\p{N}_]+";

/// Never None: a test checks that the pattern compiles.
static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WORD).ok());

/// Lower case, no ASCII punctuation, no articles, words separated by one blank: the normal form of both official scripts.
///
/// Only ASCII punctuation is removed (a dash or a quotation mark outside ASCII stays), and it is removed before the articles
/// are, so that the characters around it become one word: `the-a` becomes `thea`, which is no article.
pub fn normalise(text: &str) -> String {
    let kept: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let kept = without_articles(&kept);
    let mut out = String::with_capacity(kept.len());
    for word in kept.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The words of the normal form.
pub(super) fn words(normal: &str) -> Vec<&str> {
    normal.split(' ').filter(|word| !word.is_empty()).collect()
}

/// Replaces `\b(a|an|the)\b` by a blank, with the word boundaries of Python's `re`.
fn without_articles(text: &str) -> String {
    let Some(words) = WORDS.as_ref() else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for run in words.find_iter(text).filter(|run| matches!(run.as_str(), "a" | "an" | "the")) {
        out.push_str(&text[copied..run.start()]);
        out.push(' ');
        copied = run.end();
    }
    out.push_str(&text[copied..]);
    out
}

/// White space by the definition of Python's `str.split`: Unicode white space and the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_words_compiles() {
        assert!(WORDS.is_some());
    }

    #[test]
    fn only_whole_words_are_removed_as_articles() {
        assert_eq!(normalise("The theme of an Anthem, a banana"), "theme of anthem banana");
        assert_eq!(normalise("the-a"), "thea");
        assert_eq!(normalise("the — an"), "—");
    }

    #[test]
    fn a_combining_mark_ends_a_word_and_a_raised_number_does_not() {
        assert_eq!(normalise("a\u{301}"), "\u{301}");
        assert_eq!(normalise("a² a"), "a²");
    }

    #[test]
    fn every_white_space_of_python_separates() {
        assert_eq!(normalise("x\u{a0}y\u{3000}z\u{1c}u\u{85}v\u{2009}w"), "x y z u v w");
        assert_eq!(normalise("x\u{200b}y"), "x\u{200b}y");
    }

    #[test]
    fn only_ascii_punctuation_is_dropped() {
        assert_eq!(normalise(r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##), "");
        assert_eq!(normalise("“x”"), "“x”");
    }
}
