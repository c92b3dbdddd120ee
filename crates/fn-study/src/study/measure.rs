//! What is measured of each run's model without fine-tuning it.

use std::path::{Path, PathBuf};
use std::process::Command;

use fn_core::files::{parent, write_atomic};
use fn_train::rundir;
use serde::{Deserialize, Serialize};

use super::StudyError;
use crate::process::Measured;

/// File with a run's figures, one [`Record`] a line.
const FILE: &str = "measures.jsonl";

/// A measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Its name in the report.
    pub name: String,
    /// What is done.
    pub kind: Kind,
    /// Files, or folders of files; relative to the folder of the description.
    pub data: Vec<PathBuf>,
    /// `pairs`: at most so many of each set. [default: all]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<usize>,
    /// Figures that the report shows and tests. [default: all]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<String>,
    /// `replacements`: read so many tokens around a word. [default: `data.length` of the run]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
}

/// The kinds of measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Which of two sentences is acceptable: BLiMP and files in its format (`fnlm babylm`).
    Pairs,
    /// Which words in context are wrong, by labelled replacements (`fnlm probe replaced`); one file.
    Replacements,
    /// Whether the model prefers the words that people call good in a context: average precision on SWORDS, CoInCo, SemEval-2007 (`fnlm babylm
    /// --substitution`).
    Substitution,
}

/// A line of a run's file of figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// How it was measured.
    pub measure: Measure,
    /// What was found.
    pub figures: Vec<Measured>,
}

impl Measure {
    /// Why the description of the measure is wrong; None if it is not.
    pub(super) fn fault(&self) -> Option<String> {
        let name = &self.name;
        match self.kind {
            _ if self.data.is_empty() => Some(format!("`data` of the measure {name:?} is empty")),
            Kind::Pairs if self.length.is_some() => Some(format!("`length` is not for pairs ({name:?})")),
            Kind::Pairs if self.pairs == Some(0) => {
                Some(format!("`pairs` of {name:?} is 0, expected at least 1"))
            }
            Kind::Replacements | Kind::Substitution if self.pairs.is_some() => {
                Some(format!("`pairs` is for pairs of sentences alone ({name:?})"))
            }
            Kind::Substitution if self.length.is_some() => {
                Some(format!("`length` is not for substitution ({name:?})"))
            }
            Kind::Replacements if self.data.len() != 1 => {
                Some(format!("`data` of {name:?} are {} files, expected one", self.data.len()))
            }
            _ => None,
        }
    }

    /// The same measure of the same data, wherever its folder is.
    fn is_like(&self, other: &Self) -> bool {
        let plain = |measure: &Self| Self {
            data: measure.data.iter().map(|path| path.file_name().unwrap_or_default().into()).collect(),
            figures: Vec::new(), // all are kept, whatever is shown
            ..measure.clone()
        };
        plain(self) == plain(other)
    }

    /// The command that measures a run's model.
    ///
    /// # Errors
    /// A run whose configuration cannot be read.
    pub(super) fn command(&self, program: &Path, run: &Path) -> Result<Command, StudyError> {
        let config = fn_train::config::read(&run.join(rundir::CONFIG))?;
        let mut command = Command::new(program);
        match self.kind {
            Kind::Pairs => {
                command.arg("babylm").arg("--blimp").args(&self.data);
                if let Some(pairs) = self.pairs {
                    command.args(["--pairs", &pairs.to_string()]);
                }
            }
            Kind::Substitution => {
                command.arg("babylm").arg("--substitution").args(&self.data);
            }
            Kind::Replacements => {
                let length = self.length.unwrap_or(config.data.length);
                command.args(["probe", "replaced"]).args(&self.data).args(["--length", &length.to_string()]);
            }
        }
        command.arg("--model").arg(run.join(rundir::MODEL)).args(["--device", &config.train.device]);
        if let Some(threads) = config.train.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        Ok(command)
    }

    /// The figures of a run by this measure, as it is described now; None if it is still to be measured.
    ///
    /// # Errors
    /// A file of figures that cannot be read.
    pub fn figures(&self, run: &Path) -> Result<Option<Vec<Measured>>, StudyError> {
        Ok(read(run)?.into_iter().find(|record| record.measure.is_like(self)).map(|record| record.figures))
    }

