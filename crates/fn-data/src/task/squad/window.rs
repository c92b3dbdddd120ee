//! Splits long contexts into overlapping windows.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::TaskError;
use super::{Paragraph, Question, SquadData};
use crate::tokenise::TextTokenizer;

/// Options of the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Maximum length of a window in ids, question and special tokens included.
    pub length: usize,
    /// Tokens from the start of a window to that of the next.
    pub stride: usize,
    /// Maximum length of the question, in tokens; longer ones are truncated.
    pub question: usize,
}

impl Default for WindowOptions {
    /// The values of BERT: 384, 128 and 64.
    fn default() -> Self {
        Self { length: 384, stride: 128, question: 64 }
    }
}

/// The labels for training: positions in the ids. Start and end 0 (`[CLS]`) mean that the window does not contain the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Position of the first token of the answer.
    pub start: usize,
    /// Position of its last token.
    pub end: usize,
}

impl Target {
    /// The target of a window without an answer: `[CLS]`.
    pub const NOTHING: Self = Self { start: 0, end: 0 };

    /// Whether the window does not contain the answer.
    pub fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }
}

/// `[CLS] question [SEP] part of the context [SEP]`, or what the tokenizer puts around a pair instead of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Index of the paragraph.
    pub paragraph: usize,
    /// Index of the question within its paragraph.
    pub question: usize,
    /// The ids.
    pub ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it (in BERT); as long as `ids`.
    pub token_types: Vec<u32>,
    /// Position in `ids` of the first token of the context.
    pub context_at: usize,
    /// Range of the context's tokens that the window contains.
    pub tokens: Range<usize>,
    /// For each of them, whether this is the window with the most context around the token ("max context" in BERT).
    pub max_context: Vec<bool>,
    /// Position of the first reference answer. [`Target::NOTHING`] if the question is impossible or the answer is not
    /// completely within the window; None if the file has no answer, or the answer has no tokens.
    pub target: Option<Target>,
    /// Whether the question is marked impossible.
    pub impossible: bool,
    /// Byte range of each token of the whole context.
    offsets: Arc<[Range<u32>]>,
}

impl Window {
    /// Index of the context's token at a position in `ids`.
    pub fn token(&self, place: usize) -> Option<usize> {
        let token = self.tokens.start + place.checked_sub(self.context_at)?;
        (token < self.tokens.end).then_some(token)
    }

    /// Whether the token at this position in `ids` belongs to the context and has its maximum context in this window.
    pub fn has_max_context(&self, place: usize) -> bool {
        let within = place.checked_sub(self.context_at);
        within.and_then(|n| self.max_context.get(n)).copied().unwrap_or(false)
    }

    /// Byte range of the context from the token at position `start` to that at position `end`, both positions in `ids`.
    pub fn bytes(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let (start, end) = (self.token(start)?, self.token(end)?);
        let bytes = self.offsets.get(start)?.start as usize..self.offsets.get(end)?.end as usize;
        (start <= end).then_some(bytes)
    }

    /// The text of the context from position `start` to position `end` in `ids`; None if they are not positions of the context.
    pub fn text<'a>(&self, context: &'a str, start: usize, end: usize) -> Option<&'a str> {
        context.get(self.bytes(start, end)?)
    }
}

/// Makes all windows, in the order of paragraphs, questions and starts. Each question has at least one window.
///
/// # Errors
/// A length that leaves no room for a token of the context, a stride of 0.
pub fn windows(
    data: &SquadData,
    tokenizer: &TextTokenizer,
    options: &WindowOptions,
) -> Result<Vec<Window>, TaskError> {
    let least = options.question.saturating_add(tokenizer.frame().added_to_pair() + 1);
    if options.length < least {
        return Err(TaskError::Length { found: options.length, least });
    }
    if options.stride == 0 {
        return Err(TaskError::Zero { what: "the stride of windows" });
    }
    let of_paragraph = |(number, paragraph): (usize, &Paragraph)| {
        let context = Context::new(&paragraph.context, tokenizer);
        let mut out = Vec::new();
        for (q, question) in paragraph.questions.iter().enumerate() {
            context.cut(question, tokenizer, options, (number, q), &mut out);
        }
        out
    };
    let parts: Vec<Vec<Window>> = data.paragraphs.par_iter().enumerate().map(of_paragraph).collect();
    Ok(parts.into_iter().flatten().collect())
}

