//! Reads a text column of a Parquet file, a few rows at a time.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use fn_core::panics::caught;
use parquet::basic::Type as Physical;
use parquet::column::page::Page;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::chunks::Chunks;
use super::lines::MAX_LINE;
use super::{Counters, Document, compressed, cut};
use crate::error::DataError;

/// Maximum decompressed size of a `.parquet.gz` (or `.zst`, `.xz`) file. It must be decompressed to a temporary file, because
/// the index of a Parquet file is at its end.
const MAX_UNPACKED: u64 = 8 << 30;
/// Rows that are decoded at once: row groups may hold a million, too many for bounded memory.
const ROWS: usize = 64;

pub(super) fn open(
    path: &Path,
    column: &str,
    counters: &Counters,
) -> Result<impl Iterator<Item = Result<Document, DataError>> + Send + use<>, DataError> {
    let wrong =
        |message: String| DataError::Parquet { path: path.to_owned(), column: column.to_owned(), message };
    let file = plain_file(path, counters)?;
    let reader = guarded(|| SerializedFileReader::new(file)).map_err(wrong)?;
    let leaves = reader.metadata().file_metadata().schema_descr().columns();
    let Some(leaf) = leaves.iter().position(|l| l.path().string() == column) else {
        let names: Vec<String> = leaves.iter().map(|l| l.path().string()).collect();
        return Err(wrong(format!("the file has no such column; it has {}", names.join(", "))));
    };
    let (kind, levels) = (leaves[leaf].physical_type(), leaves[leaf].max_def_level());
    if kind != Physical::BYTE_ARRAY || leaves[leaf].max_rep_level() > 0 {
        return Err(wrong(format!("the column holds {kind}, not text")));
    }
    check_cells(reader.metadata(), leaf).map_err(wrong)?;
    Ok(Column {
        path: path.to_owned(),
        column: column.to_owned(),
        groups: reader.num_row_groups(),
        reader,
        leaf,
        levels,
        group: 0,
        rows: None,
        row: 0,
        ready: VecDeque::new(),
        counters: counters.clone(),
    })
}

/// Checks that the values of a column are not longer than the maximum of a line, because the library decodes at least one
/// value, whatever its size.
pub(crate) fn check_cells(metadata: &ParquetMetaData, leaf: usize) -> Result<(), String> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let Some(column) = group.columns().get(leaf) else { continue };
        let (bytes, values) = (column.uncompressed_size().max(0) as u64, column.num_values().max(1) as u64);
        if bytes / values > MAX_LINE {
            return Err(format!(
                "row group {number} has {values} values in {bytes} uncompressed bytes; at most {MAX_LINE} bytes a value are read"
            ));
        }
    }
    Ok(())
}

/// Checks that the dictionary of a column in a row group, if there is one, has no more values than bytes: the library makes room for as many
/// as the page claims.
pub(crate) fn check_dictionary(
    reader: &dyn FileReader,
    group: usize,
    leaf: usize,
) -> Result<(), ParquetError> {
    let first = reader.get_row_group(group)?.get_column_page_reader(leaf)?.get_next_page()?;
    match first {
        Some(Page::DictionaryPage { buf, num_values, .. }) if num_values as usize > buf.len() => {
            Err(ParquetError::General(format!("a dictionary of {num_values} values in {} bytes", buf.len())))
        }
        _ => Ok(()),
    }
}

/// [`check_dictionary`] for every column of every row group, for readers of whole rows.
pub(crate) fn check_dictionaries(reader: &dyn FileReader) -> Result<(), ParquetError> {
    let leaves = reader.metadata().file_metadata().schema_descr().num_columns();
    (0..reader.num_row_groups())
        .flat_map(|group| (0..leaves).map(move |leaf| (group, leaf)))
        .try_for_each(|(group, leaf)| check_dictionary(reader, group, leaf))
}

