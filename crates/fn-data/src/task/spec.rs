//! Tasks that the user describes in a TOML file.
//!
//! ```toml
//! [task]
//! type = "pair"                       # classify, pair, regress or tag
//! first = "premise"                   # names of columns; without a header their numbers, from "0"
//! second = "hypothesis"
//! label = "verdict"
//! labels = ["no", "yes"]
//! ```

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::input::{Input, Width};
use super::read::{self, LabelRule, Layout};
use super::{TaskData, TaskError};
use crate::error::DataError;
use crate::names::explained;

/// Maximum size of a description in bytes.
const MAX_SPEC: u64 = 1 << 20;
/// Maximum number of classes.
const MAX_LABELS: usize = 1 << 16;

/// Kind of task: input and prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// A class, from one sentence.
    Classify,
    /// A class, from two sentences.
    Pair,
    /// A score, from one or two sentences.
    Regress,
    /// A tag for each word. Words and tags are lists, or text with blanks between them.
    Tag,
}

/// A task and the columns of its files (tables, `.jsonl` or `.parquet`, each also compressed).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Kind of task; the key `type` in a file.
    #[serde(rename = "type", alias = "kind")]
    pub kind: TaskKind,
    /// Column of the sentence, the first sentence, or the words.
    pub first: String,
    /// Column of the second sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// Column of the label, the score, or the tags; a file without this column has no labels.
    pub label: String,
    /// Column of an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Names of the classes or tags, in the order of their indices; empty for a regression.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Lowest and highest score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Delimiter of the columns of a table. Quotation marks are part of the text.
    #[serde(default = "tab")]
    pub delimiter: char,
    /// Whether the first line of a table is a header.
    #[serde(default = "yes")]
    pub header: bool,
    /// Skip and count lines with the wrong number of columns; otherwise they are errors.
    #[serde(default)]
    pub skip_broken: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    task: TaskSpec,
}

fn tab() -> char {
    '\t'
}

fn yes() -> bool {
    true
}

impl TaskSpec {
    /// Reads a description.
    ///
    /// # Errors
    /// A file that cannot be read, unknown or missing keys, keys that contradict each other.
    pub fn load(path: &Path) -> Result<Self, TaskError> {
        let file = fn_core::files::open(path).map_err(DataError::io(path, "open"))?;
        let mut text = String::new();
        file.take(MAX_SPEC + 1).read_to_string(&mut text).map_err(DataError::io(path, "read"))?;
        if text.len() as u64 > MAX_SPEC {
            return Err(TaskError::TooLarge { path: path.to_owned(), what: "bytes", limit: MAX_SPEC });
        }
        Self::parse(&text, path)
    }

    /// Parses a description; `path` is for messages.
    ///
    /// # Errors
    /// As [`TaskSpec::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, TaskError> {
        let wrong = |message: String| TaskError::Spec { path: path.to_owned(), message };
        let broken = |e: toml::de::Error| wrong(explained(&e.to_string()));
        // The keys are in the table `[task]`, or at the top level.
        let within = toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("task"));
        let spec = if within {
            toml::from_str::<File>(text).map(|file| file.task).map_err(broken)?
        } else {
            toml::from_str(text).map_err(broken)?
        };
        Self::check(&spec).map_err(wrong)?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), String> {
        let needs = |yes: bool, message: &str| if yes { Ok(()) } else { Err(message.to_owned()) };
        match self.kind {
            TaskKind::Pair => needs(self.second.is_some(), "a pair needs `second`")?,
            TaskKind::Classify | TaskKind::Tag => {
                needs(self.second.is_none(), "`second` belongs to `type = \"pair\"` or \"regress\"")?;
            }
            TaskKind::Regress => {}
        }
        if self.kind == TaskKind::Regress {
            needs(self.labels.is_empty(), "a regression has no `labels`")?;
            let [low, high] = self.range.unwrap_or([0.0, 1.0]);
            needs(low < high && low.is_finite() && high.is_finite(), "`range` is not [low, high]")?;
        } else {
            needs(self.range.is_none(), "`range` belongs to `type = \"regress\"`")?;
            needs(self.labels.len() >= 2, "`labels` has fewer than two names")?;
            needs(self.labels.len() <= MAX_LABELS, "`labels` has more than 65536 names")?;
            let mut seen = std::collections::HashSet::new();
            if let Some(twice) = self.labels.iter().find(|name| !seen.insert(name.as_str())) {
                return Err(format!("`labels` names {twice:?} twice"));
            }
            let blank = |name: &String| name.is_empty() || name.trim() != name;
            needs(!self.labels.iter().any(blank), "a name in `labels` is empty or has blanks at its ends")?;
            let cut = |name: &String| name.contains(char::is_whitespace);
            let tags = self.kind == TaskKind::Tag;
            needs(!tags || !self.labels.iter().any(cut), "a name of a tag has a blank in it")?;
        }
        let numbers = [Some(&self.first), self.second.as_ref(), Some(&self.label), self.id.as_ref()];
        let all_numbers = numbers.iter().flatten().all(|name| name.parse::<u16>().is_ok());
        needs(self.header || all_numbers, "without a header columns are numbers from \"0\"")
    }

    fn label_rule(&self) -> LabelRule {
        let names = self.labels.clone();
        match self.kind {
            TaskKind::Classify | TaskKind::Pair => LabelRule::Class { names, digits: true, undecided: None },
            TaskKind::Regress => {
                let [low, high] = self.range.unwrap_or([f32::MIN, f32::MAX].map(f64::from));
                LabelRule::Score { low, high, hidden: None }
            }
            TaskKind::Tag => LabelRule::Tags { names },
        }
    }

    /// Reads a file of this task.
    ///
    /// # Errors
    /// As [`super::glue::read`].
    pub fn read(&self, path: &Path) -> Result<TaskData, TaskError> {
        self.check().map_err(|message| TaskError::Spec { path: path.to_owned(), message })?;
        let input = Input::open(path, self.delimiter)?;
        let numbered = input.is_table() && !self.header;
        let find = |name: &String| match numbered {
            true => name.parse().ok().filter(|&n: &usize| n < input.names.len()),
            false => input.find(&[name]),
        };
        let needed = |name: &String| {
            let expected = format!("a column `{name}`");
            find(name).ok_or_else(|| TaskError::layout(path, &input.describe(), expected))
        };
        let layout = Layout {
            header: input.is_table() && self.header,
            width: Width::Exactly(input.names.len()),
            id: self.id.iter().map(needed).collect::<Result<_, _>>()?,
            first: needed(&self.first)?,
            second: self.second.as_ref().map(needed).transpose()?,
            label: find(&self.label),
            skip_broken: self.skip_broken,
        };
        read::read(input, &layout, &self.label_rule())
    }
}