/// A tokenised context.
struct Context {
    ids: Vec<u32>,
    offsets: Arc<[Range<u32>]>,
}

impl Context {
    fn new(text: &str, tokenizer: &TextTokenizer) -> Self {
        let (ids, offsets) = tokenizer.encode_with_offsets(text);
        // Files are shorter than 2^32 bytes.
        Self { ids, offsets: offsets.into_iter().map(|r| r.start as u32..r.end as u32).collect() }
    }

    fn cut(
        &self,
        question: &Question,
        tokenizer: &TextTokenizer,
        options: &WindowOptions,
        (paragraph, number): (usize, usize),
        out: &mut Vec<Window>,
    ) {
        let frame = tokenizer.frame();
        let mut asked = tokenizer.encode(&question.text);
        asked.truncate(options.question);
        let context_at = frame.second_start(asked.len());
        let answer = question.answers.first().map(|a| self.tokens_of(&a.bytes));
        let spans =
            spans(self.ids.len(), options.length - asked.len() - frame.added_to_pair(), options.stride);
        for (place, tokens) in spans.iter().enumerate() {
            let (ids, token_types) = frame.pair(&asked, &self.ids[tokens.clone()]);
            let target = match &answer {
                _ if question.impossible => Some(Target::NOTHING),
                Some(Some(found)) if found.start >= tokens.start && found.end <= tokens.end => {
                    let at = |token: usize| context_at + token - tokens.start;
                    Some(Target { start: at(found.start), end: at(found.end - 1) })
                }
                Some(Some(_)) => Some(Target::NOTHING),
                Some(None) | None => None,
            };
            out.push(Window {
                paragraph,
                question: number,
                context_at,
                max_context: tokens
                    .clone()
                    .map(|t| best_window(&spans, options.stride, t) == place)
                    .collect(),
                tokens: tokens.clone(),
                target,
                impossible: question.impossible,
                offsets: self.offsets.clone(),
                ids,
                token_types,
            });
        }
    }

    /// The tokens that overlap with this byte range; None if there are none.
    fn tokens_of(&self, bytes: &Range<usize>) -> Option<Range<usize>> {
        let start = self.offsets.partition_point(|r| r.end as usize <= bytes.start);
        let end = self.offsets.partition_point(|r| (r.start as usize) < bytes.end);
        (start < end).then_some(start..end)
    }
}

/// The token range of each window. A stride that is larger than a window would skip tokens, so it is limited to the window.
fn spans(tokens: usize, room: usize, stride: usize) -> Vec<Range<usize>> {
    let stride = stride.min(room);
    let mut spans = Vec::new();
    let mut start = 0;
    loop {
        let end = tokens.min(start + room);
        spans.push(start..end);
        if end == tokens {
            return spans;
        }
        start += stride;
    }
}

/// The window with the maximum context for a token: the smaller of the numbers of tokens to its left and right, plus 0.01 times
/// the length of the window, as in BERT; of equal windows the first.
fn best_window(spans: &[Range<usize>], stride: usize, token: usize) -> usize {
    let room = spans.first().map_or(0, Range::len);
    // Windows that contain the token start at most one window length before it.
    let stride = stride.min(room).max(1);
    let from = (token + 1).saturating_sub(room).div_ceil(stride);
    let (mut best, mut highest) = (from, None);
    for (place, span) in spans.iter().enumerate().skip(from).take_while(|(_, s)| s.start <= token) {
        if !span.contains(&token) {
            continue;
        }
        let score = 100 * (token - span.start).min(span.end - 1 - token) + span.len();
        if highest.is_none_or(|h| score > h) {
            (best, highest) = (place, Some(score));
        }
    }
    best
}
