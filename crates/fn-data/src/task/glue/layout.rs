//! Identifies the columns of a file by their names, or by the form of the first line.

use super::GlueTask;
use crate::task::TaskError;
use crate::task::input::{Input, Width};
use crate::task::read::Layout;

/// Names of the sentence columns, official ones first. An empty name means that there is no second sentence.
fn sentences(task: GlueTask) -> &'static [[&'static str; 2]] {
    match task {
        GlueTask::Cola | GlueTask::Sst2 => &[["sentence", ""]],
        GlueTask::Mrpc => &[["#1 String", "#2 String"], ["sentence1", "sentence2"]],
        GlueTask::Stsb | GlueTask::Rte | GlueTask::Wnli => &[["sentence1", "sentence2"]],
        GlueTask::Qqp => &[["question1", "question2"]],
        GlueTask::MnliMatched | GlueTask::MnliMismatched => {
            &[["sentence1", "sentence2"], ["premise", "hypothesis"]]
        }
        GlueTask::Ax => &[["sentence1", "sentence2"], ["Premise", "Hypothesis"], ["premise", "hypothesis"]],
        GlueTask::Qnli => &[["question", "sentence"]],
    }
}

/// Names of the label column, official ones first.
fn labels(task: GlueTask) -> &'static [&'static str] {
    match task {
        GlueTask::Mrpc => &["Quality", "label"],
        GlueTask::Stsb => &["score", "label"],
        GlueTask::Qqp => &["is_duplicate", "label"],
        GlueTask::MnliMatched | GlueTask::MnliMismatched => &["gold_label", "label"],
        GlueTask::Ax => &["gold_label", "Label", "label"],
        _ => &["label"],
    }
}

/// The layout of an open file.
pub(super) fn find(task: GlueTask, input: &Input) -> Result<Layout, TaskError> {
    if let Some(layout) = by_names(task, input) {
        return Ok(layout);
    }
    if input.is_table()
        && let Some(layout) = by_shape(task, &input.names)
    {
        return Ok(layout);
    }
    let ways = sentences(task).iter().map(|[first, second]| match *second {
        "" => format!("`{first}`"),
        _ => format!("`{first}` and `{second}`"),
    });
    let label = labels(task).first().copied().unwrap_or_default();
    let expected = format!("{} and `{label}`", ways.collect::<Vec<_>>().join(", or "));
    Err(TaskError::layout(&input.path, &input.describe(), expected))
}

fn by_names(task: GlueTask, input: &Input) -> Option<Layout> {
    let (first, second) = sentences(task).iter().find_map(|[first, second]| {
        let first = input.find(&[first])?;
        if second.is_empty() { Some((first, None)) } else { Some((first, Some(input.find(&[second])?))) }
    })?;
    let pair_ids = || Some(vec![input.find(&["#1 ID"])?, input.find(&["#2 ID"])?]);
    let id = input.find(&["index", "id", "idx"]).map(|c| vec![c]).or_else(pair_ids);
    Some(Layout {
        header: input.is_table(),
        width: Width::Exactly(input.names.len()),
        id: id.unwrap_or_default(),
        first,
        second,
        label: input.find(labels(task)),
        skip_broken: task == GlueTask::Qqp,
    })
}

/// Tables without a header.
fn by_shape(task: GlueTask, cells: &[String]) -> Option<Layout> {
    let cell = |n: usize| cells.get(n).map_or("", |c| c.trim());
    let layout = |width, first, second, label| {
        Some(Layout { header: false, width, id: vec![], first, second, label, skip_broken: false })
    };
    match task {
        // Source, label, the original author's judgement (`*`), sentence.
        GlueTask::Cola if cells.len() == 4 && matches!(cell(1), "0" | "1") => {
            layout(Width::Exactly(4), 3, None, Some(1))
        }
        // The benchmark's own files: genre, file, year, number, score, two sentences, and sometimes their licences.
        GlueTask::Stsb if cells.len() >= 7 && cell(4).parse::<f32>().is_ok() => {
            layout(Width::AtLeast(7), 5, Some(6), Some(4))
        }
        // A common reduced form: label, premise, hypothesis.
        GlueTask::MnliMatched | GlueTask::MnliMismatched
            if cells.len() == 3 && task.labels().contains(&cell(0)) =>
        {
            layout(Width::Exactly(3), 1, Some(2), Some(0))
        }
        _ => None,
    }
}
