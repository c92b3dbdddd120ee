//! Special tokens that are written literally in a text, such as `[MASK]` or `</s>`.

use super::TextTokenizer;

impl TextTokenizer {
    /// Number of places in a text where a special token is written literally. They are tokenised as ordinary text.
    pub fn literal_special_tokens(&self, text: &str) -> u64 {
        self.0.literal.count(text)
    }
}

/// The texts of the special tokens of a vocabulary.
pub(super) struct Literal {
    tokens: Vec<String>,
    /// Their different first characters.
    firsts: Vec<char>,
}

impl Literal {
    pub(super) fn new<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        let tokens: Vec<String> = tokens.filter(|token| !token.is_empty()).map(str::to_owned).collect();
        let mut firsts: Vec<char> = tokens.iter().filter_map(|token| token.chars().next()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        Self { tokens, firsts }
    }

    /// Number of places where one of them is written.
    pub(super) fn count(&self, text: &str) -> u64 {
        let mut found = 0;
        for &first in &self.firsts {
            let mut rest = text;
            while let Some(at) = rest.find(first) {
                let here = &rest[at..];
                found += u64::from(self.tokens.iter().any(|token| here.starts_with(token.as_str())));
                rest = &here[first.len_utf8()..];
            }
        }
        found
    }
}
