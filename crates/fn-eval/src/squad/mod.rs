//! Scores answers to the questions of SQuAD: exact match and F1, by the rules of the official scripts of versions 1.1 and 2.0.
//!
//! [`Dataset`] is the file of questions, [`ById`] a file of predictions or of no-answer scores; [`score_v1`] and [`score_v2`]
//! compute a [`Report`] from them. Scores are fractions: 0.905 is 90.5 %.
//!
//! # Differences between the versions
//!
//! | | 1.1 | 2.0 |
//! |---|---|---|
//! | no prediction for a question | scores 0 and counts | is left out and does not count |
//! | F1 of two answers without words | 0 (they have no word in common) | 1 |
//! | references without words | compared like others | left out; if none is left, the right answer is the empty one |
//! | question without references | an error | has no answer |
//!
//! Predictions for unknown questions are ignored in both versions. The [`Report`] lists questions without prediction and
//! predictions for unknown questions.
//!
//! The script of 2.0 prints a line for a question without prediction and skips it, but then fails when it divides the scores into
//! questions with and without answer. Here such a question is left out of these parts and of the search for a threshold, too.

mod answer;
mod by_id;
mod data;
mod error;
mod normalise;
mod report;
mod score;
mod threshold;

pub use answer::{AnswerScore, best_v1, best_v2, exact, f1_v1, f1_v2};
pub use by_id::ById;
pub use data::{Answer, Article, Dataset, Paragraph, Question, Version};
pub use error::SquadError;
pub use normalise::normalise;
pub use report::{Part, Report};
pub use score::{NoAnswer, score_v1, score_v2};
pub use threshold::{Best, Threshold};