/// Turns panics of the library, which occur on some damaged files, into errors.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match caught(read) {
        Some(result) => result.map_err(|e| e.to_string()),
        None => Err("the file is damaged".to_owned()),
    }
}

/// The file itself, or a decompressed copy in a temporary file that is deleted when it is closed.
pub(crate) fn plain_file(path: &Path, counters: &Counters) -> Result<Chunks, DataError> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    if !compressed::SUFFIXES.iter().any(|s| name.ends_with(s)) {
        let file = fn_core::files::open(path).map_err(DataError::io(path, "open"))?;
        counters.read(file.metadata().map_err(DataError::io(path, "inspect"))?.len());
        return Chunks::new(file).map_err(DataError::io(path, "inspect"));
    }
    let mut packed = compressed::open(path, counters)?.take(MAX_UNPACKED);
    let mut file = tempfile::tempfile().map_err(DataError::io(path, "unpack"))?;
    let bytes = std::io::copy(&mut packed, &mut file).map_err(|e| compressed::read_error(path, 0, e))?;
    file.flush().map_err(DataError::io(path, "unpack"))?;
    if bytes == MAX_UNPACKED {
        let reason = format!(
            "it has {MAX_UNPACKED} bytes or more when decompressed; decompress it and name the .parquet file"
        );
        return Err(DataError::Unsupported { path: path.to_owned(), reason });
    }
    Chunks::new(file).map_err(DataError::io(path, "unpack"))
}

struct Column {
    path: PathBuf,
    column: String,
    reader: SerializedFileReader<Chunks>,
    /// Index of the column; its definition level, 0 if the column cannot be null, is in `levels`.
    leaf: usize,
    levels: i16,
    groups: usize,
    group: usize,
    /// Reader of the current row group.
    rows: Option<ColumnReaderImpl<ByteArrayType>>,
    row: u64,
    ready: VecDeque<Result<Document, DataError>>,
    counters: Counters,
}

impl Column {
    fn wrong(&self, message: String) -> DataError {
        DataError::Parquet { path: self.path.clone(), column: self.column.clone(), message }
    }

    /// Reads the next rows; false at the end.
    fn load(&mut self) -> Result<bool, DataError> {
        let Some(rows) = &mut self.rows else {
            if self.group == self.groups {
                return Ok(false);
            }
            let (reader, group, leaf) = (&self.reader, self.group, self.leaf);
            let opened = guarded(|| {
                check_dictionary(reader, group, leaf)?;
                let column = reader.get_row_group(group)?.get_column_reader(leaf)?;
                Ok(get_typed_column_reader(column))
            });
            self.rows = Some(opened.map_err(|m| self.wrong(format!("row group {group}: {m}")))?);
            self.group += 1;
            return Ok(true);
        };
        let (mut texts, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        let records = guarded(|| {
            let (records, _, _) = rows.read_records(ROWS, Some(&mut levels), None, &mut texts)?;
            Ok(records)
        });
        let first = self.row;
        let records = records.map_err(|m| self.wrong(format!("after row {first}: {m}")))?;
        if records == 0 {
            self.rows = None;
            return Ok(true);
        }
        self.row += records as u64;
        // A row that is null has a definition level, but no value.
        let present = (0..records).filter(|&r| self.levels == 0 || levels.get(r) == Some(&self.levels));
        for (row, text) in present.zip(&texts) {
            match std::str::from_utf8(text.data()) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => self.ready.extend(cut(text.to_owned(), &self.counters).into_iter().map(Ok)),
                Err(_) => self.ready.push_back(Err(DataError::ParquetRow {
                    path: self.path.clone(),
                    row: first + 1 + row as u64,
                })),
            }
        }
        Ok(true)
    }
}

impl Iterator for Column {
    type Item = Result<Document, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.ready.pop_front() {
                return Some(document);
            }
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    (self.group, self.rows) = (self.groups, None);
                    return Some(Err(error));
                }
            }
        }
    }
}
