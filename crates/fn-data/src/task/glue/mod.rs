//! The tasks of GLUE: their labels and files, and readers for all layouts in which they are handed round.
//!
//! - the official tables, with or without a header as each of them happens to be; quotation marks are text in all of them;
//! - MRPC as its authors publish it (`msr_paraphrase_*.txt`) with the list of pairs that are the development set;
//! - JSON lines and Parquet with the column names of data-set hubs, where `-1` is a label that is not public.
//!
//! Each also behind `.gz`, `.zst` or `.xz`.

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
    /// Is a sentence acceptable English?
    Cola,
    /// Is a piece of a review positive?
    Sst2,
    /// Do two sentences from the news say the same?
    Mrpc,
    /// How similar are two sentences, from 0 to 5?
    Stsb,
    /// Do two questions ask the same?
    Qqp,
    /// Does a premise entail a hypothesis? Development and test set from the genres of the training set.
    MnliMatched,
    /// The same, with other genres.
    MnliMismatched,
    /// Does a sentence hold the answer to a question?
    Qnli,
    /// Does a text entail a hypothesis?
    Rte,
    /// Does a sentence entail its copy with a pronoun replaced?
    Wnli,
    /// The diagnostic set, for a model trained on MNLI.
    Ax,
}

impl GlueTask {
    /// All of them, in the order of the paper's table.
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

    /// Its usual name.
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

    /// Names of the classes, in the order of their numbers; none for a regression.
    ///
    /// The order is that of the integer labels in hub files (MNLI: entailment, neutral, contradiction). A model whose head was
    /// trained elsewhere may number them in another way.
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

    /// Sentences of an example: 1 or 2.
    pub fn sentences(self) -> usize {
        match self {
            Self::Cola | Self::Sst2 => 1,
            _ => 2,
        }
    }

    /// Whether the label is a score, not a class.
    pub fn is_regression(self) -> bool {
        self == Self::Stsb
    }

    /// Official name of a file; None if there is none (AX has a test set only).
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

    /// Names of classes are numbers in the official tables of these tasks.
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

/// A name that is no task of GLUE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no task {found:?} in GLUE, expected one of CoLA, SST-2, MRPC, STS-B, QQP, MNLI-m, MNLI-mm, QNLI, RTE, WNLI, AX; check the spelling"
)]
pub struct UnknownTask {
    /// What was asked for.
    pub found: String,
}

impl FromStr for GlueTask {
    type Err = UnknownTask;

    /// Capitals and signs do not matter; `MNLI` is its matched half.
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
/// Broken lines of QQP and undecided rows of MNLI, which official tools pass over, are counted in the report.
///
/// # Errors
/// A file that cannot be read, columns of another task, a line with too many or too few columns, a label that the task does
/// not have: each with its place.
pub fn read(task: GlueTask, path: &Path) -> Result<TaskData, TaskError> {
    let input = Input::open(path, '\t')?;
    let layout = layout::find(task, &input)?;
    read::read(input, &layout, &task.label_rule())
}
