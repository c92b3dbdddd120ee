//! Sentences to sequences, sequences to batches.

mod buckets;

use crate::tokenise::TextTokenizer;

use super::{Example, Label, TaskError};

pub use buckets::{Batch, Buckets};

/// `[CLS] a [SEP] b [SEP]` with one token each.
const LEAST: usize = 5;

/// A sequence and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.
    pub ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it; as long as `ids`.
    pub token_types: Vec<u32>,
    /// The label of the example. Of tags only those whose word is still there; see [`Features::words`].
    pub label: Option<Label>,
    /// For tags: the place in `ids` of the first piece of each word that is left.
    pub words: Vec<usize>,
}

/// Makes sequences of at most `length` ids.
///
/// ```
/// use fn_data::task::features::Encoder;
/// use fn_data::tokenise::{SPECIAL_TOKENS, TextTokenizer};
///
/// let pieces = SPECIAL_TOKENS.iter().chain(&["tea", "milk"]).map(|&p| p.to_owned()).collect();
/// let tokenizer = TextTokenizer::from_vocab(pieces, true)?;
/// let (ids, token_types) = Encoder::new(&tokenizer, 8)?.encode("Tea", Some("milk"));
/// assert_eq!(ids, [2, 5, 3, 6, 3]);
/// assert_eq!(token_types, [0, 0, 0, 1, 1]);
/// # Ok::<(), fn_data::task::TaskError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    tokenizer: TextTokenizer,
    length: usize,
}

impl Encoder {
    /// An encoder.
    ///
    /// # Errors
    /// A length below 5: two sentences of one token do not fit.
    pub fn new(tokenizer: &TextTokenizer, length: usize) -> Result<Self, TaskError> {
        if length < LEAST {
            return Err(TaskError::Length { found: length, least: LEAST });
        }
        Ok(Self { tokenizer: tokenizer.clone(), length })
    }

    /// Ids and token types of one sentence or two. What is too long loses tokens at its end, the longer sentence first, the
    /// second if both are as long.
    pub fn encode(&self, first: &str, second: Option<&str>) -> (Vec<u32>, Vec<u32>) {
        let mut a = self.tokenizer.encode(first);
        match second {
            None => {
                a.truncate(self.length - 2);
                self.join(&a, None)
            }
            Some(second) => {
                let mut b = self.tokenizer.encode(second);
                let (keep_a, keep_b) = longest_first(a.len(), b.len(), self.length - 3);
                a.truncate(keep_a);
                b.truncate(keep_b);
                self.join(&a, Some(&b))
            }
        }
    }

    /// The features of an example; one with tags goes by [`Encoder::word_features`].
    pub fn features(&self, example: &Example) -> Features {
        if let Some(Label::Tags(_)) = &example.label {
            return self.word_features(example);
        }
        let (ids, token_types) = self.encode(&example.first, example.second.as_deref());
        Features { ids, token_types, label: example.label.clone(), words: Vec::new() }
    }

    /// The features of words that have or shall have tags, which stand on the first piece of each. A word that does not fit
    /// whole is cut with all after it.
    pub fn word_features(&self, example: &Example) -> Features {
        let (mut ids, mut words) = (Vec::new(), Vec::new());
        for word in example.first.split_whitespace() {
            let mut pieces = self.tokenizer.encode(word);
            if pieces.is_empty() {
                // A word of control characters still has a tag.
                pieces.push(self.tokenizer.special().unk);
            }
            if ids.len() + pieces.len() > self.length - 2 {
                break;
            }
            words.push(1 + ids.len());
            ids.extend(pieces);
        }
        let label = match &example.label {
            Some(Label::Tags(tags)) => {
                words.truncate(tags.len());
                Some(Label::Tags(tags.iter().copied().take(words.len()).collect()))
            }
            _ => None,
        };
        let (ids, token_types) = self.join(&ids, None);
        Features { ids, token_types, label, words }
    }

    fn join(&self, a: &[u32], b: Option<&[u32]>) -> (Vec<u32>, Vec<u32>) {
        let special = self.tokenizer.special();
        let mut ids = Vec::with_capacity(3 + a.len() + b.map_or(0, <[u32]>::len));
        ids.push(special.cls);
        ids.extend_from_slice(a);
        ids.push(special.sep);
        let mut token_types = vec![0; ids.len()];
        if let Some(b) = b {
            ids.extend_from_slice(b);
            ids.push(special.sep);
            token_types.resize(ids.len(), 1);
        }
        (ids, token_types)
    }
}

/// How much is left of two sentences that share `room`.
fn longest_first(a: usize, b: usize, room: usize) -> (usize, usize) {
    if a + b <= room {
        return (a, b);
    }
    // Both are cut to halves; what one does not need is the other's. The odd place is the first's.
    let half = room / 2;
    if a <= room - half {
        (a, room - a)
    } else if b <= half {
        (room - b, b)
    } else {
        (room - half, half)
    }
}

#[cfg(test)]
mod tests;
