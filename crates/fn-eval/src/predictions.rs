//! Files of predictions, one for each example.
//!
//! `.jsonl` is the format of `fnlm`:
//! `{"index": 0, "gold": "entailment", "prediction": "not_entailment", "scores": [0.4, 0.6]}`.
//! Any other file is read as the table that the GLUE server takes: `index`, a tab, `prediction`.

use std::fmt;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use fn_core::files::{STANDARD_INPUT, write_atomic};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::glue::{self, Outcomes, Scores, Task};

/// Maximum length of a line in bytes: a prediction is a name, a number, or at most the tags of a long sentence.
const MAX_LINE: u64 = 1 << 20;
/// Maximum number of rows: the largest test set of GLUE has 390,965.
const MAX_ROWS: usize = 16 << 20;
/// Number of examples that an error message lists.
const SHOWN: usize = 5;

/// A prediction or a gold label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The name of a class.
    Class(String),
    /// A number. A number that is not finite is null in JSON, and read back as NaN.
    Score(#[serde(deserialize_with = "number")] f64),
    /// A tag for each word.
    Tags(Vec<String>),
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(name) => f.write_str(name),
            Self::Score(score) => write!(f, "{score}"),
            Self::Tags(tags) => f.write_str(&tags.join(" ")),
        }
    }
}

/// The prediction for an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Index of the example in its file, counted from 0.
    pub index: usize,
    /// Id of the example in its file, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Gold label, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<Answer>,
    /// Predicted label.
    pub prediction: Answer,
    /// Probability of each class, or the raw output of a regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "numbers")]
    pub scores: Vec<f32>,
}

/// Reads null, which stands for a non-finite number, as NaN.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let scores = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(scores.into_iter().map(|score| score.unwrap_or(f32::NAN)).collect())
}

/// Indices for an error message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indices {
    /// Number of indices.
    pub count: usize,
    /// The first few.
    pub first: Vec<usize>,
}

impl Indices {
    fn add(&mut self, index: usize) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(index);
        }
    }
}

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        if self.count > 0 {
            let first: Vec<String> = self.first.iter().map(usize::to_string).collect();
            write!(f, " ({}{})", first.join(", "), if self.count > first.len() { ", ..." } else { "" })?;
        }
        Ok(())
    }
}

/// Errors in the indices of predictions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrongIndices {
    /// Examples without a prediction.
    pub missing: Indices,
    /// Indices without an example.
    pub unknown: Indices,
    /// Indices with more than one prediction.
    pub twice: Indices,
}

impl fmt::Display for WrongIndices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, unknown, twice } = self;
        write!(f, "indices missing: {missing}, unknown: {unknown}, duplicate: {twice}")
    }
}

/// Why predictions cannot be read, written or scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictionError {
    /// A file cannot be read or written.
    #[error("{path}: cannot {action}: {source}; check the path with `ls`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line that is not a prediction.
    #[error("{path}: line {line}: found {found}, expected {expected}; write the predictions anew")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Not exactly one prediction for each example.
    #[error(
        "{path}: found {found} predictions, expected {expected}, one for each example; {wrong}; are they for this file?"
    )]
    NotOneEach {
        /// The file.
        path: PathBuf,
        /// Number of predictions.
        found: usize,
        /// Number of examples.
        expected: usize,
        /// The wrong indices.
        wrong: Box<WrongIndices>,
    },
    /// A label that the task does not have.
    #[error(
        "example {index}: the {side} is {found}, expected {expected}; are they predictions of this task?"
    )]
    Label {
        /// Index of the example.
        index: usize,
        /// `prediction` or `gold`.
        side: &'static str,
        /// What was found.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Examples whose label is not public.
    #[error(
        "{missing} of {rows} examples have no public label (the first: {index}), so they cannot be scored; score the \
         development set, or submit"
    )]
    NoGold {
        /// Number of examples without a label.
        missing: usize,
        /// Number of examples.
        rows: usize,
        /// Index of the first example without a label.
        index: usize,
    },
}

/// Writes predictions as JSON lines, atomically.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, records: &[Record]) -> Result<(), PredictionError> {
    let text = json_lines(records).map_err(|error| PredictionError::Io {
        path: path.to_owned(),
        action: "write",
        source: error.into(),
    })?;
    save(path, &text)
}

/// Predictions as JSON lines.
///
/// # Errors
/// None for what this crate predicts.
pub fn json_lines(records: &[Record]) -> Result<String, serde_json::Error> {
    // serde_json writes non-finite numbers as null.
    records.iter().map(|record| serde_json::to_string(record).map(|line| line + "\n")).collect()
}

