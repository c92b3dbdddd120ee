//! Lines of a stream, checked one by one.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Longest line that is read: 16 MiB is more than any sentence or paragraph, and still little memory.
pub(crate) const MAX_LINE: u64 = 16 << 20;

/// Lines without their ends.
pub(crate) struct Lines {
    pub(crate) path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    /// Number of the last line given.
    pub(crate) number: u64,
    bytes: u64,
}

impl Lines {
    pub(crate) fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        Self { path: path.to_owned(), reader, number: 0, bytes: 0 }
    }

    /// The next line, without a byte order mark.
    pub(crate) fn next(&mut self) -> Option<Result<String, DataError>> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE + 1).read_until(b'\n', &mut line);
        let read = match read {
            Ok(read) => read as u64,
            // The system or the disk, not the contents.
            Err(error) if error.raw_os_error().is_some() => {
                return Some(Err(DataError::io(&self.path, "read")(error)));
            }
            Err(error) => {
                let (bytes, message) = (self.bytes + line.len() as u64, error.to_string());
                return Some(Err(DataError::Truncated { path: self.path.clone(), bytes, message }));
            }
        };
        if read == 0 {
            return None;
        }
        self.number += 1;
        self.bytes += read;
        if read > MAX_LINE {
            return Some(Err(DataError::LineTooLong {
                path: self.path.clone(),
                line: self.number,
                limit: MAX_LINE,
            }));
        }
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        let not_utf8 = |_| DataError::NotUtf8 { path: self.path.clone(), line: self.number };
        Some(String::from_utf8(line).map_err(not_utf8))
    }
}
