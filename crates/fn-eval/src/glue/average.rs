//! The GLUE score: the average over tasks.

use std::collections::{BTreeMap, BTreeSet};

use super::error::list;
use super::{GlueError, Task, main_metric};
use crate::finetune::Results;
use crate::finetune::results::{SPREAD, row};
use crate::table::{Table, number};

/// The tasks that the leaderboard averages over: nine, of which MNLI has two sets; without the diagnostic set AX.
pub const NINE: [Task; 10] = [
    Task::Cola,
    Task::Sst2,
    Task::Mrpc,
    Task::Stsb,
    Task::Qqp,
    Task::MnliMatched,
    Task::MnliMismatched,
    Task::Qnli,
    Task::Rte,
    Task::Wnli,
];

/// [`NINE`] without WNLI, as in most papers.
pub const EIGHT: [Task; 9] = [
    Task::Cola,
    Task::Sst2,
    Task::Mrpc,
    Task::Stsb,
    Task::Qqp,
    Task::MnliMatched,
    Task::MnliMismatched,
    Task::Qnli,
    Task::Rte,
];

/// The leaderboard's score: the mean over [`NINE`]; the two sets of MNLI count as one task, with the mean of both.
///
/// `scores` holds the main score of each task ([`super::Scores::main`]; for a task with two metrics their mean). A score of AX
/// is ignored. If one score is NaN, so is the average.
///
/// # Errors
/// A task without a score.
pub fn average(scores: &BTreeMap<Task, f64>) -> Result<f64, GlueError> {
    average_over(scores, &NINE)
}

/// The mean over `tasks`. The two sets of MNLI count as one task; a task that is listed twice counts once.
///
/// # Errors
/// No tasks; a task without a score.
pub fn average_over(scores: &BTreeMap<Task, f64>, tasks: &[Task]) -> Result<f64, GlueError> {
    let wanted: BTreeSet<Task> = tasks.iter().copied().collect();
    if wanted.is_empty() {
        return Err(GlueError::NoTasks { known: list(&Task::ALL) });
    }
    let missing: Vec<Task> = wanted.iter().copied().filter(|task| !scores.contains_key(task)).collect();
    if !missing.is_empty() {
        let found: Vec<Task> = scores.keys().copied().collect();
        return Err(GlueError::Missing { missing: list(&missing), found: list(&found) });
    }
    let mnli = |task: &Task| matches!(task, Task::MnliMatched | Task::MnliMismatched);
    let values = |of_mnli: bool| -> Vec<f64> {
        wanted
            .iter()
            .filter(|task| mnli(task) == of_mnli)
            .filter_map(|task| scores.get(task))
            .copied()
            .collect()
    };
    let mut parts = values(false);
    parts.extend(mean(&values(true)));
    // There is at least one part: `wanted` is not empty and every score exists.
    Ok(mean(&parts).unwrap_or(f64::NAN))
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Table of the main metric over seeds for each development set, and the average of the medians.
///
/// # Errors
/// No task of GLUE among them.
pub fn table(all: &[Results]) -> Result<Table, GlueError> {
    let mut table = Table::new(std::iter::once("task").chain(SPREAD));
    let mut medians = BTreeMap::new();
    for (set, metric, summary) in all.iter().flat_map(Results::summaries) {
        let task: Option<Task> = set.parse().ok();
        let Some(task) = task.filter(|task| main_metric(*task).name() == metric) else {
            continue;
        };
        medians.insert(task, summary.as_ref().map_or(f64::NAN, |s| s.median));
        table.row(row(&set, &metric, summary.as_ref()));
    }
    let tasks: Vec<Task> = medians.keys().copied().collect();
    let average = average_over(&medians, &tasks)?;
    let name = if NINE.iter().all(|task| tasks.contains(task)) {
        "GLUE".to_owned()
    } else {
        format!("of {} sets", tasks.len())
    };
    table.row(["average".to_owned(), name, number(Some(100.0 * average), 2)]);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of BERT-large on the leaderboard (and, where it has the same columns, in the paper, arXiv:1810.04805).
    fn bert_large() -> BTreeMap<Task, f64> {
        let mean = |a: f64, b: f64| f64::midpoint(a, b);
        [
            (Task::Cola, 60.5),
            (Task::Sst2, 94.9),
            (Task::Mrpc, mean(89.3, 85.4)),
            (Task::Stsb, mean(87.6, 86.5)),
            (Task::Qqp, mean(72.1, 89.3)),
            (Task::MnliMatched, 86.7),
            (Task::MnliMismatched, 85.9),
            (Task::Qnli, 92.7),
            (Task::Rte, 70.1),
            (Task::Wnli, 65.1),
            (Task::Ax, 39.6),
        ]
        .into()
    }

    #[test]
    fn the_published_average_of_bert_large_comes_out() {
        let value = average(&bert_large()).unwrap();
        assert!((value - 80.5).abs() < 0.05, "{value}");
    }

    #[test]
    fn the_two_sets_of_mnli_count_as_one_task() {
        let scores =
            BTreeMap::from([(Task::MnliMatched, 0.8), (Task::MnliMismatched, 0.6), (Task::Rte, 0.1)]);
        let over = |tasks: &[Task]| average_over(&scores, tasks).unwrap();
        let both = over(&[Task::Rte, Task::MnliMatched, Task::MnliMismatched]);
        assert!((both - 0.4).abs() < 1e-12, "{both}");
        assert!((over(&[Task::Rte, Task::MnliMatched]) - 0.45).abs() < 1e-12);
        assert_eq!(over(&[Task::Rte, Task::Rte]), 0.1);
    }

    #[test]
    fn missing_tasks_are_named_and_the_diagnostic_set_does_not_count() {
        let mut scores = bert_large();
        scores.insert(Task::Ax, -1000.0);
        assert_eq!(average(&scores), average(&bert_large()));
        scores.remove(&Task::Wnli);
        let text = average(&scores).unwrap_err().to_string();
        assert!(text.contains("no score for WNLI"), "{text}");
        assert!(average_over(&scores, &EIGHT).is_ok());
        assert!(matches!(average_over(&scores, &[]), Err(GlueError::NoTasks { .. })));
    }

    #[test]
    fn a_score_that_does_not_exist_is_not_averaged_away() {
        let mut scores = bert_large();
        scores.insert(Task::Stsb, f64::NAN);
        assert!(average(&scores).unwrap().is_nan());
    }
}
