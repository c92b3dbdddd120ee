//! Streams behind `.gz`, `.zst` and `.xz`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::Counters;
use crate::error::DataError;

/// Suffixes that are looked behind.
pub(crate) const SUFFIXES: [&str; 3] = [".gz", ".zst", ".xz"];
const BUFFER: usize = 1 << 16;
/// An .xz file names the memory that it needs: the highest preset 65 MiB, a hostile file 4 GiB.
const MAX_XZ_MEMORY: u64 = 512 << 20;

/// Counts what is read of a file.
struct Counted<R> {
    inner: R,
    counters: Counters,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.counters.read(read as u64);
        Ok(read)
    }
}

/// Opens a file, or standard input for `-`, decompressing by name.
pub(crate) fn open(path: &Path, counters: &Counters) -> Result<Box<dyn BufRead + Send>, DataError> {
    let counters = counters.clone();
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, Counted { inner: io::stdin(), counters })));
    }
    let file = File::open(path).map_err(DataError::io(path, "open"))?;
    let raw = BufReader::with_capacity(BUFFER, Counted { inner: file, counters });
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let buffered = |reader: Box<dyn Read + Send>| Box::new(BufReader::with_capacity(BUFFER, reader));
    Ok(if name.ends_with(".gz") {
        buffered(Box::new(flate2::bufread::MultiGzDecoder::new(raw)))
    } else if name.ends_with(".zst") {
        buffered(Box::new(zstd::Decoder::with_buffer(raw).map_err(DataError::io(path, "decompress"))?))
    } else if name.ends_with(".xz") {
        let stream = liblzma::stream::Stream::new_auto_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)
            .map_err(|e| DataError::io(path, "decompress")(e.into()))?;
        buffered(Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream)))
    } else {
        Box::new(raw)
    })
}
