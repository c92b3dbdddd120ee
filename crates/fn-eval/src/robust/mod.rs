//! What a model loses when the text of a development set is perturbed and its labels stay right.
//!
//! [`kinds`] says which perturbations suit a task, [`run`] writes the perturbed copies and lets a model predict them, [`Loss`]
//! compares both paired over examples, so that only the change of the text counts. [`Results`] is the file of it all.

mod error;
mod loss;
mod results;
mod run;

pub use error::RobustError;
pub use loss::{Loss, compare_records, compare_values, question_f1};
pub use results::{Results, Row, Settings};
pub use run::{Event, Job, Subject, is_squad, kinds, run};
