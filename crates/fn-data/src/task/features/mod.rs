//! Tokenises examples of a task into sequences, and groups sequences into batches.

mod buckets;

use crate::tokenise::TextTokenizer;

use super::{Example, Label, TaskError};

pub use buckets::{Batch, Buckets};

/// Minimum sequence length: `[CLS] a [SEP] b [SEP]` with one token for each sentence.
const LEAST: usize = 5;

/// A tokenised example.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.
    pub ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it; as long as `ids`.
    pub token_types: Vec<u32>,
    /// The label of the example. Tags of words that were truncated are removed; see [`Features::words`].
    pub label: Option<Label>,
    /// For tags: index in `ids` of the first piece of each word that was not truncated.
    pub words: Vec<usize>,
}

/// Tokenises sentences and pairs into sequences of at most `length` ids.
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
    /// An encoder with a maximum length.
    ///
    /// # Errors
    /// A length below 5, in which two sentences of one token do not fit.
    pub fn new(tokenizer: &TextTokenizer, length: usize) -> Result<Self, TaskError> {
        if length < LEAST {
            return Err(TaskError::Length { found: length, least: LEAST });
        }
        Ok(Self { tokenizer: tokenizer.clone(), length })
    }

    /// Ids and token types of one sentence or a pair. If they are too long, tokens are removed from the end of the longer
    /// sentence, of the second one if both have the same length (`longest_first` in transformers).
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

    /// The features of an example; those of an example with tags are made by [`Encoder::word_features`].
    pub fn features(&self, example: &Example) -> Features {
        if let Some(Label::Tags(_)) = &example.label {
            return self.word_features(example);
        }
        let (ids, token_types) = self.encode(&example.first, example.second.as_deref());
        Features { ids, token_types, label: example.label.clone(), words: Vec::new() }
    }

    /// The features of an example of token classification: a tag belongs to the first piece of its word. The first word that
    /// does not fit completely is removed with all words after it.
    pub fn word_features(&self, example: &Example) -> Features {
        let (mut ids, mut words) = (Vec::new(), Vec::new());
        for word in example.first.split_whitespace() {
            let mut pieces = self.tokenizer.encode(word);
            if pieces.is_empty() {
                // A word that is empty after normalisation still has a tag, so it needs a token.
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

/// Lengths of two sentences after truncation to `room` tokens in all.
fn longest_first(a: usize, b: usize, room: usize) -> (usize, usize) {
    if a + b <= room {
        return (a, b);
    }
    // Each gets half; what one does not need goes to the other. If `room` is odd, the first gets one more.
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