/// Predictions as the terminal shows them: index, prediction, and the probability of each of `labels`.
pub fn text(records: &[Record], labels: &[String]) -> String {
    let line = |record: &Record| {
        let scores = labels.iter().zip(&record.scores).map(|(label, p)| format!("{label} {p:.4}"));
        let line =
            format!("{}\t{}\t{}", record.index, record.prediction, scores.collect::<Vec<_>>().join("  "));
        line.trim_end().to_owned() + "\n"
    };
    records.iter().map(line).collect()
}

/// Writes predictions as a TSV table with the columns `index` and `prediction`.
///
/// # Errors
/// A file that cannot be written.
pub fn write_tsv(path: &Path, records: &[Record]) -> Result<(), PredictionError> {
    let mut text = "index\tprediction\n".to_owned();
    for record in records {
        let _ = writeln!(text, "{}\t{}", record.index, record.prediction);
    }
    save(path, &text)
}

fn save(path: &Path, text: &str) -> Result<(), PredictionError> {
    let io = |source| PredictionError::Io { path: path.to_owned(), action: "write", source };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(io)?;
    }
    write_atomic(path, text.as_bytes()).map_err(io)
}

/// Reads predictions, in the order of the file.
///
/// # Errors
/// A file that cannot be read, a line that is not a prediction.
pub fn read(path: &Path) -> Result<Vec<Record>, PredictionError> {
    let io = |source| PredictionError::Io { path: path.to_owned(), action: "read", source };
    let mut file = BufReader::new(fn_core::files::open(path).map_err(io)?);
    let named = path.extension().is_some_and(|end| end == "jsonl" || end == "json");
    // Standard input has no name to tell by.
    let json =
        named || (path.as_os_str() == STANDARD_INPUT && file.fill_buf().map_err(io)?.starts_with(b"{"));
    let (mut records, mut bytes, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        bytes.clear();
        (&mut file).take(MAX_LINE + 1).read_until(b'\n', &mut bytes).map_err(io)?;
        if bytes.is_empty() {
            return Ok(records);
        }
        number += 1;
        let wrong = |found: String, expected| PredictionError::Line {
            path: path.to_owned(),
            line: number,
            found,
            expected,
        };
        if bytes.len() as u64 > MAX_LINE || records.len() == MAX_ROWS {
            return Err(wrong(
                "more than can be".to_owned(),
                "lines of at most 1 MiB, at most 16,777,216 of them",
            ));
        }
        let Ok(line) = std::str::from_utf8(&bytes) else {
            return Err(wrong("bytes that are not UTF-8".to_owned(), "text"));
        };
        let line = line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            continue;
        }
        records.push(match json {
            true => serde_json::from_str(line).map_err(|e| {
                // The JSON parser gets one line at a time, so its "line 1" would mislead.
                let found = e.to_string().replace(" at line 1 column ", " at column ");
                wrong(found, "{\"index\": 0, \"prediction\": a name, a number or a list of tags}")
            })?,
            false if number == 1 => {
                if line.split('\t').map(str::trim).ne(["index", "prediction"]) {
                    return Err(wrong(quoted(line), "the header `index`, a tab, `prediction`"));
                }
                continue;
            }
            false => row(line).ok_or_else(|| wrong(quoted(line), "a number, a tab, a prediction"))?,
        });
    }
}

