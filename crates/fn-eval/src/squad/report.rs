//! Scores of a file of predictions.

use super::answer::AnswerScore;
use super::data::Version;
use super::threshold::Best;

/// Mean scores over a set of questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Share of exact matches.
    pub exact: f64,
    /// Mean F1.
    pub f1: f64,
    /// Number of questions in the mean.
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
    /// All scored questions.
    pub total: Part,
    /// Scored questions with an answer; None if there are none, and for SQuAD 1.1.
    pub has_answer: Option<Part>,
    /// Scored questions without an answer; None if there are none, and for SQuAD 1.1.
    pub no_answer: Option<Part>,
    /// Whether there are no-answer scores outside of 0 to 1 while the threshold is 1. This threshold changes no answer only if
    /// the scores are probabilities.
    pub no_probabilities: bool,
    /// The best thresholds; None without no-answer scores.
    pub best: Option<Best>,
    /// Questions without prediction, in the order of the questions. In 1.1 they score 0, in 2.0 they are left out.
    pub missing: Vec<String>,
    /// Predictions for unknown questions, in the order of the predictions. They are ignored.
    pub unknown: Vec<String>,
    /// No-answer scores for unknown questions. They are ignored.
    pub unknown_scores: Vec<String>,
    /// Whether missing predictions count as 0.
    pub(super) missing_count: bool,
}

impl Report {
    /// Warnings for the user about missing or unknown ids, one line each; empty if there are none.
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
        let neutral = self.no_probabilities.then(|| {
            "there are no-answer scores outside of 0 to 1 (differences of logits?), for which the threshold 1 changes answers; \
             --na-threshold gives another, best_f1_thresh is the best one"
                .to_owned()
        });
        lines.into_iter().filter_map(line).chain(neutral).collect()
    }

    /// All scores with the names and units of the official script of this version: percent and counts.
    pub fn figures(&self, version: Version) -> Vec<(&'static str, f64)> {
        let total = self.total;
        if version == Version::V1 {
            return vec![("exact_match", 100.0 * total.exact), ("f1", 100.0 * total.f1)];
        }
        let mut out =
            vec![("exact", 100.0 * total.exact), ("f1", 100.0 * total.f1), ("total", total.questions as f64)];
        let mut part = |names: [&'static str; 3], part: Option<Part>| {
            if let Some(part) = part {
                let values = [100.0 * part.exact, 100.0 * part.f1, part.questions as f64];
                out.extend(names.into_iter().zip(values));
            }
        };
        part(["HasAns_exact", "HasAns_f1", "HasAns_total"], self.has_answer);
        part(["NoAns_exact", "NoAns_f1", "NoAns_total"], self.no_answer);
        if let Some(best) = self.best {
            out.push(("best_exact", 100.0 * best.exact.score));
            out.push(("best_exact_thresh", best.exact.threshold));
            out.push(("best_f1", 100.0 * best.f1.score));
            out.push(("best_f1_thresh", best.f1.threshold));
        }
        out
    }
}
