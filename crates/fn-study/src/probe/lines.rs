//! Reads JSON lines, also packed, with limits on their length and number.

use std::path::{Path, PathBuf};

use fn_data::source::text_lines;
use serde::de::DeserializeOwned;

use super::ProbeError;

/// Maximum length of a line, in bytes: a sentence and its choices.
const MAX_LINE: usize = 1 << 20;
/// Maximum number of lines: the largest task of oLMpics has some 16,000.
const MAX_LINES: usize = 1 << 20;

/// Reads one JSON object per line and passes it to the callback with its line number, from 1; blank lines are skipped. A file may be
/// packed: `.gz`, `.zst`, `.xz`.
pub(crate) fn read<T: DeserializeOwned, R>(
    path: &Path,
    expected: &str,
    mut each: impl FnMut(T, usize) -> Result<R, ProbeError>,
) -> Result<Vec<R>, ProbeError> {
    let mut out = Vec::new();
    for (line, text) in (1..).zip(text_lines(path)?) {
        let text = text?;
        if text.len() > MAX_LINE || line > MAX_LINES {
            let limits = "lines of at most 1 MiB, at most 1,048,576 of them";
            return Err(wrong(path, line, "a longer line or more lines", limits));
        }
        if text.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&text).map_err(|error| {
            // serde_json parsed a single line, so it always reports line 1.
            let found = error.to_string().replace(" at line 1 column ", " at column ");
            wrong(path, line, &found, expected)
        })?;
        out.push(each(value, line)?);
    }
    Ok(out)
}

/// The given files, and the `.jsonl` files of the given folders (also `.gz`, `.zst` or `.xz`), sorted by name.
///
/// # Errors
/// A folder that cannot be read or has none.
pub fn files(data: &[PathBuf]) -> Result<Vec<PathBuf>, ProbeError> {
    let mut out = Vec::new();
    for path in data {
        if !path.is_dir() {
            out.push(path.clone());
            continue;
        }
        let entries = path.read_dir().map_err(|source| ProbeError::Io { path: path.clone(), source })?;
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.retain(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.')
                && ["", ".gz", ".zst", ".xz"].iter().any(|end| name.ends_with(&format!(".jsonl{end}")))
        });
        if found.is_empty() {
            return Err(ProbeError::Empty { path: path.clone(), what: ".jsonl file in this folder" });
        }
        found.sort();
        out.extend(found);
    }
    Ok(out)
}

/// Makes the error of a line.
pub(crate) fn wrong(path: &Path, line: usize, found: &str, expected: &str) -> ProbeError {
    ProbeError::Line { path: path.to_owned(), line, found: found.to_owned(), expected: expected.to_owned() }
}

/// The first 60 characters of a text, quoted for a message.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}
