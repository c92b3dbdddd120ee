//! Reads the words of a matrix: one on each line, or a column of a Parquet file.

use super::{VectorError, matrix::MAX_ROWS, text};
use crate::source::chunks::Chunks;
use crate::source::parquet::check_dictionaries;
use parquet::basic::Type as Physical;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use std::path::Path;
use std::sync::Arc;

/// Calls `each` with row (counted from 0) and word; returns the number of rows.
pub(super) fn read(
    path: &Path,
    each: &mut dyn FnMut(u64, &str) -> Result<(), VectorError>,
) -> Result<u64, VectorError> {
    if path.extension().is_some_and(|e| e == "parquet") {
        // A panic of the library on a malformed file becomes an error.
        let result = fn_core::panics::caught(|| from_parquet(path, each));
        return result.unwrap_or_else(|| Err(wrong(path, "the file cannot be decoded")));
    }
    text::lines(path, text::open(path)?, |line, text| {
        // Only the first field: lists may have counts after the word.
        let word = text.split([' ', '\t']).next().unwrap_or("");
        each(line as u64 - 1, word)
    })
}

fn wrong(path: &Path, problem: impl ToString) -> VectorError {
    VectorError::Parquet {
        path: path.to_path_buf(),
        problem: problem.to_string().chars().take(200).collect(),
    }
}

fn from_parquet(
    path: &Path,
    each: &mut dyn FnMut(u64, &str) -> Result<(), VectorError>,
) -> Result<u64, VectorError> {
    let file = fn_core::files::open(path)
        .and_then(Chunks::new)
        .map_err(|source| VectorError::Read { path: path.to_path_buf(), source })?;
    let reader = SerializedFileReader::new(file).map_err(|e| wrong(path, e))?;
    check_dictionaries(&reader).map_err(|e| wrong(path, e))?;
    let rows = reader.metadata().file_metadata().num_rows();
    if rows < 0 || rows as u64 > MAX_ROWS {
        return Err(wrong(path, format!("{rows} rows")));
    }
    let schema = reader.metadata().file_metadata().schema();
    let is_text = |t: &Arc<Type>| t.is_primitive() && t.get_physical_type() == Physical::BYTE_ARRAY;
    let is_index = |t: &Arc<Type>| {
        t.is_primitive() && matches!(t.get_physical_type(), Physical::INT32 | Physical::INT64)
    };
    let words = schema.get_fields().iter().find(|t| is_text(t));
    let words = words.ok_or_else(|| wrong(path, "no column of text"))?;
    // A column with the row number of the word in the matrix.
    let index = schema.get_fields().iter().find(|t| is_index(t) && is_row_number(t.name()));
    let fields: Vec<Arc<Type>> = [Some(words), index].into_iter().flatten().cloned().collect();
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build();
    let projection = projection.map_err(|e| wrong(path, e))?;
    let mut count = 0u64;
    for row in reader.get_row_iter(Some(projection)).map_err(|e| wrong(path, e))? {
        let row = row.map_err(|e| wrong(path, e))?;
        let (mut word, mut at) = (None, count);
        for (_, field) in row.get_column_iter() {
            match field {
                Field::Str(text) => word = Some(text.as_str()),
                Field::Bytes(bytes) => word = std::str::from_utf8(bytes.data()).ok(),
                Field::Long(i) if *i >= 0 && *i < rows => at = *i as u64,
                Field::Int(i) if *i >= 0 && i64::from(*i) < rows => at = *i as u64,
                Field::Null => {}
                other => return Err(wrong(path, format!("row {count}: {other} is not a row number"))),
            }
        }
        if let Some(word) = word {
            each(at, word)?;
        }
        count += 1;
    }
    Ok(count)
}

fn is_row_number(name: &str) -> bool {
    matches!(name, "index" | "idx" | "id" | "row" | "position" | "__index_level_0__")
}
