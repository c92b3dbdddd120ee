//! Collects the test predictions of the best seed of each task from folders of results.

use std::path::{Path, PathBuf};

use super::Task;
use super::submission::SubmissionError;
use crate::finetune::{self, Results, results};
use crate::predictions::{self, Record};

/// Progress report: whether there are predictions for a test set.
#[derive(Debug)]
pub enum Collected<'a> {
    /// Predictions for this test set were found and are used.
    Found {
        /// Folder of the task's results.
        folder: &'a Path,
        /// The test set.
        task: Task,
        /// The best seed.
        seed: u64,
    },
    /// There are no predictions for this test set.
    Missing {
        /// Folder of the task's results.
        folder: &'a Path,
        /// The test set.
        task: Task,
    },
}

/// The predictions of the best seed on each test set of each task; `from` are folders of results, or folders that hold such
/// folders.
///
/// # Errors
/// A folder without results, a test set with predictions in two folders, predictions that cannot be read.
pub fn collect(
    from: &[PathBuf],
    tell: &mut dyn FnMut(Collected<'_>),
) -> Result<Vec<(Task, Vec<Record>)>, SubmissionError> {
    let mut files: Vec<(Task, Vec<Record>)> = Vec::new();
    let mut folders = Vec::new();
    for from in from {
        folders.extend(task_folders(from)?);
    }
    for folder in folders {
        let path = folder.join(results::RESULTS);
        let Some(all) = results::read::<Results>(&path)? else { continue };
        let Some(best) = all.best() else { continue };
        let finetune::Task::Glue(task) = finetune::Task::open(&all.task)? else { continue };
        for set in finetune::Task::Glue(task).test_sets() {
            let finetune::Task::Glue(name) = set else { continue };
            let path = folder.join(format!("seed-{}/test-{}.jsonl", best.seed, set.set_name()));
            if !path.exists() {
                tell(Collected::Missing { folder: &folder, task: name });
                continue;
            }
            if files.iter().any(|(task, _)| *task == name) {
                return Err(SubmissionError::InTwoFolders { task: name });
            }
            tell(Collected::Found { folder: &folder, task: name, seed: best.seed });
            let records = predictions::read(&path)
                .map_err(|source| SubmissionError::Predictions { task: name, source })?;
            files.push((name, records));
        }
    }
    Ok(files)
}

/// The folder itself if it holds results of a task, otherwise those of its subfolders that do.
fn task_folders(from: &Path) -> Result<Vec<PathBuf>, SubmissionError> {
    if from.join(results::RESULTS).exists() {
        return Ok(vec![from.to_owned()]);
    }
    let entries = std::fs::read_dir(from)
        .map_err(|source| SubmissionError::Folder { path: from.to_owned(), source })?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|path| path.join(results::RESULTS).exists()).collect();
    found.sort();
    if found.is_empty() {
        return Err(SubmissionError::NoResults { path: from.to_owned() });
    }
    Ok(found)
}
