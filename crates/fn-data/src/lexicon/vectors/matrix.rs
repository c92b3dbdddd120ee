//! Reads matrices of vectors: `.npy` (C or Fortran order) and one tensor of a `.safetensors` file.
//!
//! Both are streamed; only the rows that are needed are kept in memory.

use super::{Collector, MAX_DIMENSION, VectorError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Maximum size of a `.npy` header: numpy writes headers of about 128 bytes, and format 1.0 allows 64 KiB.
const MAX_NPY_HEADER: usize = 64 << 10;
/// Maximum size of a safetensors header: models with thousands of tensors need 1 MiB.
const MAX_SAFETENSORS_HEADER: u64 = 16 << 20;
/// Maximum number of rows: the largest public files have below 10 million.
pub(super) const MAX_ROWS: u64 = 1 << 28;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    F16,
    Bf16,
    F32,
    F64,
}

impl Value {
    fn bytes(self) -> usize {
        match self {
            Value::F16 | Value::Bf16 => 2,
            Value::F32 => 4,
            Value::F64 => 8,
        }
    }

    fn read(self, raw: &[u8], big_endian: bool) -> f32 {
        let mut bytes = [0u8; 8];
        let n = self.bytes().min(raw.len());
        bytes[..n].copy_from_slice(&raw[..n]);
        if big_endian {
            bytes[..n].reverse();
        }
        let [a, b, c, d, ..] = bytes;
        match self {
            Value::F16 => half::f16::from_le_bytes([a, b]).to_f32(),
            Value::Bf16 => half::bf16::from_le_bytes([a, b]).to_f32(),
            Value::F32 => f32::from_le_bytes([a, b, c, d]),
            Value::F64 => f64::from_le_bytes(bytes) as f32,
        }
    }
}

/// Position and layout of the values of a matrix in a file.
pub(super) struct Layout {
    pub rows: u64,
    pub columns: usize,
    start: u64,
    value: Value,
    big_endian: bool,
    fortran: bool,
}

fn shape(path: &Path, dims: &[u64]) -> Result<(u64, usize), VectorError> {
    match *dims {
        [rows, columns]
            if (1..=MAX_ROWS).contains(&rows) && (1..=MAX_DIMENSION as u64).contains(&columns) =>
        {
            Ok((rows, columns as usize))
        }
        _ => Err(VectorError::Header {
            path: path.to_path_buf(),
            found: format!("shape {dims:?}"),
            expected: "[words, dimension] with at most 2^28 words and a dimension of 1 to 65,536",
        }),
    }
}

impl Layout {
    fn checked(self, path: &Path, end: u64) -> Result<Self, VectorError> {
        // Does not overflow: at most 2^28 * 2^16 * 2^3.
        let expected = self.rows * self.columns as u64 * self.value.bytes() as u64;
        let found = end.saturating_sub(self.start);
        if found != expected {
            return Err(VectorError::Length {
                path: path.to_path_buf(),
                found,
                expected,
                unit: "bytes of values",
            });
        }
        Ok(self)
    }

    /// Reads the rows in `wanted`, which maps a row to its word.
    pub(super) fn collect(
        &self,
        path: &Path,
        file: File,
        wanted: &BTreeMap<u64, String>,
        collector: &mut Collector,
    ) -> Result<(), VectorError> {
        let failed = |source| VectorError::Read { path: path.to_path_buf(), source };
        let mut reader = BufReader::with_capacity(1 << 18, file);
        reader.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let width = self.value.bytes();
        if self.fortran {
            // Fortran order: column by column; consecutive values of a row are `rows` values apart.
            let mut kept = vec![vec![0f32; self.columns]; wanted.len()];
            for column in 0..self.columns {
                let mut at = 0u64;
                for (&row, values) in wanted.keys().zip(&mut kept) {
                    skip(&mut reader, (row - at) * width as u64).map_err(failed)?;
                    let mut raw = [0u8; 8];
                    reader.read_exact(&mut raw[..width]).map_err(failed)?;
                    values[column] = self.value.read(&raw[..width], self.big_endian);
                    at = row + 1;
                }
                skip(&mut reader, (self.rows - at) * width as u64).map_err(failed)?;
            }
            for ((row, word), values) in wanted.iter().zip(&kept) {
                collector.keep(path, *row as usize + 1, word, values)?;
            }
        } else {
            let mut raw = vec![0u8; self.columns * width];
            let mut at = 0u64;
            for (&row, word) in wanted {
                skip(&mut reader, (row - at) * raw.len() as u64).map_err(failed)?;
                reader.read_exact(&mut raw).map_err(failed)?;
                let values: Vec<f32> =
                    raw.chunks_exact(width).map(|v| self.value.read(v, self.big_endian)).collect();
                collector.keep(path, row as usize + 1, word, &values)?;
                at = row + 1;
            }
        }
        collector.rows = self.rows;
        Ok(())
    }
}

/// Skips bytes, within the buffer if possible.
fn skip(reader: &mut BufReader<File>, bytes: u64) -> std::io::Result<()> {
    reader.seek_relative(bytes as i64)
}

