//! Reads GloVe and word2vec text: a word and its values on each line, with or without a first line `words dimension`.

use super::{Collector, MAX_DIMENSION, VectorError};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Maximum length of a line in bytes: enough for at least 25,000 values of below 40 characters.
pub(super) const MAX_LINE: usize = 1 << 20;

/// Calls `each` with number (counted from 1) and text of every line; a line that is too long or not UTF-8 is an error.
pub(super) fn lines(
    path: &Path,
    reader: impl Read,
    mut each: impl FnMut(usize, &str) -> Result<(), VectorError>,
) -> Result<u64, VectorError> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut buffer = Vec::new();
    for number in 1.. {
        buffer.clear();
        let got = (&mut reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut buffer);
        let got = got.map_err(|source| VectorError::Read { path: path.to_path_buf(), source })?;
        if got == 0 {
            return Ok(number as u64 - 1);
        }
        let wrong = |problem| VectorError::NotText { path: path.to_path_buf(), line: number, problem };
        if got > MAX_LINE {
            return Err(wrong("the line is longer than 1 MiB; this is not a file of words or vectors"));
        }
        let text = std::str::from_utf8(&buffer).map_err(|_| wrong("not UTF-8; convert the file to UTF-8"))?;
        each(number, text.trim_end_matches(['\n', '\r']))?;
    }
    Ok(0)
}

/// Opens a file; one that ends in `.gz` is decompressed.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, VectorError> {
    let file = fn_core::files::open(path)
        .map_err(|source| VectorError::Read { path: path.to_path_buf(), source })?;
    Ok(if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// Reads a text file of vectors; only rows that the collector needs are parsed and kept.
pub(super) fn read(path: &Path, reader: impl Read, collector: &mut Collector) -> Result<(), VectorError> {
    let mut header: Option<(u64, usize)> = None;
    let mut dimension: Option<usize> = None;
    let mut rows = 0u64;
    let mut values = Vec::new();
    lines(path, reader, |line, text| {
        let fields = text.split([' ', '\t']).filter(|f| !f.is_empty());
        let count = fields.clone().count();
        if line == 1
            && count == 2
            && let (Some(n), Some(d)) = number_pair(fields.clone())
        {
            header = Some((n, d));
            dimension = Some(d);
            if d == 0 || d > MAX_DIMENSION {
                return Err(VectorError::Header {
                    path: path.to_path_buf(),
                    found: format!("dimension {d}"),
                    expected: "a dimension of 1 to 65,536",
                });
            }
            return Ok(());
        }
        if count == 0 {
            return Ok(());
        }
        let wrong = |found: usize, expected: usize| VectorError::Dimension {
            path: path.to_path_buf(),
            line,
            found,
            expected,
        };
        let d = match dimension {
            Some(d) => d,
            None if (2..=MAX_DIMENSION + 1).contains(&count) => *dimension.insert(count - 1),
            None => return Err(wrong(count - 1, 1)),
        };
        if count < d + 1 {
            return Err(wrong(count - 1, d));
        }
        // Some files have words with blanks; but if the additional fields are numbers, the line has too many values.
        if fields.clone().take(count - d).skip(1).any(|extra| extra.parse::<f32>().is_ok()) {
            return Err(wrong(count - 1, d));
        }
        rows += 1;
        let word = fields.clone().next().unwrap_or("");
        if count > d + 1 || !collector.wants(word) {
            return Ok(());
        }
        values.clear();
        for (i, field) in fields.skip(1).enumerate() {
            values.push(field.parse::<f32>().map_err(|_| VectorError::NoNumber {
                path: path.to_path_buf(),
                line,
                column: i + 1,
                found: field.chars().take(40).collect(),
            })?);
        }
        collector.keep(path, line, word, &values)
    })?;
    if let Some((expected, _)) = header
        && expected != rows
    {
        return Err(VectorError::Length { path: path.to_path_buf(), found: rows, expected, unit: "vectors" });
    }
    if rows == 0 {
        return Err(VectorError::Length { path: path.to_path_buf(), found: 0, expected: 1, unit: "vectors" });
    }
    collector.rows = rows;
    Ok(())
}

fn number_pair<'a>(mut fields: impl Iterator<Item = &'a str>) -> (Option<u64>, Option<usize>) {
    let (n, d) = (fields.next(), fields.next());
    (n.and_then(|n| n.parse().ok()), d.and_then(|d| d.parse().ok()))
}
