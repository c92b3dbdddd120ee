//! Converts rows of a file into examples, for all tasks.

use std::path::Path;

use super::copy::Places;
use super::error::quoted;
use super::input::{Input, Picks, Row, Width};
use super::record::Cell;
use super::{Example, Label, ReadReport, TaskData, TaskError};

/// Maximum number of examples: more than ten times the largest task of GLUE.
const MAX_ROWS: u64 = 16 << 20;
/// Maximum memory of the examples in bytes: a few megabytes of compressed short rows may take gigabytes.
pub(super) const MAX_TEXT: u64 = 2 << 30;
/// Memory of an example besides its text, in bytes: the struct, allocator overhead of its strings, its line number.
const OVERHEAD: u64 = size_of::<Example>() as u64 + 3 * 24 + 8;

/// Which columns of a row hold the parts of an example.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Whether the first line of a table is a header.
    pub(super) header: bool,
    /// Number of columns of each line of a table.
    pub(super) width: Width,
    /// Columns whose values together are the id.
    pub(super) id: Vec<usize>,
    pub(super) first: usize,
    pub(super) second: Option<usize>,
    pub(super) label: Option<usize>,
    /// Skip and count lines with the wrong number of columns; otherwise they are errors.
    pub(super) skip_broken: bool,
}

/// The possible values of a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LabelRule {
    /// The name of a class; with `digits` also its index.
    Class { names: Vec<String>, digits: bool, undecided: Option<&'static str> },
    /// A number; the value `hidden` means that the label is not public.
    Score { low: f64, high: f64, hidden: Option<f64> },
    /// One name or index for each word.
    Tags { names: Vec<String> },
}

/// Reads all rows.
pub(super) fn read(input: Input, layout: &Layout, rule: &LabelRule) -> Result<TaskData, TaskError> {
    read_within(input, layout, rule, MAX_TEXT)
}

/// Reads all rows; an error if they take more than about `limit` bytes of memory.
pub(super) fn read_within(
    mut input: Input,
    layout: &Layout,
    rule: &LabelRule,
    limit: u64,
) -> Result<TaskData, TaskError> {
    if layout.header {
        input.skip_header();
    }
    let mut columns = layout.id.clone();
    let first = columns.len();
    columns.push(layout.first);
    columns.extend(layout.second);
    columns.extend(layout.label);
    let picks = Picks { width: layout.width, columns: &columns };
    let name = |place: usize| columns.get(place).and_then(|&c| input.names.get(c)).cloned();
    let names: Vec<String> = (0..columns.len()).map(|p| name(p).unwrap_or_default()).collect();

    let mut report = ReadReport::new(&input.path);
    let mut examples = Vec::new();
    let mut places = input.text_delimiter().map(|delimiter| {
        let place = |column: usize| (column, input.names.get(column).cloned().unwrap_or_default());
        let (first, second) = (place(layout.first), layout.second.map(place));
        Places { delimiter, first, second, lines: Vec::new() }
    });
    let mut bytes = 0;
    while let Some(row) = input.next(&picks) {
        let (line, cells) = match row? {
            Row::Blank => {
                report.blank += 1;
                continue;
            }
            Row::Broken { line, .. } if layout.skip_broken => {
                report.add_broken(line);
                continue;
            }
            Row::Broken { line, found } => {
                let expected = match layout.width {
                    Width::Exactly(n) | Width::AtLeast(n) => n,
                };
                return Err(TaskError::Columns { path: input.path.clone(), line, found, expected });
            }
            Row::Cells { line, cells } => (line, cells),
        };
        bytes += OVERHEAD + cells.iter().map(Cell::bytes).sum::<u64>();
        too_many(&input.path, "rows", examples.len() as u64 + 1, MAX_ROWS)?;
        too_many(&input.path, "bytes of examples in memory", bytes, limit)?;
        let place = Place { path: &input.path, line, names: &names };
        let mut cells = cells.into_iter().enumerate();
        let id: Vec<String> = cells.by_ref().take(first).filter_map(|(_, cell)| id_part(cell)).collect();
        let mut next = |wanted: bool| if wanted { cells.next() } else { None };
        let (sentence, second) = (next(true), next(layout.second.is_some()));
        let label = next(layout.label.is_some());
        let words = matches!(rule, LabelRule::Tags { .. });
        let sentence = place.sentence(sentence, words)?;
        let second = second.map(|cell| place.sentence(Some(cell), false)).transpose()?;
        let label = match label.map(|(_, cell)| place.label(&cell, rule, &sentence)).transpose()? {
            Some(Found::Undecided) => {
                report.undecided += 1;
                continue;
            }
            Some(Found::Label(label)) => Some(label),
            Some(Found::Hidden) | None => None,
        };
        report.rows += 1;
        report.labelled += u64::from(label.is_some());
        let empty = sentence.trim().is_empty() || second.as_ref().is_some_and(|s| s.trim().is_empty());
        report.empty_sentences += u64::from(empty);
        let id = (!id.is_empty()).then(|| id.join("-"));
        if let Some(places) = &mut places {
            places.lines.push(line);
        }
        examples.push(Example { index: examples.len(), id, first: sentence, second, label });
    }
    if examples.is_empty() {
        return Err(TaskError::NoRows { path: input.path });
    }
    Ok(TaskData { examples, report, places })
}

