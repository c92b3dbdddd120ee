//! The zip file for the GLUE server: one TSV table for each test set with the columns `index` and `prediction`.

use std::fmt::Write as _;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use fn_core::files::write_atomic_with;
use zip::write::SimpleFileOptions;

pub use super::collect::{Collected, collect};
use super::error::list;
use super::{Task, numbers_in_files};
use crate::predictions::{PredictionError, Record, align, class_of, value_of};

/// Options of writing the zip file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Allow missing tasks.
    pub partial: bool,
    /// Replace an existing file.
    pub overwrite: bool,
}

/// Warnings for the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One sentence each.
    pub warnings: Vec<String>,
}

/// Why the zip file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// Tasks are missing; the server requires all of them.
    #[error(
        "no predictions for {missing}; the server requires all eleven files: fine-tune on these tasks, or give --partial to write the zip without them"
    )]
    Missing {
        /// Names of the missing tasks.
        missing: String,
    },
    /// Not exactly one prediction for each row, or predictions of another task.
    #[error("{task}: {source}")]
    Predictions {
        /// The task.
        task: Task,
        /// The error in the predictions.
        source: PredictionError,
    },
    /// The file exists already.
    #[error("{path}: the file exists; choose another name, or give --force to replace it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{path}: cannot write: {source}; check that the folder exists and that the disk is not full")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A folder of results cannot be read.
    #[error("cannot read {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A folder without results.
    #[error("{path}: found no results.json, expected what `fnlm glue` or `fnlm finetune` wrote")]
    NoResults {
        /// The folder.
        path: PathBuf,
    },
    /// Results of a seed that cannot be read.
    #[error(transparent)]
    Results(#[from] crate::finetune::FinetuneError),
    /// Two folders hold predictions for the same test set.
    #[error("two of the folders hold predictions for {task}; give only one of them")]
    InTwoFolders {
        /// The set.
        task: Task,
    },
    /// More than one set of predictions for a task.
    #[error("{task}: found {found} sets of predictions, expected 1; give only one of them")]
    Twice {
        /// The task.
        task: Task,
        /// Number of sets of predictions.
        found: usize,
    },
}

/// Number of rows of the official test set.
fn rows(task: Task) -> usize {
    match task {
        Task::Cola => 1_063,
        Task::Sst2 => 1_821,
        Task::Mrpc => 1_725,
        Task::Stsb => 1_379,
        Task::Qqp => 390_965,
        Task::MnliMatched => 9_796,
        Task::MnliMismatched => 9_847,
        Task::Qnli => 5_463,
        Task::Rte => 3_000,
        Task::Wnli => 146,
        Task::Ax => 1_104,
    }
}

/// Writes the zip file atomically. The same predictions give the same bytes, whatever the order of `tasks`.
///
/// # Errors
/// Missing tasks (unless partial), tasks that are there twice, predictions that are not one for each of 0, 1, ..., labels of another task, a file that is
/// there (unless it may be overwritten) or cannot be written.
pub fn write(
    path: &Path,
    files: &[(Task, Vec<Record>)],
    options: &Options,
) -> Result<Report, SubmissionError> {
    if path.exists() && !options.overwrite {
        return Err(SubmissionError::Exists { path: path.to_owned() });
    }
    let mut report = Report::default();
    let missing: Vec<Task> =
        Task::ALL.into_iter().filter(|task| files.iter().all(|(t, _)| t != task)).collect();
    if !missing.is_empty() {
        if !options.partial || missing.len() == Task::ALL.len() {
            return Err(SubmissionError::Missing { missing: list(&missing) });
        }
        report.warnings.push(format!("the server requires all eleven files; missing: {}", list(&missing)));
    }
    let mut tables = Vec::new();
    for task in Task::ALL {
        let given: Vec<&[Record]> = files.iter().filter(|(t, _)| *t == task).map(|(_, r)| &r[..]).collect();
        let records = match given[..] {
            [] => continue,
            [records] => records,
            _ => return Err(SubmissionError::Twice { task, found: given.len() }),
        };
        if records.len() != rows(task) {
            report.warnings.push(format!(
                "{task}: {} predictions, the official test set has {}; the server will reject the file",
                records.len(),
                rows(task)
            ));
        }
        let name = format!("{task}.tsv");
        let table =
            table(task, &name, records).map_err(|source| SubmissionError::Predictions { task, source })?;
        tables.push((name, table));
    }
    write_atomic_with(path, |file| Ok(pack(file, &tables).map(drop)?))
        .map_err(|source| SubmissionError::Io { path: path.to_owned(), source })?;
    Ok(report)
}

fn pack<W: Write + Seek>(file: W, tables: &[(String, String)]) -> zip::result::ZipResult<W> {
    let mut zip = zip::ZipWriter::new(file);
    // A constant time stamp (the earliest of the format), so that the bytes do not depend on the time.
    let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for (name, table) in tables {
        zip.start_file(name.as_str(), options)?;
        zip.write_all(table.as_bytes())?;
    }
    zip.finish()
}

