//! Decodes start and end logits into answers, in the formats of the official result files.
//!
//! As in BERT's `run_squad.py`: the best starts and ends of each window are paired; a pair is valid if both lie in the context,
//! the window has the maximum context for the start, and the span is not too long. The answer to a question is the valid pair
//! with the highest sum of logits. In SQuAD 2.0 the empty answer competes with it: the pair at `[CLS]`, in the window where its
//! sum is lowest.
//!
//! Unlike in BERT, the text of an answer is an exact substring of the context, and without a valid pair the answer is empty.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::TaskError;
use super::{SquadData, Window};

/// The null odds of a question without a valid pair.
pub const ONLY_NULL: f64 = 1e6;

/// Options of decoding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeOptions {
    /// Number of starts and ends that are tried in each window, and of answers that are kept.
    pub n_best: usize,
    /// Maximum length of an answer, in tokens.
    pub max_answer: usize,
    /// For SQuAD 2.0: the answer is empty if its null odds are above this. None for SQuAD 1.1, where no answer is empty.
    pub null_threshold: Option<f64>,
}

impl DecodeOptions {
    /// The values of BERT for SQuAD 1.1.
    pub fn v1() -> Self {
        Self { n_best: 20, max_answer: 30, null_threshold: None }
    }

    /// The values of BERT for SQuAD 2.0.
    pub fn v2() -> Self {
        Self { null_threshold: Some(0.0), ..Self::v1() }
    }
}

/// Logits of a window, one for each id; logits of padding may follow and are ignored.
#[derive(Debug, Clone, Copy)]
pub struct SpanLogits<'a> {
    /// Logit of each token to be the first of the answer.
    pub start: &'a [f32],
    /// Logit of each token to be the last of the answer.
    pub end: &'a [f32],
}

/// One of the best answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NBest {
    /// The text; empty for no answer.
    pub text: String,
    /// Softmax over the kept answers.
    pub probability: f64,
    /// Start logit of its first token.
    pub start_logit: f64,
    /// End logit of its last token.
    pub end_logit: f64,
}

/// Answers by question id. Each field is a file: `predictions.json`, `nbest_predictions.json`, `null_odds.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// The answers.
    pub predictions: BTreeMap<String, String>,
    /// The best answers of each question, the best one first.
    pub nbest: BTreeMap<String, Vec<NBest>>,
    /// Sum of logits of the empty answer minus that of the best other answer; empty for SQuAD 1.1.
    pub null_odds: BTreeMap<String, f64>,
}

/// Decodes the answers to all questions. `logits` are in the order of `windows`.
///
/// # Errors
/// Fewer logits than ids or windows, logits that are not finite, `n_best` or `max_answer` of 0.
pub fn decode(
    data: &SquadData,
    windows: &[Window],
    logits: &[SpanLogits],
    options: &DecodeOptions,
) -> Result<Decoded, TaskError> {
    check(windows, logits, options)?;
    let mut groups: BTreeMap<(usize, usize), Vec<(&Window, SpanLogits)>> = BTreeMap::new();
    for (window, logits) in windows.iter().zip(logits) {
        groups.entry((window.paragraph, window.question)).or_default().push((window, *logits));
    }
    let groups: Vec<_> = groups.into_iter().collect();
    let answers: Vec<_> = groups
        .par_iter()
        .filter_map(|((paragraph, question), windows)| {
            let paragraph = data.paragraphs.get(*paragraph)?;
            let question = paragraph.questions.get(*question)?;
            Some((question.id.clone(), choose(&paragraph.context, windows, options)))
        })
        .collect();
    let mut out = Decoded::default();
    for (id, Choice { text, nbest, odds }) in answers {
        out.predictions.insert(id.clone(), text);
        if let Some(odds) = odds {
            out.null_odds.insert(id.clone(), odds);
        }
        out.nbest.insert(id, nbest);
    }
    Ok(out)
}

