//! Writes examples as tables in the official layout of their task. Used where the original file is not text (Parquet) or not in
//! the official layout; otherwise [`TaskData::copy_with`](crate::task::TaskData::copy_with) keeps all columns of the original.
//!
//! A tab or a line break within a text becomes a blank. Official columns that are not read (parses, sources, the votes of
//! single annotators) contain `-`.

use std::collections::BTreeMap;

use crate::task::{Example, GlueTask, Label, Split, TaskKind, TaskSpec};

/// Value of columns that are not known.
const UNKNOWN: &str = "-";

/// Content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// The id, or the number of the example if it has no id.
    Id,
    /// The part of the id before the first hyphen (0) or after it (1).
    IdPart(usize),
    First,
    Second,
    Label,
    Unknown,
}

/// Official file name of the development set; None for the diagnostic set, which has none.
pub fn glue_file(task: GlueTask) -> Option<&'static str> {
    task.file(Split::Dev)
}

/// The columns of a development set, with their names.
fn columns(task: GlueTask) -> Vec<(&'static str, Column)> {
    use Column::{First, Id, IdPart, Label, Second, Unknown};
    match task {
        // Without a header: source, label, the author's star, sentence.
        GlueTask::Cola => vec![("", Unknown), ("", Label), ("", Unknown), ("", First)],
        GlueTask::Sst2 => vec![("sentence", First), ("label", Label)],
        GlueTask::Mrpc => vec![
            ("Quality", Label),
            ("#1 ID", IdPart(0)),
            ("#2 ID", IdPart(1)),
            ("#1 String", First),
            ("#2 String", Second),
        ],
        GlueTask::Stsb => {
            let unknown = ["genre", "filename", "year", "old_index", "source1", "source2"];
            let mut all = vec![("index", Id)];
            all.extend(unknown.map(|name| (name, Unknown)));
            all.extend([("sentence1", First), ("sentence2", Second), ("score", Label)]);
            all
        }
        GlueTask::Qqp => vec![
            ("id", Id),
            ("qid1", Unknown),
            ("qid2", Unknown),
            ("question1", First),
            ("question2", Second),
            ("is_duplicate", Label),
        ],
        GlueTask::MnliMatched | GlueTask::MnliMismatched => {
            let before = [
                "promptID",
                "pairID",
                "genre",
                "sentence1_binary_parse",
                "sentence2_binary_parse",
                "sentence1_parse",
                "sentence2_parse",
            ];
            let mut all = vec![("index", Id)];
            all.extend(before.map(|name| (name, Unknown)));
            all.extend([("sentence1", First), ("sentence2", Second)]);
            all.extend(["label1", "label2", "label3", "label4", "label5"].map(|name| (name, Unknown)));
            all.push(("gold_label", Label));
            all
        }
        GlueTask::Qnli => vec![("index", Id), ("question", First), ("sentence", Second), ("label", Label)],
        GlueTask::Rte | GlueTask::Wnli => {
            vec![("index", Id), ("sentence1", First), ("sentence2", Second), ("label", Label)]
        }
        GlueTask::Ax => {
            vec![("index", Id), ("sentence1", First), ("sentence2", Second), ("gold_label", Label)]
        }
    }
}

/// Labelled examples as a table in the official layout of the task's development set.
pub fn glue(task: GlueTask, examples: &[Example]) -> String {
    let columns = columns(task);
    let mut out = Rows { text: String::new(), delimiter: '\t' };
    if task != GlueTask::Cola {
        out.row(columns.iter().map(|(name, _)| (*name).to_owned()));
    }
    let names: Vec<String> = task.labels().iter().map(|&name| name.to_owned()).collect();
    for example in examples {
        out.row(columns.iter().map(|(_, column)| match column {
            Column::Label => label(example, &names, task.numbers_in_tables()),
            column => cell(example, *column),
        }));
    }
    out.text
}

/// File name for a task that is described in a TOML file.
pub fn own_file(spec: &TaskSpec) -> &'static str {
    if spec.delimiter == ',' { "dev.csv" } else { "dev.tsv" }
}

/// Labelled examples as a table for a task that is described in a TOML file, with the columns of the description.
pub fn own(spec: &TaskSpec, examples: &[Example]) -> String {
    let named = [
        (spec.id.as_ref(), Column::Id),
        (Some(&spec.first), Column::First),
        (spec.second.as_ref(), Column::Second),
        (Some(&spec.label), Column::Label),
    ];
    let named = named.into_iter().filter_map(|(name, column)| Some((name?, column)));
    let mut out = Rows { text: String::new(), delimiter: spec.delimiter };
    let columns: Vec<Column> = if spec.header {
        let all: Vec<(&String, Column)> = named.collect();
        out.row(all.iter().map(|(name, _)| (*name).clone()));
        all.into_iter().map(|(_, column)| column).collect()
    } else {
        let places: BTreeMap<usize, Column> =
            named.filter_map(|(name, column)| Some((name.parse().ok()?, column))).collect();
        let last = places.keys().next_back().copied().unwrap_or_default();
        (0..=last).map(|place| places.get(&place).copied().unwrap_or(Column::Unknown)).collect()
    };
    for example in examples {
        out.row(columns.iter().map(|column| match (column, spec.kind) {
            (Column::Label, _) => label(example, &spec.labels, false),
            // Several blanks in a row would be read as words without a tag.
            (Column::First, TaskKind::Tag) => example.first.split_whitespace().collect::<Vec<_>>().join(" "),
            (column, _) => cell(example, *column),
        }));
    }
    out.text
}

fn cell(example: &Example, column: Column) -> String {
    let id = || example.id.clone().unwrap_or_else(|| example.index.to_string());
    match column {
        Column::Id => id(),
        Column::IdPart(part) => {
            let id = id();
            let (first, second) = id.split_once('-').unwrap_or((&id, UNKNOWN));
            if part == 0 { first.to_owned() } else { second.to_owned() }
        }
        Column::First => example.first.clone(),
        Column::Second => example.second.clone().unwrap_or_default(),
        Column::Label | Column::Unknown => UNKNOWN.to_owned(),
    }
}

fn label(example: &Example, names: &[String], numbers: bool) -> String {
    let name = |class: u32| match names.get(class as usize) {
        Some(name) if !numbers => name.clone(),
        _ => class.to_string(),
    };
    match &example.label {
        Some(Label::Class(class)) => name(*class),
        Some(Label::Score(score)) => format!("{score:?}"),
        Some(Label::Tags(tags)) => tags.iter().map(|&tag| name(tag)).collect::<Vec<_>>().join(" "),
        None => UNKNOWN.to_owned(),
    }
}

/// Builds a table, replacing characters that would break a row.
struct Rows {
    text: String,
    delimiter: char,
}

impl Rows {
    fn row(&mut self, cells: impl Iterator<Item = String>) {
        for (n, cell) in cells.enumerate() {
            if n > 0 {
                self.text.push(self.delimiter);
            }
            let breaks = |c: char| c == self.delimiter || matches!(c, '\t' | '\n' | '\r');
            self.text.extend(cell.chars().map(|c| if breaks(c) { ' ' } else { c }));
        }
        self.text.push('\n');
    }
}