fn table(task: Task, name: &str, records: &[Record]) -> Result<String, PredictionError> {
    let records = align(records.to_vec(), records.len(), Path::new(name))?;
    let mut out = "index\tprediction\n".to_owned();
    for record in &records {
        let (prediction, index) = (&record.prediction, record.index);
        let _ = if task.is_regression() {
            let score = value_of(prediction, "prediction", index)?;
            if !score.is_finite() {
                let (found, expected) = (score.to_string(), "a finite number".to_owned());
                return Err(PredictionError::Label { index, side: "prediction", found, expected });
            }
            // Adding 0.0 turns -0.0, which would be printed with its sign, into 0.0.
            writeln!(out, "{index}\t{:.3}", score.clamp(0.0, 5.0) + 0.0)
        } else {
            let class = class_of(task, prediction, "prediction", index)?;
            match numbers_in_files(task) {
                true => writeln!(out, "{index}\t{class}"),
                false => writeln!(out, "{index}\t{}", task.labels()[class]),
            }
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;
    use crate::predictions::Answer;

    fn records(task: Task, count: usize) -> Vec<Record> {
        let answer = |i: usize| match task.labels() {
            [] => Answer::Score(i as f64 * 1.7 - 1.0),
            labels => Answer::Class(labels[i % labels.len()].to_owned()),
        };
        let record =
            |index| Record { index, id: None, gold: None, prediction: answer(index), scores: vec![] };
        (0..count).rev().map(record).collect()
    }

    #[test]
    fn the_zip_has_eleven_files_in_the_format_of_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.zip");
        let files: Vec<(Task, Vec<Record>)> = Task::ALL.map(|task| (task, records(task, 6))).into();
        let report = write(&path, &files, &Options::default()).unwrap();
        assert_eq!(report.warnings.len(), 11, "row counts: {:?}", report.warnings);
        let mut zip = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut read = |name: &str| {
            let mut text = String::new();
            zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(read("CoLA.tsv"), "index\tprediction\n0\t0\n1\t1\n2\t0\n3\t1\n4\t0\n5\t1\n");
        assert_eq!(
            read("MNLI-mm.tsv"),
            "index\tprediction\n0\tentailment\n1\tneutral\n2\tcontradiction\n3\tentailment\n4\tneutral\n5\tcontradiction\n"
        );
        assert_eq!(
            read("STS-B.tsv"),
            "index\tprediction\n0\t0.000\n1\t0.700\n2\t2.400\n3\t4.100\n4\t5.000\n5\t5.000\n"
        );
        assert!(read("RTE.tsv").contains("1\tnot_entailment") && read("AX.tsv").contains("0\tentailment"));
        assert!(read("WNLI.tsv").ends_with("5\t1\n") && read("QNLI.tsv").contains("\tentailment"));
        for name in ["SST-2.tsv", "MRPC.tsv", "QQP.tsv", "MNLI-m.tsv"] {
            assert_eq!(read(name).lines().count(), 7, "{name}");
        }
        // The same bytes, whatever the order of the tasks.
        let bytes = std::fs::read(&path).unwrap();
        let turned: Vec<(Task, Vec<Record>)> = files.iter().rev().cloned().collect();
        write(&path, &turned, &Options { overwrite: true, ..Options::default() }).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary is left");
        let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, Task::ALL.map(|task| format!("{task}.tsv")));
    }

    #[test]
    fn predictions_read_from_a_table_are_written_with_class_names_and_clipped_scores() {
        let text = |task: Task, answers: &[Answer]| {
            let record = |(index, prediction): (usize, &Answer)| Record {
                index,
                id: None,
                gold: None,
                prediction: prediction.clone(),
                scores: vec![],
            };
            let records: Vec<Record> = answers.iter().enumerate().map(record).collect();
            table(task, "t.tsv", &records).map_err(|error| error.to_string())
        };
        let class = |name: &str| Answer::Class(name.to_owned());
        let found = text(Task::Sst2, &[class("1"), class("negative"), Answer::Score(1.0)]);
        assert_eq!(found.unwrap(), "index\tprediction\n0\t1\n1\t0\n2\t1\n");
        let found = text(Task::Stsb, &[class("2.34567"), Answer::Score(-0.0), Answer::Score(-1e-9)]);
        assert_eq!(found.unwrap(), "index\tprediction\n0\t2.346\n1\t0.000\n2\t0.000\n");
        // Tools disagree on which class of MNLI has index 0, so indices are an error.
        let error = text(Task::MnliMatched, &[class("0")]).unwrap_err();
        assert!(error.contains("\"0\", expected one of entailment"), "{error}");
        let error = text(Task::Stsb, &[Answer::Score(1.0), Answer::Score(f64::NAN)]).unwrap_err();
        assert!(error.contains("example 1: the prediction is NaN, expected a finite number"), "{error}");
    }

    #[test]
    fn the_official_number_of_rows_brings_no_warning() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { partial: true, ..Options::default() };
        let files = [(Task::Wnli, records(Task::Wnli, 146))];
        let report = write(&dir.path().join("w.zip"), &files, &options).unwrap();
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        assert!(report.warnings[0].contains("missing: CoLA, SST-2"));
    }

    #[test]
    fn missing_predictions_and_those_of_another_task_are_errors_and_no_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.zip");
        let partial = Options { partial: true, ..Options::default() };
        let text = |files: &[(Task, Vec<Record>)], options: &Options| {
            write(&path, files, options).unwrap_err().to_string()
        };
        let good = (Task::Rte, records(Task::Rte, 4));
        assert!(text(std::slice::from_ref(&good), &Options::default()).contains("CoLA"));
        assert!(text(&[], &partial).contains("--partial"));
        let mut gap = good.clone();
        gap.1.remove(1);
        let gap = text(&[gap], &partial);
        assert!(gap.contains("RTE.tsv: found 3 predictions") && gap.contains("unknown: 1 (3)"), "{gap}");
        let twice = text(&[good.clone(), good.clone()], &partial);
        assert!(twice.contains("RTE: found 2 sets of predictions"), "{twice}");
        assert!(text(&[(Task::Rte, records(Task::Cola, 4))], &partial).contains("not_entailment"));
        assert!(text(&[(Task::Stsb, records(Task::Cola, 4))], &partial).contains("a number"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        std::fs::write(&path, "x").unwrap();
        assert!(text(&[good], &partial).contains("exists"));
    }
}
