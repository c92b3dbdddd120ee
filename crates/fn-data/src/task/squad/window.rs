//! Long contexts cut into sequences that overlap.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::TaskError;
use super::{Paragraph, Question, SquadData};
use crate::tokenise::TextTokenizer;

/// How contexts are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Ids of a sequence at most.
    pub length: usize,
    /// Tokens from the start of a window to that of the next.
    pub stride: usize,
    /// Tokens of the question that are kept.
    pub question: usize,
}

impl Default for WindowOptions {
    /// Those of BERT: 384, 128 and 64.
    fn default() -> Self {
        Self { length: 384, stride: 128, question: 64 }
    }
}

/// What a model should point at, as places in the ids. `0` and `0` (at `[CLS]`) say that the window holds no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The first token of the answer.
    pub start: usize,
    /// Its last token.
    pub end: usize,
}

impl Target {
    /// The window holds no answer.
    pub const NOTHING: Self = Self { start: 0, end: 0 };

    /// Whether the window holds no answer.
    pub fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }
}

/// `[CLS] question [SEP] part of the context [SEP]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Number of the paragraph.
    pub paragraph: usize,
    /// Number of the question within its paragraph.
    pub question: usize,
    /// The sequence.
    pub ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it; as long as `ids`.
    pub token_types: Vec<u32>,
    /// Place in `ids` of the first token of the context.
    pub context_at: usize,
    /// Which tokens of the context these are.
    pub tokens: Range<usize>,
    /// For each of them, whether no other window of the question shows more of what is around it.
    pub max_context: Vec<bool>,
    /// Where the first answer is. Nothing, if the question is impossible or its answer is not wholly within the window; None, if
    /// the file does not say, or the answer has no tokens.
    pub target: Option<Target>,
    /// Whether the question is marked impossible.
    pub impossible: bool,
    /// Bytes of the context for each of its tokens, the whole context's.
    offsets: Arc<[Range<u32>]>,
}

impl Window {
    /// The token of the context at a place in `ids`.
    pub fn token(&self, place: usize) -> Option<usize> {
        let token = self.tokens.start + place.checked_sub(self.context_at)?;
        (token < self.tokens.end).then_some(token)
    }

    /// Whether the token at this place in `ids` is one of the context, and best seen in this window.
    pub fn has_max_context(&self, place: usize) -> bool {
        let within = place.checked_sub(self.context_at);
        within.and_then(|n| self.max_context.get(n)).copied().unwrap_or(false)
    }

    /// Bytes of the context from the token at place `start` to that at place `end`, both places in `ids`.
    pub fn bytes(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let (start, end) = (self.token(start)?, self.token(end)?);
        let bytes = self.offsets.get(start)?.start as usize..self.offsets.get(end)?.end as usize;
        (start <= end).then_some(bytes)
    }

    /// The exact text of the context between two places in `ids`; None where there is none.
    pub fn text<'a>(&self, context: &'a str, start: usize, end: usize) -> Option<&'a str> {
        context.get(self.bytes(start, end)?)
    }
}

/// Cuts all windows, in the order of paragraphs, questions and starts. Each question has at least one window.
///
/// # Errors
/// A length that leaves no room for a token of the context, a stride of 0.
pub fn windows(
    data: &SquadData,
    tokenizer: &TextTokenizer,
    options: &WindowOptions,
) -> Result<Vec<Window>, TaskError> {
    let least = options.question.saturating_add(4);
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

/// A context in tokens.
struct Context {
    ids: Vec<u32>,
    offsets: Arc<[Range<u32>]>,
}

impl Context {
    fn new(text: &str, tokenizer: &TextTokenizer) -> Self {
        let (ids, offsets) = tokenizer.encode_with_offsets(text);
        // Files are shorter than 32 bits can count.
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
        let special = tokenizer.special();
        let mut head = vec![special.cls];
        head.extend(tokenizer.encode(&question.text).into_iter().take(options.question));
        head.push(special.sep);
        let answer = question.answers.first().map(|a| self.tokens_of(&a.bytes));
        let spans = spans(self.ids.len(), options.length - head.len() - 1, options.stride);
        for (place, tokens) in spans.iter().enumerate() {
            let mut ids = head.clone();
            ids.extend_from_slice(&self.ids[tokens.clone()]);
            ids.push(special.sep);
            let mut token_types = vec![0; head.len()];
            token_types.resize(ids.len(), 1);
            let target = match &answer {
                _ if question.impossible => Some(Target::NOTHING),
                Some(Some(found)) if found.start >= tokens.start && found.end <= tokens.end => {
                    let at = |token: usize| head.len() + token - tokens.start;
                    Some(Target { start: at(found.start), end: at(found.end - 1) })
                }
                Some(Some(_)) => Some(Target::NOTHING),
                Some(None) | None => None,
            };
            out.push(Window {
                paragraph,
                question: number,
                context_at: head.len(),
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

    /// The tokens that share a byte with this range; None if there are none.
    fn tokens_of(&self, bytes: &Range<usize>) -> Option<Range<usize>> {
        let start = self.offsets.partition_point(|r| r.end as usize <= bytes.start);
        let end = self.offsets.partition_point(|r| (r.start as usize) < bytes.end);
        (start < end).then_some(start..end)
    }
}

/// The tokens of each window. A stride that is wider than a window would skip tokens, so it is narrowed.
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

/// The window that shows most around a token: the smaller of what is to its left and right counts, then a hundredth of the
/// window's length; the first of several.
fn best_window(spans: &[Range<usize>], stride: usize, token: usize) -> usize {
    let room = spans.first().map_or(0, Range::len);
    // Windows that can hold the token start at most a window before it.
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
