//! Reads rows of a table, of JSON lines or of a Parquet file.

use std::path::{Path, PathBuf};

use fn_core::files::STANDARD_INPUT;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;

use super::TaskError;
use super::record::{self, Cell};
use crate::source::lines::Lines;
use crate::source::parquet::{check_cells, check_dictionaries, guarded, plain_file};
use crate::source::{self, Counters, Kind, compressed};

/// Maximum number of columns of a table.
const MAX_COLUMNS: usize = 1 << 10;

/// An open file whose column names have been read.
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// Names of the columns; for a table the values of its first line, which need not be a header.
    pub(super) names: Vec<String>,
    rows: Rows,
}

enum Rows {
    Table { lines: Lines, delimiter: char, first: Option<String> },
    Json { lines: Lines, first: Option<String>, wanted: Vec<String> },
    Parquet { rows: RowIter<'static>, row: u64 },
}

/// A row.
pub(super) enum Row {
    Blank,
    /// A line with the wrong number of columns.
    Broken {
        line: u64,
        found: usize,
    },
    /// The values of the selected columns, in the order of [`Picks::columns`].
    Cells {
        line: u64,
        cells: Vec<Cell>,
    },
}

/// The columns to read.
pub(super) struct Picks<'a> {
    /// Number of columns that each line of a table must have.
    pub(super) width: Width,
    /// Indices into [`Input::names`].
    pub(super) columns: &'a [usize],
}

/// How many columns a line of a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Exactly(usize),
    AtLeast(usize),
}

impl Input {
    /// Opens a file; the format follows from its name, and is a table if it is neither JSON lines nor Parquet. Standard input is JSON lines if
    /// it begins with a brace.
    pub(super) fn open(path: &Path, delimiter: char) -> Result<Self, TaskError> {
        if source::kind(path) == Some(Kind::Parquet) {
            return Self::open_parquet(path);
        }
        let mut lines = Lines::new(path, compressed::open(path, &Counters::default())?);
        let first = lines.next().ok_or_else(|| TaskError::NoRows { path: path.to_owned() })??;
        // Standard input has no name to tell by.
        let json = path.as_os_str() == STANDARD_INPUT && first.trim_start().starts_with('{');
        let (names, rows) = if json || source::kind(path) == Some(Kind::JsonLines) {
            let names = record::names(&first).map_err(|m| json_error(path, 1, m))?;
            (names, Rows::Json { lines, first: Some(first), wanted: Vec::new() })
        } else {
            let names: Vec<String> = first.split(delimiter).take(MAX_COLUMNS).map(str::to_owned).collect();
            (names, Rows::Table { lines, delimiter, first: Some(first) })
        };
        Ok(Self { path: path.to_owned(), names, rows })
    }

    fn open_parquet(path: &Path) -> Result<Self, TaskError> {
        let file = plain_file(path, &Counters::default())?;
        let wrong = |message| TaskError::Parquet { path: path.to_owned(), row: 0, message };
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(wrong)?;
        let schema = reader.metadata().file_metadata().schema_descr().root_schema();
        let names = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        (0..reader.metadata().file_metadata().schema_descr().num_columns())
            .try_for_each(|leaf| check_cells(reader.metadata(), leaf))
            .map_err(wrong)?;
        guarded(|| check_dictionaries(&reader)).map_err(wrong)?;
        let rows = guarded(|| Ok(RowIter::from_file_into(Box::new(reader)))).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), names, rows: Rows::Parquet { rows, row: 0 } })
    }

    /// Whether the file is a table, so that its first line may be a header.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.rows, Rows::Table { .. })
    }

    /// Delimiter of a text file: Some(None) for JSON lines, None for Parquet.
    pub(super) fn text_delimiter(&self) -> Option<Option<char>> {
        match &self.rows {
            Rows::Table { delimiter, .. } => Some(Some(*delimiter)),
            Rows::Json { .. } => Some(None),
            Rows::Parquet { .. } => None,
        }
    }

    /// Skips the header of a table.
    pub(super) fn skip_header(&mut self) {
        if let Rows::Table { first, .. } = &mut self.rows {
            *first = None;
        }
    }

    /// Index of the first of these columns that exists.
    pub(super) fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.names.iter().position(|n| n.trim() == *name))
    }

    /// The column names, for a message.
    pub(super) fn describe(&self) -> String {
        self.names.join(", ")
    }

    /// The next row.
    pub(super) fn next(&mut self, picks: &Picks) -> Option<Result<Row, TaskError>> {
        match &mut self.rows {
            Rows::Table { lines, delimiter, first } => {
                let line = match first.take() {
                    Some(line) => line,
                    None => match lines.next()? {
                        Ok(line) => line,
                        Err(error) => return Some(Err(error.into())),
                    },
                };
                Some(Ok(cut(&line, lines.number, *delimiter, picks)))
            }
            Rows::Json { lines, first, wanted } => {
                let line = match first.take() {
                    Some(line) => line,
                    None => match lines.next()? {
                        Ok(line) => line,
                        Err(error) => return Some(Err(error.into())),
                    },
                };
                if line.trim().is_empty() {
                    return Some(Ok(Row::Blank));
                }
                if wanted.is_empty() {
                    let names = picks.columns.iter().filter_map(|&c| self.names.get(c));
                    wanted.extend(names.cloned());
                }
                let cells = record::fields(&line, wanted);
                let row = cells.map(|cells| Row::Cells { line: lines.number, cells });
                Some(row.map_err(|m| json_error(&self.path, lines.number, m)))
            }
            Rows::Parquet { rows, row } => {
                let next = match guarded(|| rows.next().transpose()) {
                    Ok(next) => next?,
                    Err(message) => {
                        return Some(Err(TaskError::Parquet { path: self.path.clone(), row: *row, message }));
                    }
                };
                *row += 1;
                let all: Vec<Cell> = next.get_column_iter().map(|(_, f)| Cell::from_field(f)).collect();
                let cells = picks.columns.iter().map(|&c| all.get(c).cloned().unwrap_or(Cell::Null));
                Some(Ok(Row::Cells { line: *row, cells: cells.collect() }))
            }
        }
    }
}

fn json_error(path: &Path, line: u64, message: String) -> TaskError {
    TaskError::Json { path: path.to_owned(), line, message, expected: "one JSON object on each line" }
}

fn cut(line: &str, number: u64, delimiter: char, picks: &Picks) -> Row {
    if line.trim().is_empty() {
        return Row::Blank;
    }
    let values: Vec<&str> = line.split(delimiter).take(MAX_COLUMNS + 1).collect();
    let fits = match picks.width {
        Width::Exactly(n) => values.len() == n,
        Width::AtLeast(n) => values.len() >= n,
    };
    if !fits {
        return Row::Broken { line: number, found: values.len() };
    }
    let cells = picks.columns.iter().map(|&c| match values.get(c) {
        Some(value) => Cell::Text((*value).to_owned()),
        None => Cell::Null,
    });
    Row::Cells { line: number, cells: cells.collect() }
}
