//! A text column of a Parquet file, row group by row group.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;

use super::{Counters, Document, compressed, cut};
use crate::error::DataError;

/// A compressed Parquet file must be unpacked to be read (its index is at its end); larger ones have to be unpacked by hand.
const MAX_UNPACKED: u64 = 8 << 30;

pub(super) fn open(
    path: &Path,
    column: &str,
    counters: &Counters,
) -> Result<impl Iterator<Item = Result<Document, DataError>> + Send + use<>, DataError> {
    let wrong = |message: String| DataError::Parquet {
        path: path.to_owned(),
        column: column.to_owned(),
        message,
    };
    let reader = SerializedFileReader::new(plain_file(path, counters)?).map_err(|e| wrong(e.to_string()))?;
    let schema = reader.metadata().file_metadata().schema();
    let names: Vec<&str> = schema.get_fields().iter().map(|f| f.name()).collect();
    let Some(field) = schema.get_fields().iter().find(|f| f.name() == column).cloned() else {
        return Err(wrong(format!(
            "there is no such column, only {}",
            names.join(", ")
        )));
    };
    let projection = Type::group_type_builder(schema.name())
        .with_fields(vec![field])
        .build()
        .map_err(|e| wrong(e.to_string()))?;
    let groups = reader.num_row_groups();
    Ok(Column {
        path: path.to_owned(),
        column: column.to_owned(),
        reader,
        projection,
        groups,
        group: 0,
        row: 0,
        ready: VecDeque::new(),
        counters: counters.clone(),
    })
}

/// The file itself, or an unpacked copy in a temporary file that vanishes when it is closed.
fn plain_file(path: &Path, counters: &Counters) -> Result<File, DataError> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    if !compressed::SUFFIXES.iter().any(|s| name.ends_with(s)) {
        let file = File::open(path).map_err(DataError::io(path, "open"))?;
        counters.read(file.metadata().map_err(DataError::io(path, "inspect"))?.len());
        return Ok(file);
    }
    let mut packed = compressed::open(path, counters)?.take(MAX_UNPACKED);
    let mut file = tempfile::tempfile().map_err(DataError::io(path, "unpack"))?;
    let bytes = std::io::copy(&mut packed, &mut file).map_err(|e| DataError::Truncated {
        path: path.to_owned(),
        bytes: 0,
        message: e.to_string(),
    })?;
    file.flush().map_err(DataError::io(path, "unpack"))?;
    if bytes == MAX_UNPACKED {
        return Err(DataError::Unsupported {
            path: path.to_owned(),
        });
    }
    Ok(file)
}

struct Column {
    path: PathBuf,
    column: String,
    reader: SerializedFileReader<File>,
    projection: Type,
    groups: usize,
    group: usize,
    row: u64,
    ready: VecDeque<Document>,
    counters: Counters,
}

impl Column {
    fn wrong(&self, message: String) -> DataError {
        DataError::Parquet {
            path: self.path.clone(),
            column: self.column.clone(),
            message,
        }
    }

    /// Reads the next row group; row groups are what a writer could hold in memory, so a reader can.
    fn load_group(&mut self) -> Result<(), DataError> {
        let group = self
            .reader
            .get_row_group(self.group)
            .map_err(|e| self.wrong(e.to_string()))?;
        self.group += 1;
        let rows = group
            .get_row_iter(Some(self.projection.clone()))
            .map_err(|e| self.wrong(e.to_string()))?;
        for row in rows {
            self.row += 1;
            let row = row.map_err(|e| self.wrong(format!("row {}: {e}", self.row)))?;
            match row.get_column_iter().next().map(|(_, field)| field) {
                Some(Field::Str(text)) if !text.trim().is_empty() => {
                    self.ready.extend(cut(text.clone(), &self.counters));
                }
                Some(Field::Str(_) | Field::Null) => {}
                other => {
                    let kind = other.map_or_else(|| "nothing".to_owned(), |f| f.to_string());
                    return Err(self.wrong(format!("row {} holds {kind}, not text", self.row)));
                }
            }
        }
        Ok(())
    }
}

impl Iterator for Column {
    type Item = Result<Document, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.ready.pop_front() {
                return Some(Ok(document));
            }
            if self.group == self.groups {
                return None;
            }
            if let Err(error) = self.load_group() {
                self.group = self.groups;
                return Some(Err(error));
            }
        }
    }
}
