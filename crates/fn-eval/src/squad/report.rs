//! What came out.

use super::answer::AnswerScore;
use super::threshold::Best;

/// Mean scores of some questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Share of exact matches.
    pub exact: f64,
    /// Mean F1.
    pub f1: f64,
    /// How many questions were divided by.
    pub questions: usize,
}

impl Part {
    /// The mean of these scores; None without scores.
    pub(super) fn of(scores: impl IntoIterator<Item = AnswerScore>) -> Option<Self> {
        let (mut exact, mut f1, mut questions) = (0.0, 0.0, 0);
        for score in scores {
            exact += score.exact;
            f1 += score.f1;
            questions += 1;
        }
        (questions > 0).then(|| Self {
            exact: exact / questions as f64,
            f1: f1 / questions as f64,
            questions,
        })
    }
}

/// Scores of a file of predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// All questions that count.
    pub total: Part,
    /// Those with an answer; None if none of them counts, and by the rules of 1.1.
    pub has_answer: Option<Part>,
    /// Those without; None if none of them counts, and by the rules of 1.1.
    pub no_answer: Option<Part>,
    /// The best thresholds; None without no-answer scores.
    pub best: Option<Best>,
    /// Questions without prediction, in the order of the questions. 1.1: they score 0 and count; 2.0: they do not count.
    pub missing: Vec<String>,
    /// Predictions for questions that do not exist, in the order of the predictions. They do not count.
    pub unknown: Vec<String>,
    /// No-answer scores for questions that do not exist. They do not count.
    pub unknown_scores: Vec<String>,
    /// Whether missing predictions count as 0.
    pub(super) missing_count: bool,
}

impl Report {
    /// A line for each thing that the user should know: ids that are missing or unknown. Empty if all is well.
    pub fn warnings(&self) -> Vec<String> {
        let fate = if self.missing_count { "score 0" } else { "do not count" };
        let lines = [
            (&self.missing, "questions without prediction", fate),
            (&self.unknown, "predictions for unknown questions", "do not count"),
            (&self.unknown_scores, "no-answer scores for unknown questions", "do not count"),
        ];
        let line = |(ids, what, fate): (&Vec<String>, &str, &str)| {
            ids.first().map(|first| format!("{} {what} {fate} (the first is `{first}`)", ids.len()))
        };
        lines.into_iter().filter_map(line).collect()
    }
}