fn row(line: &str) -> Option<Record> {
    let (index, prediction) = line.split_once('\t')?;
    let prediction = prediction.trim();
    if prediction.is_empty() || prediction.contains('\t') {
        return None;
    }
    let (index, prediction) = (index.trim().parse().ok()?, Answer::Class(prediction.to_owned()));
    Some(Record { index, id: None, gold: None, prediction, scores: Vec::new() })
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// Sorts predictions by index, one for each of `rows` examples.
///
/// # Errors
/// Missing, unknown or duplicate indices.
pub fn align(mut records: Vec<Record>, rows: usize, path: &Path) -> Result<Vec<Record>, PredictionError> {
    let mut seen = vec![false; rows];
    let mut wrong = WrongIndices::default();
    for record in &records {
        match seen.get_mut(record.index) {
            None => wrong.unknown.add(record.index),
            Some(seen) if *seen => wrong.twice.add(record.index),
            Some(seen) => *seen = true,
        }
    }
    (0..rows).filter(|&index| !seen[index]).for_each(|index| wrong.missing.add(index));
    if wrong != WrongIndices::default() {
        let (path, found) = (path.to_owned(), records.len());
        return Err(PredictionError::NotOneEach { path, found, expected: rows, wrong: Box::new(wrong) });
    }
    records.sort_by_key(|record| record.index);
    Ok(records)
}

/// Converts predictions that were read from a table: class indices become class names; without `labels`, numbers become scores;
/// several tags separated by blanks become tags.
///
/// # Errors
/// A prediction that is none of the labels.
pub fn name_classes(records: &mut [Record], labels: &[String]) -> Result<(), PredictionError> {
    for record in records {
        let tags = matches!(record.gold, Some(Answer::Tags(_)));
        let name = |text: &str| label(text, labels, record.index);
        record.prediction = match &record.prediction {
            Answer::Class(text) if labels.is_empty() => {
                let number = text.parse().map_err(|_| PredictionError::Label {
                    index: record.index,
                    side: "prediction",
                    found: quoted(text),
                    expected: "a number".to_owned(),
                })?;
                Answer::Score(number)
            }
            Answer::Class(text) if tags => {
                Answer::Tags(text.split_whitespace().map(name).collect::<Result<_, _>>()?)
            }
            Answer::Class(text) => Answer::Class(name(text)?),
            Answer::Score(number) if !labels.is_empty() && !tags => Answer::Class(name(&number.to_string())?),
            Answer::Tags(all) => Answer::Tags(all.iter().map(|tag| name(tag)).collect::<Result<_, _>>()?),
            other @ Answer::Score(_) => other.clone(),
        };
    }
    Ok(())
}

/// The label with this name or index.
fn label(text: &str, labels: &[String], index: usize) -> Result<String, PredictionError> {
    let by_number = || labels.get(text.parse::<usize>().ok()?);
    let found = labels.iter().find(|label| *label == text).or_else(by_number);
    found.cloned().ok_or_else(|| PredictionError::Label {
        index,
        side: "prediction",
        found: quoted(text),
        expected: format!("one of {}", labels.join(", ")),
    })
}

/// The class index of a label of GLUE. Digits are accepted for the tasks whose official files hold them; for others they are an
/// error, because tools do not agree on the order of MNLI's classes.
pub(crate) fn class_of(
    task: Task,
    answer: &Answer,
    side: &'static str,
    index: usize,
) -> Result<usize, PredictionError> {
    let labels = task.labels();
    let digits = glue::numbers_in_files(task);
    let find = |text: &str| {
        let by_number = || text.parse().ok().filter(|&class: &usize| digits && class < labels.len());
        labels.iter().position(|label| *label == text).or_else(by_number)
    };
    let found = match answer {
        Answer::Class(text) => find(text),
        Answer::Score(number) => find(&number.to_string()),
        Answer::Tags(_) => None,
    };
    found.ok_or_else(|| PredictionError::Label {
        index,
        side,
        found: quoted(&answer.to_string()),
        expected: format!("one of {}{}", labels.join(", "), if digits { " (or 0, 1)" } else { "" }),
    })
}

/// The predicted score of STS-B; NaN if the model diverged.
pub(crate) fn value_of(answer: &Answer, side: &'static str, index: usize) -> Result<f64, PredictionError> {
    let found = match answer {
        Answer::Score(score) => Some(*score),
        Answer::Class(text) => text.parse().ok(),
        Answer::Tags(_) => None,
    };
    found.ok_or_else(|| PredictionError::Label {
        index,
        side,
        found: quoted(&answer.to_string()),
        expected: "a number".to_owned(),
    })
}

/// Scores predictions of a task of GLUE against their `gold` labels.
///
/// # Errors
/// Labels that the task does not have; examples without gold; no examples.
pub fn score_records(task: Task, records: &[Record]) -> Result<Scores, EvalError> {
    let golds: Vec<&Answer> = records.iter().filter_map(|record| record.gold.as_ref()).collect();
    if let Some(first) = records.iter().find(|record| record.gold.is_none()) {
        let (rows, index) = (records.len(), first.index);
        return Err(PredictionError::NoGold { missing: rows - golds.len(), rows, index }.into());
    }
    if task.is_regression() {
        let (mut predicted, mut expected) = (Vec::new(), Vec::new());
        for (record, gold) in records.iter().zip(golds) {
            predicted.push(value_of(&record.prediction, "prediction", record.index)?);
            expected.push(value_of(gold, "gold", record.index)?);
        }
        return Ok(glue::score(task, Outcomes::Values { predicted: &predicted, expected: &expected })?);
    }
    let (mut predicted, mut expected) = (Vec::new(), Vec::new());
    for (record, gold) in records.iter().zip(golds) {
        predicted.push(class_of(task, &record.prediction, "prediction", record.index)?);
        expected.push(class_of(task, gold, "gold", record.index)?);
    }
    Ok(glue::score(task, Outcomes::Classes { predicted: &predicted, expected: &expected })?)
}

#[cfg(test)]
mod tests;
