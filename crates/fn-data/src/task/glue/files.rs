//! Finds the files of a task in a folder, and splits off the development set of MRPC.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{GlueTask, read};
use crate::error::DataError;
use crate::source::lines::Lines;
use crate::source::{Counters, compressed};
use crate::task::error::quoted;
use crate::task::{TaskData, TaskError};

/// Maximum number of pairs in the list of a development set; that of MRPC has 408.
const MAX_IDS: usize = 1 << 20;

/// A split of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Training set.
    Train,
    /// Development (validation) set; its labels are public.
    Dev,
    /// Test set; its labels are usually not public.
    Test,
}

impl Split {
    /// File names on data-set hubs, without extension.
    fn stems(self, task: GlueTask) -> &'static [&'static str] {
        match (task, self) {
            (_, Self::Train) => &["train", "train-00000-of-00001"],
            (GlueTask::MnliMatched, Self::Dev) => {
                &["validation_matched", "validation_matched-00000-of-00001"]
            }
            (GlueTask::MnliMismatched, Self::Dev) => {
                &["validation_mismatched", "validation_mismatched-00000-of-00001"]
            }
            (_, Self::Dev) => &["validation", "validation-00000-of-00001", "dev"],
            (GlueTask::MnliMatched, Self::Test) => &["test_matched", "test_matched-00000-of-00001"],
            (GlueTask::MnliMismatched, Self::Test) => &["test_mismatched", "test_mismatched-00000-of-00001"],
            (_, Self::Test) => &["test", "test-00000-of-00001"],
        }
    }
}

/// Reads a split of a task from its folder: the official table, compressed or not; otherwise, for MRPC, the files of its
/// authors; otherwise a file of a data-set hub (`validation.jsonl`, `train-00000-of-00001.parquet`).
///
/// # Errors
/// Those of [`read`]; a folder without any such file.
pub fn load(task: GlueTask, folder: &Path, split: Split) -> Result<TaskData, TaskError> {
    if let Some(path) = task.file(split).and_then(|name| existing(folder, name)) {
        return read(task, &path);
    }
    if task == GlueTask::Mrpc
        && let Some(data) = load_published_mrpc(folder, split)?
    {
        return Ok(data);
    }
    let stems = split.stems(task).iter();
    let names = stems.flat_map(|stem| ["parquet", "jsonl"].map(|end| format!("{stem}.{end}")));
    match names.into_iter().find_map(|name| existing(folder, &name)) {
        Some(path) => read(task, &path),
        None => {
            let path = folder.join(task.file(split).unwrap_or("diagnostic.tsv"));
            Err(DataError::Missing { path }.into())
        }
    }
}

/// The file with this name, or with this name and the suffix of a compression. A folder or a pipe of this name is found as well where there is
/// no file, so that reading it says what it is.
fn existing(folder: &Path, name: &str) -> Option<PathBuf> {
    let names = std::iter::once(name.to_owned())
        .chain(compressed::SUFFIXES.iter().map(|suffix| format!("{name}{suffix}")));
    let paths: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
    paths.iter().find(|path| path.is_file()).or_else(|| paths.iter().find(|path| path.exists())).cloned()
}

fn load_published_mrpc(folder: &Path, split: Split) -> Result<Option<TaskData>, TaskError> {
    let file = |name| existing(folder, name);
    if split == Split::Test {
        return file("msr_paraphrase_test.txt").map(|path| read(GlueTask::Mrpc, &path)).transpose();
    }
    let (Some(train), Some(ids)) = (file("msr_paraphrase_train.txt"), file("dev_ids.tsv")) else {
        return Ok(None);
    };
    let (train, dev) = split_by_ids(read(GlueTask::Mrpc, &train)?, &ids)?;
    Ok(Some(if split == Split::Train { train } else { dev }))
}

/// Splits the published training data of MRPC into training and development set: the latter are the pairs listed in `dev_ids`
/// (two ids, separated by a tab, on each line).
///
/// # Errors
/// A list that cannot be read, or one with pairs that are not in the data.
pub fn split_by_ids(data: TaskData, dev_ids: &Path) -> Result<(TaskData, TaskData), TaskError> {
    let mut lines = Lines::new(dev_ids, compressed::open(dev_ids, &Counters::default())?);
    let (mut listed, mut order) = (HashSet::new(), Vec::new());
    while let Some(line) = lines.next() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let parts: Vec<&str> = line.split('\t').map(str::trim).collect();
        if parts.len() != 2 {
            let (path, line) = (dev_ids.to_owned(), lines.number);
            return Err(TaskError::Columns { path, line, found: parts.len(), expected: 2 });
        }
        if order.len() == MAX_IDS {
            let (path, limit) = (dev_ids.to_owned(), MAX_IDS as u64);
            return Err(TaskError::TooLarge { path, what: "pairs of ids", limit });
        }
        let id = parts.join("-");
        if listed.insert(id.clone()) {
            order.push(id);
        }
    }
    let is_dev = |id: &Option<String>| id.as_ref().is_some_and(|id| listed.contains(id));
    let here: HashSet<&str> = data.examples.iter().filter_map(|e| e.id.as_deref()).collect();
    let missing: Vec<&String> = order.iter().filter(|id| !here.contains(id.as_str())).collect();
    if let Some(first) = missing.first() {
        return Err(TaskError::Ids {
            path: dev_ids.to_owned(),
            missing: missing.len(),
            expected: order.len(),
            first: quoted(first),
        });
    }
    let (mut train, mut dev) = (Vec::new(), Vec::new());
    for mut example in data.examples {
        let part = if is_dev(&example.id) { &mut dev } else { &mut train };
        example.index = part.len();
        part.push(example);
    }
    let part = |examples: Vec<crate::task::Example>| {
        let mut report = data.report.clone();
        report.rows = examples.len() as u64;
        report.labelled = examples.iter().filter(|e| e.label.is_some()).count() as u64;
        let empty = |text: &str| text.trim().is_empty();
        let blank = examples.iter().filter(|e| empty(&e.first) || e.second.as_deref().is_some_and(empty));
        report.empty_sentences = blank.count() as u64;
        TaskData { examples, report, places: None }
    };
    Ok((part(train), part(dev)))
}
