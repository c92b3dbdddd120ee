//! Lines of a stream, checked for UTF-8 and for their length one by one.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use super::{compressed, utf16};
use crate::error::DataError;

/// Maximum length of a line in bytes: 16 MiB is more than any sentence or paragraph, and still little memory.
pub(crate) const MAX_LINE: u64 = 16 << 20;

/// Iterates over lines without their line ends.
pub(crate) struct Lines {
    pub(crate) path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    refused: Option<std::io::Error>,
    /// Number of the last line that was returned.
    pub(crate) number: u64,
    bytes: u64,
}

impl Lines {
    /// Lines of a stream in UTF-8, or in UTF-16 with a byte order mark.
    pub(crate) fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        let (reader, refused) = match utf16::decoded(reader) {
            Ok(reader) => (reader, None),
            Err(error) => (Box::new(std::io::empty()) as Box<dyn BufRead + Send>, Some(error)),
        };
        Self { path: path.to_owned(), reader, refused, number: 0, bytes: 0 }
    }

    /// The next line, without a byte order mark.
    pub(crate) fn next(&mut self) -> Option<Result<String, DataError>> {
        if let Some(error) = self.refused.take() {
            return Some(Err(compressed::read_error(&self.path, 0, error)));
        }
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE + 1).read_until(b'\n', &mut line);
        let read = match read {
            Ok(read) => read as u64,
            Err(error) => {
                let bytes = self.bytes + line.len() as u64;
                return Some(Err(compressed::read_error(&self.path, bytes, error)));
            }
        };
        if read == 0 {
            return None;
        }
        self.number += 1;
        self.bytes += read;
        if read > MAX_LINE {
            if let Err(error) = self.skip_line(line.last() == Some(&b'\n')) {
                return Some(Err(compressed::read_error(&self.path, self.bytes, error)));
            }
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
        let not_utf8 = || DataError::NotUtf8 { path: self.path.clone(), line: self.number };
        // UTF-16 or UTF-32 without a mark, or no text at all: many zeros, which are UTF-8 each.
        if line.contains(&0) && 4 * line.iter().filter(|&&byte| byte == 0).count() > line.len() {
            return Some(Err(not_utf8()));
        }
        Some(String::from_utf8(line).map_err(|_| not_utf8()))
    }

    /// Skips the rest of a line in bounded memory.
    fn skip_line(&mut self, mut ended: bool) -> std::io::Result<()> {
        while !ended {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|&b| b == b'\n');
            let some = end.map_or(buffer.len(), |end| end + 1);
            ended = end.is_some() || some == 0;
            self.reader.consume(some);
            self.bytes += some as u64;
        }
        Ok(())
    }
}