fn too_many(path: &Path, what: &'static str, found: u64, limit: u64) -> Result<(), TaskError> {
    if found > limit { Err(TaskError::TooLarge { path: path.to_owned(), what, limit }) } else { Ok(()) }
}

fn id_part(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.trim().to_owned()),
        Cell::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

enum Found {
    Label(Label),
    /// The label is not public.
    Hidden,
    /// The annotators did not agree.
    Undecided,
}

/// Position of a row, for messages.
struct Place<'a> {
    path: &'a Path,
    line: u64,
    /// Names of the columns that are read.
    names: &'a [String],
}

impl Place<'_> {
    fn sentence(&self, cell: Option<(usize, Cell)>, words: bool) -> Result<String, TaskError> {
        let (column, cell) = cell.unwrap_or((0, Cell::Null));
        let expected = if words { "text, or a list of words without blanks" } else { "text" };
        let wrong = |found: String| TaskError::Value {
            path: self.path.to_owned(),
            line: self.line,
            column: self.names.get(column).cloned().unwrap_or_default(),
            found,
            expected,
        };
        match cell {
            Cell::Text(text) => Ok(text),
            Cell::List(list) if words => {
                let word = |cell: &Cell| match cell {
                    Cell::Text(word) if !word.is_empty() && !word.contains(char::is_whitespace) => {
                        Ok(word.clone())
                    }
                    other => Err(wrong(format!("a list with {}", other.describe()))),
                };
                Ok(list.iter().map(word).collect::<Result<Vec<_>, _>>()?.join(" "))
            }
            other => Err(wrong(other.describe())),
        }
    }

    fn label(&self, cell: &Cell, rule: &LabelRule, words: &str) -> Result<Found, TaskError> {
        let wrong = |found: String, expected: String| TaskError::Label {
            path: self.path.to_owned(),
            line: self.line,
            found,
            expected,
        };
        if *cell == Cell::Null {
            return Ok(Found::Hidden);
        }
        match rule {
            LabelRule::Class { names, digits, undecided } => {
                if let (Cell::Text(text), Some(sign)) = (cell, undecided)
                    && text.trim() == *sign
                {
                    return Ok(Found::Undecided);
                }
                if *cell == Cell::Int(-1) {
                    return Ok(Found::Hidden);
                }
                let class = class(cell, names, *digits).map(|c| Found::Label(Label::Class(c)));
                class.ok_or_else(|| wrong(cell.describe(), one_of(names, *digits)))
            }
            LabelRule::Score { low, high, hidden } => {
                let number = match cell {
                    Cell::Text(text) => text.trim().parse::<f64>().ok(),
                    Cell::Int(number) => Some(*number as f64),
                    Cell::Float(number) => Some(*number),
                    _ => None,
                };
                match number {
                    Some(x) if Some(x) == *hidden => Ok(Found::Hidden),
                    Some(x) if x.is_finite() && (*low..=*high).contains(&x) => {
                        Ok(Found::Label(Label::Score(x)))
                    }
                    _ => Err(wrong(cell.describe(), format!("a number from {low} to {high}"))),
                }
            }
            LabelRule::Tags { names } => {
                let count = words.split_whitespace().count();
                let tag = |cell: &Cell| {
                    class(cell, names, true).ok_or_else(|| wrong(cell.describe(), one_of(names, true)))
                };
                let tags: Vec<u32> = match cell {
                    Cell::Text(text) => {
                        let tags = text.split_whitespace().map(|t| tag(&Cell::Text(t.to_owned())));
                        tags.collect::<Result<_, _>>()?
                    }
                    Cell::List(list) => list.iter().map(tag).collect::<Result<_, _>>()?,
                    other => return Err(wrong(other.describe(), format!("{count} tags"))),
                };
                if tags.len() == count {
                    Ok(Found::Label(Label::Tags(tags)))
                } else {
                    Err(wrong(format!("{} tags", tags.len()), format!("{count}, one for each word")))
                }
            }
        }
    }
}

/// Index of a class.
fn class(cell: &Cell, names: &[String], digits: bool) -> Option<u32> {
    let within = |n: usize| (n < names.len()).then_some(n as u32);
    match cell {
        Cell::Text(text) => {
            let text = text.trim();
            if let Some(place) = names.iter().position(|name| name == text) {
                return Some(place as u32);
            }
            // `+1` and `01` would parse as numbers, but are not accepted as labels.
            let plain = digits && (text == "0" || !text.starts_with(['0', '+', '-']));
            if plain { within(text.parse().ok()?) } else { None }
        }
        // In JSON and Parquet, a number is a class index, unless the names of the classes are numbers.
        Cell::Int(number) => match names.iter().position(|name| *name == number.to_string()) {
            Some(place) => Some(place as u32),
            None => within(usize::try_from(*number).ok()?),
        },
        _ => None,
    }
}

fn one_of(names: &[String], digits: bool) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|n| quoted(n)).collect();
    let more = if names.len() > shown.len() { ", ..." } else { "" };
    let numbers = if digits { format!(" or 0 to {}", names.len().saturating_sub(1)) } else { String::new() };
    format!("one of {}{more}{numbers}", shown.join(", "))
}