fn check(windows: &[Window], logits: &[SpanLogits], options: &DecodeOptions) -> Result<(), TaskError> {
    for (what, value) in
        [("the number of best answers", options.n_best), ("the length of an answer", options.max_answer)]
    {
        if value == 0 {
            return Err(TaskError::Zero { what });
        }
    }
    if windows.len() != logits.len() {
        let what = "the rows of logits are";
        return Err(TaskError::Logits { what, found: logits.len(), expected: windows.len() });
    }
    for (number, (window, logits)) in windows.iter().zip(logits).enumerate() {
        for row in [logits.start, logits.end] {
            let Some(row) = row.get(..window.ids.len()) else {
                let what = "the logits of a window are";
                return Err(TaskError::Logits { what, found: row.len(), expected: window.ids.len() });
            };
            if let Some(position) = row.iter().position(|x| !x.is_finite()) {
                return Err(TaskError::NotFinite { window: number, position });
            }
        }
    }
    Ok(())
}

/// A valid pair, or the empty answer.
struct Candidate<'a> {
    text: &'a str,
    start: f64,
    end: f64,
}

impl Candidate<'_> {
    fn score(&self) -> f64 {
        self.start + self.end
    }
}

struct Choice {
    text: String,
    nbest: Vec<NBest>,
    odds: Option<f64>,
}

fn choose(context: &str, windows: &[(&Window, SpanLogits)], options: &DecodeOptions) -> Choice {
    let mut candidates: Vec<Candidate> = Vec::new();
    for (window, logits) in windows {
        add_candidates(context, window, logits, options, &mut candidates);
    }
    let null = options.null_threshold.and_then(|_| {
        let at_cls = windows.iter().filter_map(|(_, logits)| {
            let (start, end) = (*logits.start.first()?, *logits.end.first()?);
            Some(Candidate { text: "", start: start.into(), end: end.into() })
        });
        at_cls.min_by(|a, b| a.score().total_cmp(&b.score()))
    });
    let null_score = null.as_ref().map(Candidate::score);
    candidates.extend(null);
    // The sort is stable: equal ones stay in the order of windows, starts and ends.
    candidates.sort_by(|a, b| b.score().total_cmp(&a.score()));

    let mut seen = HashSet::new();
    candidates.retain(|c| seen.insert(c.text));
    let mut kept: Vec<&Candidate> = candidates.iter().take(options.n_best).collect();
    kept.extend(candidates.iter().skip(options.n_best).find(|c| c.text.is_empty()));
    let nothing = Candidate { text: "", start: 0.0, end: 0.0 };
    if kept.is_empty() {
        kept.push(&nothing);
    }

    let nbest = with_probabilities(&kept);
    let best = kept.iter().find(|c| !c.text.is_empty());
    let odds = null_score.map(|null| best.map_or(ONLY_NULL, |best| null - best.score()));
    let refused = odds.zip(options.null_threshold).is_some_and(|(odds, limit)| odds > limit);
    let text = if refused { "" } else { best.map_or("", |best| best.text) };
    Choice { text: text.to_owned(), nbest, odds }
}

fn add_candidates<'a>(
    context: &'a str,
    window: &Window,
    logits: &SpanLogits,
    options: &DecodeOptions,
    out: &mut Vec<Candidate<'a>>,
) {
    let rows = [logits.start, logits.end].map(|row| &row[..window.ids.len().min(row.len())]);
    let [starts, ends] = rows.map(|row| best_places(row, options.n_best));
    for &start in starts.iter().filter(|&&s| window.has_max_context(s)) {
        for &end in ends.iter().filter(|&&e| e >= start && e - start < options.max_answer) {
            if let Some(text) = window.text(context, start, end).filter(|t| !t.is_empty()) {
                let (start, end) = (rows[0][start].into(), rows[1][end].into());
                out.push(Candidate { text, start, end });
            }
        }
    }
}

/// Indices of the `n` highest numbers in descending order; equal ones in the order of their indices.
fn best_places(row: &[f32], n: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..row.len()).collect();
    places.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    places.truncate(n);
    places
}

fn with_probabilities(candidates: &[&Candidate]) -> Vec<NBest> {
    let highest = candidates.iter().map(|c| c.score()).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = candidates.iter().map(|c| (c.score() - highest).exp()).sum();
    let kept = candidates.iter().map(|c| NBest {
        text: c.text.to_owned(),
        probability: (c.score() - highest).exp() / total,
        start_logit: c.start,
        end_logit: c.end,
    });
    kept.collect()
}
