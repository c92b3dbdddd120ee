//! A Parquet file as its library reads it, with an end that cannot be overlooked.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Reads at the end of the file that are answered with "no bytes" before they are an error.
const PATIENCE: u8 = 16;

/// A file whose reads beyond the end soon are errors. The library skips what a damaged page header claims without asking whether bytes are
/// left, so that billions of elements of a list would be skipped at the end of the file, one read each.
pub(crate) struct Chunks {
    file: File,
    bytes: u64,
}

impl Chunks {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    fn at(&self, start: u64) -> Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Ending>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(Ending { file: self.at(start)?, asked: 0 }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let left = self.bytes.saturating_sub(start);
        if length as u64 > left {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from byte {start} on, the file has {left} more"
            )));
        }
        let mut bytes = vec![0; length];
        self.at(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads a file to its end, and errs where reading goes on.
pub(crate) struct Ending {
    file: File,
    asked: u8,
}

impl Read for Ending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.asked += 1;
            if self.asked > PATIENCE {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn reading_on_at_the_end_is_an_error_and_nothing_else_is() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let chunks = Chunks::new(file).unwrap();
        assert_eq!(chunks.len(), 10);
        assert_eq!(chunks.get_bytes(3, 4).unwrap().as_ref(), b"3456");
        assert!(chunks.get_bytes(8, 3).is_err() && chunks.get_bytes(99, 1).is_err());
        let mut reader = chunks.get_read(6).unwrap();
        let mut rest = Vec::new();
        assert_eq!(reader.read_to_end(&mut rest).unwrap(), 4);
        assert!((0..100).any(|_| reader.read(&mut [0; 8]).is_err()));
    }
}
