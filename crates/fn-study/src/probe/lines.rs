//! Reads JSON lines, with limits on their length and number.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::ProbeError;

/// Maximum length of a line, in bytes: a sentence and its choices.
const MAX_LINE: u64 = 1 << 20;
/// Maximum number of lines: the largest task of oLMpics has some 16,000.
const MAX_LINES: usize = 1 << 20;

/// Reads one JSON object per line and passes it to the callback with its line number, from 1; blank lines are skipped.
pub(super) fn read<T: DeserializeOwned, R>(
    path: &Path,
    expected: &str,
    mut each: impl FnMut(T, usize) -> Result<R, ProbeError>,
) -> Result<Vec<R>, ProbeError> {
    let io = |source| ProbeError::Io { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let (mut out, mut bytes, mut line) = (Vec::new(), Vec::new(), 0);
    loop {
        bytes.clear();
        (&mut file).take(MAX_LINE + 1).read_until(b'\n', &mut bytes).map_err(io)?;
        if bytes.is_empty() {
            return Ok(out);
        }
        line += 1;
        if bytes.len() as u64 > MAX_LINE || line > MAX_LINES {
            let limits = "lines of at most 1 MiB, at most 1,048,576 of them";
            return Err(wrong(path, line, "a longer line or more lines", limits));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| wrong(path, line, "bytes that are not UTF-8", "text"))?
            .trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(text).map_err(|error| {
            // serde_json parsed a single line, so it always reports line 1.
            let found = error.to_string().replace(" at line 1 column ", " at column ");
            wrong(path, line, &found, expected)
        })?;
        out.push(each(value, line)?);
    }
}

/// Makes the error of a line.
pub(super) fn wrong(path: &Path, line: usize, found: &str, expected: &str) -> ProbeError {
    ProbeError::Line { path: path.to_owned(), line, found: found.to_owned(), expected: expected.to_owned() }
}

/// The first 60 characters of a text, quoted for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}
