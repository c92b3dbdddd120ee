//! Robustness: how much the score of a model drops when the text of a development set is perturbed in ways that keep its labels
//! correct.
//!
//! [`kinds`] lists the perturbations that suit a task, [`run`] writes the perturbed copies and predicts them with a model,
//! [`Loss`] compares the scores on both, paired over examples. [`Results`] is the file of results.

mod error;
mod loss;
mod results;
mod run;

pub use error::RobustError;
pub use loss::{Loss, compare_records, compare_values, question_f1};
pub use results::{Results, Row, Settings};
pub use run::{Event, Job, Subject, is_squad, kinds, run};