/// Reads the header of a `.npy` file, format 1.0 to 3.0.
pub(super) fn npy(path: &Path, file: &mut File) -> Result<Layout, VectorError> {
    let failed = |source| VectorError::Read { path: path.to_path_buf(), source };
    let wrong = |found: String, expected| VectorError::Header { path: path.to_path_buf(), found, expected };
    let end = file.metadata().map_err(failed)?.len();
    let mut fixed = [0u8; 8];
    file.read_exact(&mut fixed).map_err(failed)?;
    if fixed[..6] != *b"\x93NUMPY" {
        return Err(wrong("other bytes".into(), "the magic bytes of a .npy file"));
    }
    let (length, start) = match fixed[6] {
        1 => {
            let mut raw = [0u8; 2];
            file.read_exact(&mut raw).map_err(failed)?;
            (usize::from(u16::from_le_bytes(raw)), 10)
        }
        2 | 3 => {
            let mut raw = [0u8; 4];
            file.read_exact(&mut raw).map_err(failed)?;
            (u32::from_le_bytes(raw) as usize, 12)
        }
        version => {
            return Err(wrong(format!("format version {version}"), "format version 1, 2 or 3"));
        }
    };
    if length > MAX_NPY_HEADER {
        return Err(wrong(format!("a header of {length} bytes"), "at most 65,536 bytes"));
    }
    let mut raw = vec![0u8; length];
    file.read_exact(&mut raw).map_err(failed)?;
    let header =
        String::from_utf8(raw).map_err(|_| wrong("bytes that are not UTF-8".into(), "a header of text"))?;
    let descr = after(&header, "descr").and_then(quoted);
    let (value, big_endian) = match descr {
        Some("<f4") => (Value::F32, false),
        Some(">f4") => (Value::F32, true),
        Some("<f8") => (Value::F64, false),
        Some(">f8") => (Value::F64, true),
        Some("<f2") => (Value::F16, false),
        other => {
            let found =
                format!("descr {:?}", other.unwrap_or("missing").chars().take(20).collect::<String>());
            return Err(wrong(found, "<f4, <f8, >f4, >f8 or <f2"));
        }
    };
    let fortran = match after(&header, "fortran_order") {
        Some(rest) if rest.starts_with("True") => true,
        Some(rest) if rest.starts_with("False") => false,
        _ => return Err(wrong("no fortran_order".into(), "'fortran_order': True or False")),
    };
    let dims: Option<Vec<u64>> = after(&header, "shape")
        .and_then(|rest| rest.strip_prefix('('))
        .and_then(|rest| rest.split_once(')'))
        .map(|(inner, _)| inner.split(',').map(str::trim).filter(|d| !d.is_empty()))
        .and_then(|dims| dims.map(|d| d.parse().ok()).collect());
    let dims = dims.ok_or_else(|| wrong("no shape".into(), "'shape': (words, dimension)"))?;
    let (rows, columns) = shape(path, &dims)?;
    Layout { rows, columns, start: start + length as u64, value, big_endian, fortran }.checked(path, end)
}

/// The text after `'key':` in the header of a `.npy` file.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted_key = format!("'{key}'");
    let (_, rest) = header.split_once(&quoted_key)?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(rest: &str) -> Option<&str> {
    rest.strip_prefix('\'')?.split_once('\'').map(|(inner, _)| inner)
}

/// Finds the matrix in a `.safetensors` file: the tensor of this name, or the only one with two axes.
pub(super) fn safetensors(path: &Path, file: &mut File, name: Option<&str>) -> Result<Layout, VectorError> {
    #[derive(serde::Deserialize)]
    struct Entry {
        dtype: String,
        shape: Vec<u64>,
        data_offsets: (u64, u64),
    }
    let failed = |source| VectorError::Read { path: path.to_path_buf(), source };
    let wrong = |found: String, expected| VectorError::Header { path: path.to_path_buf(), found, expected };
    let end = file.metadata().map_err(failed)?.len();
    let mut raw = [0u8; 8];
    file.read_exact(&mut raw).map_err(failed)?;
    let length = u64::from_le_bytes(raw);
    if length > MAX_SAFETENSORS_HEADER || length > end.saturating_sub(8) {
        return Err(wrong(format!("a header of {length} bytes"), "at most 16 MiB and within the file"));
    }
    let mut raw = vec![0u8; length as usize];
    file.read_exact(&mut raw).map_err(failed)?;
    let header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&raw).map_err(|e| wrong(e.to_string(), "a JSON object of tensors"))?;
    let mut matrices = Vec::new();
    for (key, entry) in header {
        if key == "__metadata__" || name.is_some_and(|n| n != key) {
            continue;
        }
        let entry: Entry = serde_json::from_value(entry)
            .map_err(|e| wrong(format!("{key}: {e}"), "dtype, shape, data_offsets"))?;
        if entry.shape.len() == 2 || name.is_some() {
            matrices.push((key, entry));
        }
    }
    let expected = "exactly one tensor [words, dimension]; name it if there are more";
    let [(_, entry)] = <[_; 1]>::try_from(matrices).map_err(|all| {
        let names: Vec<_> = all.iter().map(|(k, _)| k.as_str()).take(5).collect();
        wrong(format!("{} tensors {names:?}", all.len()), expected)
    })?;
    let value = match entry.dtype.as_str() {
        "F16" => Value::F16,
        "BF16" => Value::Bf16,
        "F32" => Value::F32,
        "F64" => Value::F64,
        other => {
            let other: String = other.chars().take(20).collect();
            return Err(wrong(format!("dtype {other}"), "F16, BF16, F32 or F64"));
        }
    };
    let (rows, columns) = shape(path, &entry.shape)?;
    let (from, to) = entry.data_offsets;
    let base = 8 + length;
    match (base.checked_add(from), base.checked_add(to)) {
        (Some(start), Some(stop)) if start <= stop && stop <= end => {
            Layout { rows, columns, start, value, big_endian: false, fortran: false }.checked(path, stop)
        }
        _ => Err(wrong(format!("data_offsets {from}..{to}"), "offsets within the file")),
    }
}
