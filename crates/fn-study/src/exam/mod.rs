//! How well a judge agrees with people: the exam of `fnlm probe judge`.
//!
//! A judge says whether one word may stand in the place of another. People have said so as well, of words in context: [`read`] reads what
//! they said (SWORDS, CoInCo, SemEval-2007, a table of one's own, readings of a model's real errors), [`Exam::prepare`] makes the pairs
//! that a vocabulary can ask about and adds traps from WordNet, [`Judge`] grades them, [`report()`] compares.
//!
//! ```text
//! target: a word in a context      pair: target and substitute, good or an error      trap: antonym, sister or inflection of the target
//! ```

mod combine;
mod context;
mod error;
mod examine;
mod fit;
mod judge;
mod lexsub;
mod metrics;
mod page;
mod prepare;
mod read;
mod report;
mod swords;
mod table;
mod wild;

pub use combine::cross_validated;
pub use context::{Filled, InContext};
pub use error::ExamError;
pub use examine::{Asked, Examined, calibrated_lexicon, examine};
pub use fit::{fit, fit_encoder, token_vectors};
pub use judge::{EmbeddingCosine, Grades, Judge, LexiconTable, Recorded, Scale};
pub use metrics::{Curve, Interval, Point};
pub use page::page;
pub use prepare::{LeftOut, Pair, Prepared, TRAPS, Trap};
pub use read::read;
pub use report::{Operating, Report, Scores, report};

/// A word in its context.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name in the file, for messages and reports.
    pub id: String,
    /// The text around it.
    pub context: String,
    /// Where it begins in `context`, in bytes.
    pub start: usize,
    /// As it is written there.
    pub word: String,
    /// Its base form, where the file knows it.
    pub lemma: Option<String>,
    /// Part of speech or domain; empty if not known.
    pub group: String,
}

/// What people said of one substitute.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// Index of the target.
    pub target: usize,
    /// The word in its place.
    pub substitute: String,
    /// Share of the people who call it good, 0 to 1.
    pub share: f64,
}

impl Opinion {
    /// At least half of the people call it good.
    pub fn good(&self) -> bool {
        self.share >= 0.5
    }
}

/// Probabilities in the masked place, by the model whose error it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probabilities {
    /// Of the substitute.
    pub substitute: f64,
    /// Of the original word.
    pub word: f64,
}

/// What people said of substitutes in context, as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exam {
    /// The file and the question.
    pub name: String,
    /// What [`Target::group`] is: `part of speech` or `domain`.
    pub grouped_by: &'static str,
    /// The words in their contexts.
    pub targets: Vec<Target>,
    /// What people said.
    pub opinions: Vec<Opinion>,
    /// Substitutes without a label.
    pub unlabelled: usize,
    /// Whether only targets in their base form can be asked about, since substitutes are lemmas.
    pub lemmas: bool,
    /// Probabilities of the model that made the substitutes, where the file records them, in the order of `opinions`.
    pub recorded: Option<Vec<Probabilities>>,
    /// Scores by models that the program does not run itself, where the file records them: name, and a score for each opinion, higher for
    /// better.
    pub scores: Vec<(String, Vec<f64>)>,
}
