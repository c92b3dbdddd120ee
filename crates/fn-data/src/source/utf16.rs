//! Converts UTF-16 with a byte order mark to UTF-8.

use std::io::{self, BufRead, Read};

/// Output for invalid UTF-16: this byte never occurs in UTF-8, so the line that holds it is reported as bad.
const BAD: u8 = 0xff;

/// The byte order mark of UTF-16 at the start of `bytes`: Some(true) for big-endian, Some(false) for little-endian. The mark of
/// UTF-32 is not one.
pub(super) fn mark(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] => None,
        [0xff, 0xfe, ..] => Some(false),
        [0xfe, 0xff, ..] => Some(true),
        _ => None,
    }
}

/// Decodes a stream that begins with the byte order mark of UTF-16; other streams are returned unchanged.
pub(super) fn decoded(mut reader: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let Some(big) = mark(reader.fill_buf()?) else {
        return Ok(reader);
    };
    reader.consume(2);
    Ok(Box::new(io::BufReader::with_capacity(
        1 << 16,
        Utf16 { reader, big, high: None, out: Vec::new(), at: 0 },
    )))
}

struct Utf16 {
    reader: Box<dyn BufRead + Send>,
    big: bool,
    /// The high surrogate of a pair whose low surrogate is not read yet.
    high: Option<u16>,
    out: Vec<u8>,
    at: usize,
}

impl Utf16 {
    /// Decodes the next chunk; no output at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.at = 0;
        let mut bytes = Vec::with_capacity(1 << 14);
        (&mut self.reader).take(1 << 14).read_to_end(&mut bytes)?;
        let mut units = bytes.chunks_exact(2);
        for pair in &mut units {
            let pair = [pair[0], pair[1]];
            let unit = if self.big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            self.unit(unit);
        }
        let odd = !units.remainder().is_empty();
        // A single last byte, or an unpaired surrogate, at the end of the stream.
        if odd || (bytes.is_empty() && self.high.take().is_some()) {
            self.out.push(BAD);
        }
        Ok(())
    }

    fn unit(&mut self, unit: u16) {
        let text = match (self.high.take(), unit) {
            (None, 0xd800..=0xdbff) => {
                self.high = Some(unit);
                return;
            }
            (Some(high), _) => char::decode_utf16([high, unit]).next(),
            (None, _) => char::decode_utf16([unit]).next(),
        };
        match text {
            Some(Ok(c)) => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => self.out.push(BAD),
        }
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A chunk may hold only one half of a surrogate pair.
        if self.at == self.out.len() {
            self.fill()?;
            if self.out.is_empty() && self.high.is_some() {
                self.fill()?;
            }
        }
        let some = (self.out.len() - self.at).min(buffer.len());
        buffer[..some].copy_from_slice(&self.out[self.at..self.at + some]);
        self.at += some;
        Ok(some)
    }
}
