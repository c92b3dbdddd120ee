//! Tokenises examples of a task into sequences, and groups sequences into batches.

mod buckets;

use crate::tokenise::TextTokenizer;

use super::{Example, Label, TaskError};

pub use buckets::{Batch, Buckets};

/// A tokenised example.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, or what the tokenizer puts around texts instead of it.
    pub ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it (in BERT); as long as `ids`.
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
    /// A length below 5 (6 in RoBERTa), in which two sentences of one token do not fit.
    pub fn new(tokenizer: &TextTokenizer, length: usize) -> Result<Self, TaskError> {
        let least = tokenizer.frame().added_to_pair() + 2;
        if length < least {
            return Err(TaskError::Length { found: length, least });
        }
        Ok(Self { tokenizer: tokenizer.clone(), length })
    }

    /// Ids and token types of one sentence or a pair. If they are too long, tokens are removed from the end of the longer
    /// sentence, of the second one if both have the same length (`longest_first` in transformers).
    pub fn encode(&self, first: &str, second: Option<&str>) -> (Vec<u32>, Vec<u32>) {
        let frame = self.tokenizer.frame();
        let mut a = self.tokenizer.encode(first);
        match second {
            None => {
                a.truncate(self.length - frame.added_to_single());
                frame.single(&a)
            }
            Some(second) => {
                let mut b = self.tokenizer.encode(second);
                let (keep_a, keep_b) = longest_first(a.len(), b.len(), self.length - frame.added_to_pair());
                a.truncate(keep_a);
                b.truncate(keep_b);
                frame.pair(&a, &b)
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
        let frame = self.tokenizer.frame();
        let (mut ids, mut words) = (Vec::new(), Vec::new());
        for word in example.first.split_whitespace() {
            let mut pieces = match words.is_empty() {
                true => self.tokenizer.encode(word),
                false => self.tokenizer.encode_word(word),
            };
            if pieces.is_empty() {
                // A word that is empty after normalisation still has a tag, so it needs a token.
                pieces.push(self.tokenizer.special().unk);
            }
            if ids.len() + pieces.len() > self.length - frame.added_to_single() {
                break;
            }
            words.push(frame.start() + ids.len());
            ids.extend(pieces);
        }
        let label = match &example.label {
            Some(Label::Tags(tags)) => {
                words.truncate(tags.len());
                Some(Label::Tags(tags.iter().copied().take(words.len()).collect()))
            }
            _ => None,
        };
        let (ids, token_types) = frame.single(&ids);
        Features { ids, token_types, label, words }
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
