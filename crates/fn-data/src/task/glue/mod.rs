//! The tasks of GLUE: their labels and files, and readers for all common layouts:
//!
//! - the official tables, some of which have a header and some not; quotation marks are part of the text in all of them;
//! - MRPC as published by its authors (`msr_paraphrase_*.txt`), with the list of pairs that form the development set;
//! - JSON lines and Parquet with the column names of data-set hubs, where `-1` is a label that is not public.
//!
//! All of them may be compressed (`.gz`, `.zst` or `.xz`).

mod files;
mod layout;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

pub use files::{Split, load, split_by_ids};

use super::input::Input;
use super::read::{self, LabelRule};
use super::{TaskData, TaskError};

/// A task of GLUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GlueTask {
    /// CoLA: is a sentence acceptable English?
    Cola,
    /// SST-2: is a phrase of a film review positive?
    Sst2,
    /// MRPC: are two sentences from the news paraphrases?
    Mrpc,
    /// STS-B: how similar are two sentences, from 0 to 5?
    Stsb,
    /// QQP: are two questions paraphrases?
    Qqp,
    /// MNLI: does a premise entail a hypothesis? Development and test set from the genres of the training set.
    MnliMatched,
    /// MNLI with development and test set from other genres.
    MnliMismatched,
    /// QNLI: does a sentence contain the answer to a question?
    Qnli,
    /// RTE: does a text entail a hypothesis?
    Rte,
    /// WNLI: does a sentence entail its copy with a pronoun replaced?
    Wnli,
    /// AX, the diagnostic set, for a model that was trained on MNLI.
    Ax,
}

impl GlueTask {
    /// All tasks, in the order of the table in the paper.
    pub const ALL: [Self; 11] = [
        Self::Cola,
        Self::Sst2,
        Self::Mrpc,
        Self::Stsb,
        Self::Qqp,
        Self::MnliMatched,
        Self::MnliMismatched,
        Self::Qnli,
        Self::Rte,
        Self::Wnli,
        Self::Ax,
    ];

    /// Usual name of the task.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cola => "CoLA",
            Self::Sst2 => "SST-2",
            Self::Mrpc => "MRPC",
            Self::Stsb => "STS-B",
            Self::Qqp => "QQP",
            Self::MnliMatched => "MNLI-m",
            Self::MnliMismatched => "MNLI-mm",
            Self::Qnli => "QNLI",
            Self::Rte => "RTE",
            Self::Wnli => "WNLI",
            Self::Ax => "AX",
        }
    }

    /// Names of the classes, in the order of their indices; empty for a regression.
    ///
    /// The order is that of the integer labels on data-set hubs (MNLI: entailment, neutral, contradiction). A model that was
    /// fine-tuned with other software may have another order.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Cola => &["unacceptable", "acceptable"],
            Self::Sst2 => &["negative", "positive"],
            Self::Mrpc => &["not_equivalent", "equivalent"],
            Self::Stsb => &[],
            Self::Qqp => &["not_duplicate", "duplicate"],
            Self::MnliMatched | Self::MnliMismatched | Self::Ax => {
                &["entailment", "neutral", "contradiction"]
            }
            Self::Qnli | Self::Rte => &["entailment", "not_entailment"],
            Self::Wnli => &["not_entailment", "entailment"],
        }
    }

    /// Number of sentences of an example: 1 or 2.
    pub fn sentences(self) -> usize {
        match self {
            Self::Cola | Self::Sst2 => 1,
            _ => 2,
        }
    }

    /// Whether the label is a score instead of a class.
    pub fn is_regression(self) -> bool {
        self == Self::Stsb
    }

    /// Official file name of a split; None if there is none (AX has only a test set).
    pub fn file(self, split: Split) -> Option<&'static str> {
        match (self, split) {
            (Self::Ax, Split::Test) => Some("diagnostic.tsv"),
            (Self::Ax, _) => None,
            (_, Split::Train) => Some("train.tsv"),
            (Self::MnliMatched, Split::Dev) => Some("dev_matched.tsv"),
            (Self::MnliMatched, Split::Test) => Some("test_matched.tsv"),
            (Self::MnliMismatched, Split::Dev) => Some("dev_mismatched.tsv"),
            (Self::MnliMismatched, Split::Test) => Some("test_mismatched.tsv"),
            (_, Split::Dev) => Some("dev.tsv"),
            (_, Split::Test) => Some("test.tsv"),
        }
    }

    /// Whether the official tables of the task hold class indices instead of names.
    pub(crate) fn numbers_in_tables(self) -> bool {
        matches!(self, Self::Cola | Self::Sst2 | Self::Mrpc | Self::Qqp | Self::Wnli)
    }

    fn label_rule(self) -> LabelRule {
        if self.is_regression() {
            return LabelRule::Score { low: 0.0, high: 5.0, hidden: Some(-1.0) };
        }
        let names = self.labels().iter().map(|&name| name.to_owned()).collect();
        let undecided = matches!(self, Self::MnliMatched | Self::MnliMismatched).then_some("-");
        LabelRule::Class { names, digits: self.numbers_in_tables(), undecided }
    }
}

impl fmt::Display for GlueTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a task of GLUE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no task {found:?} in GLUE, expected one of CoLA, SST-2, MRPC, STS-B, QQP, MNLI-m, MNLI-mm, QNLI, RTE, WNLI, AX; check the spelling"
)]
pub struct UnknownTask {
    /// The name that was given.
    pub found: String,
}

impl FromStr for GlueTask {
    type Err = UnknownTask;

    /// Case, hyphens and underscores are ignored; `MNLI` is its matched half.
    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        let plain = |s: &str| -> String {
            s.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        match plain(name).as_str() {
            "mnli" | "mnlimatched" => Ok(Self::MnliMatched),
            "mnlimismatched" => Ok(Self::MnliMismatched),
            asked => {
                let found = Self::ALL.into_iter().find(|task| plain(task.name()) == asked);
                found.ok_or_else(|| UnknownTask { found: name.chars().take(60).collect() })
            }
        }
    }
}

/// Reads a file of a task in any of its layouts.
///
/// Malformed lines of QQP and rows of MNLI without an agreed label are skipped, as in official tools, and counted in the
/// report.
///
/// # Errors
/// A file that cannot be read, columns of another task, a line with the wrong number of columns, a label that the task does not
/// have; each with its line.
pub fn read(task: GlueTask, path: &Path) -> Result<TaskData, TaskError> {
    let input = Input::open(path, '\t')?;
    let layout = layout::find(task, &input)?;
    read::read(input, &layout, &task.label_rule())
}
