//! The scores of a file of predictions, as JSON and as the terminal shows them.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::finetune::TaskScores;
use crate::stats::Comparison;
use crate::table::{Table, number};

fn percent(value: f64) -> String {
    number(Some(100.0 * value), 2)
}

/// All metrics of a task and the number of examples, as JSON; metrics that are not defined are null.
pub fn scores_json(scores: &TaskScores, examples: usize) -> Value {
    let finite = |value: f64| if value.is_finite() { json!(value) } else { Value::Null };
    let mut figures: Map<String, Value> =
        scores.all.iter().map(|(name, value)| (name.clone(), finite(*value))).collect();
    figures.insert("examples".to_owned(), json!(examples));
    Value::Object(figures)
}

/// All metrics of a task in percent, and the number of examples, as a table.
pub fn scores_text(scores: &TaskScores, examples: usize) -> String {
    let mut table = Table::new(["metric", "value"]);
    for (name, value) in &scores.all {
        table.row([name.clone(), percent(*value)]);
    }
    table.row(["examples".to_owned(), examples.to_string()]);
    table.to_text()
}

/// Figures of SQuAD, as JSON.
pub fn figures_json(figures: Vec<(&'static str, f64)>) -> Value {
    Value::Object(figures.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// Figures of SQuAD, as a table.
pub fn figures_text(figures: Vec<(&'static str, f64)>) -> String {
    let mut table = Table::new(["metric", "value"]);
    for (name, value) in figures {
        table.row([name.to_owned(), number(Some(value), if name.ends_with("total") { 0 } else { 4 })]);
    }
    table.to_text()
}

/// Two files of predictions for the same examples.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// Name of the metric that is compared.
    pub metric: &'a str,
    /// The files.
    pub files: [&'a Path; 2],
    /// Number of examples.
    pub examples: usize,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// Both values and their difference.
    pub found: &'a Comparison,
}

impl Compared<'_> {
    /// As JSON.
    pub fn json(&self) -> Value {
        let found = self.found;
        json!({
            "task": self.task, "metric": self.metric, "examples": self.examples,
            "a": found.a, "b": found.b, "difference": found.difference,
            "low": found.low, "high": found.high, "p_value": found.p_value, "resamples": self.resamples,
            "undefined": found.undefined,
        })
    }

    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let found = self.found;
        let mut table = Table::new(["predictions", self.metric]);
        for (file, value) in self.files.iter().zip([found.a, found.b]) {
            table.row([file.display().to_string(), percent(value)]);
        }
        let verdict = if found.low <= 0.0 && found.high >= 0.0 { "not significant" } else { "significant" };
        format!(
            "{}difference {} (95 % interval {} to {}, p {:.3}; {} examples, {} resamples): {verdict}\n",
            table.to_text(),
            percent(found.difference),
            percent(found.low),
            percent(found.high),
            found.p_value,
            self.examples,
            self.resamples
        )
    }
}