    /// Keeps the figures of a run; those of a measure of the same name are replaced.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(super) fn keep(&self, run: &Path, figures: Vec<Measured>) -> Result<(), StudyError> {
        let mut records = read(run)?;
        records.retain(|record| record.measure.name != self.name);
        records.push(Record { measure: self.clone(), figures });
        let path = run.join(FILE);
        let wrong = |message: String| StudyError::Wrong { path: path.clone(), message };
        let mut text = String::new();
        for record in &records {
            text.push_str(&serde_json::to_string(record).map_err(|error| wrong(error.to_string()))?);
            text.push('\n');
        }
        std::fs::create_dir_all(parent(&path))
            .and_then(|()| write_atomic(&path, text.as_bytes()))
            .map_err(|source| StudyError::Write { path: path.clone(), source })
    }
}

/// All figures of a run; none without the file.
fn read(run: &Path) -> Result<Vec<Record>, StudyError> {
    let path = run.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|source| StudyError::Io { path: path.clone(), source })?,
    };
    let line = |(at, text): (usize, &str)| {
        serde_json::from_str(text).map_err(|error| StudyError::Wrong {
            path: path.clone(),
            message: format!("line {}: {error}; remove the file to measure the run again", at + 1),
        })
    };
    text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(kind: Kind, data: &[&str]) -> Measure {
        let data = data.iter().map(PathBuf::from).collect();
        Measure { name: "m".to_owned(), kind, data, pairs: None, figures: vec![], length: None }
    }

    #[test]
    fn figures_are_kept_by_name_and_count_for_the_settings_that_made_them() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("seed-1");
        let pairs = measure(Kind::Pairs, &["here/blimp"]);
        let other = Measure { name: "n".to_owned(), ..measure(Kind::Replacements, &["a.jsonl"]) };
        assert_eq!(pairs.figures(&run).unwrap(), None);
        let found = |value| vec![Measured { name: "discriminator".to_owned(), value }];
        pairs.keep(&run, found(0.5)).unwrap();
        other.keep(&run, found(0.7)).unwrap();
        let elsewhere = measure(Kind::Pairs, &["there/blimp"]);
        assert_eq!(elsewhere.figures(&run).unwrap(), Some(found(0.5)), "the folder does not matter");
        let part = Measure { pairs: Some(10), ..pairs.clone() };
        assert_eq!(part.figures(&run).unwrap(), None, "made with all pairs");
        part.keep(&run, found(0.6)).unwrap();
        assert_eq!((part.figures(&run).unwrap(), pairs.figures(&run).unwrap()), (Some(found(0.6)), None));
        assert_eq!(other.figures(&run).unwrap(), Some(found(0.7)));
        std::fs::write(run.join(FILE), "{\"measure\":1}\n").unwrap();
        let error = pairs.figures(&run).unwrap_err().to_string();
        assert!(error.contains("measures.jsonl") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn settings_of_another_kind_are_faults() {
        let fault = |measure: Measure| measure.fault().unwrap_or_default();
        assert!(fault(measure(Kind::Pairs, &[])).contains("is empty"));
        assert!(fault(measure(Kind::Replacements, &["a", "b"])).contains("are 2 files"));
        assert!(
            fault(Measure { length: Some(64), ..measure(Kind::Pairs, &["a"]) }).contains("not for pairs")
        );
        assert!(fault(Measure { pairs: Some(0), ..measure(Kind::Pairs, &["a"]) }).contains("at least 1"));
        let wrong = Measure { pairs: Some(6), ..measure(Kind::Replacements, &["a"]) };
        assert!(fault(wrong).contains("for pairs of sentences alone"));
        let wrong = Measure { length: Some(64), ..measure(Kind::Substitution, &["a"]) };
        assert!(fault(wrong).contains("not for substitution"));
        assert_eq!(fault(measure(Kind::Substitution, &["a", "b"])), "");
        assert_eq!(fault(measure(Kind::Replacements, &["a"])), "");
    }
}
