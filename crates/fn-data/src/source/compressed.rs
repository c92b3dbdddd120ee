//! Decompression of `.gz`, `.zst` and `.xz`.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use fn_core::files::STANDARD_INPUT;

use super::Counters;
use crate::error::DataError;

/// File name suffixes of compressed files.
pub(crate) const SUFFIXES: [&str; 3] = [".gz", ".zst", ".xz"];
const BUFFER: usize = 1 << 16;
/// Memory limit of the .xz decoder. The header of a file states how much it needs: 65 MiB with the highest preset, up to 4 GiB
/// in a malicious file.
const MAX_XZ_MEMORY: u64 = 512 << 20;

/// Window limit of the .zst decoder (2^27 = 128 MiB), the default of `zstd` itself; `--long=31` needs 2 GiB.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// Classifies an error of reading: operating system, damaged contents, or a decoder over its memory limit.
pub(crate) fn read_error(path: &Path, bytes: u64, error: io::Error) -> DataError {
    if error.raw_os_error().is_some() {
        return DataError::io(path, "read")(error);
    }
    let message = error.to_string();
    let path = path.to_owned();
    if message.contains("requires too much memory") {
        let again = "decompress it with `zstd -d --long=31`, or compress it again without `--long`";
        return DataError::DecoderMemory { path, limit_mib: 1 << (MAX_ZSTD_WINDOW_LOG - 20), again };
    }
    let xz: Option<&liblzma::stream::Error> = error.get_ref().and_then(|e| e.downcast_ref());
    if xz.is_some_and(|e| matches!(e, liblzma::stream::Error::MemLimit | liblzma::stream::Error::Mem)) {
        let again = "decompress it with `xz -d`, or compress it again with `xz -6`";
        return DataError::DecoderMemory { path, limit_mib: MAX_XZ_MEMORY >> 20, again };
    }
    DataError::Truncated { path, bytes, message }
}

/// Counts the bytes that are read from a file.
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

/// Opens a file, or standard input for `-`; files with a suffix of [`SUFFIXES`] are decompressed.
pub(crate) fn open(path: &Path, counters: &Counters) -> Result<Box<dyn BufRead + Send>, DataError> {
    let counters = counters.clone();
    if path.as_os_str() == STANDARD_INPUT {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, Counted { inner: io::stdin(), counters })));
    }
    let file = fn_core::files::open(path).map_err(DataError::io(path, "open"))?;
    let raw = BufReader::with_capacity(BUFFER, Counted { inner: file, counters });
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let buffered = |reader: Box<dyn Read + Send>| Box::new(BufReader::with_capacity(BUFFER, reader));
    Ok(if name.ends_with(".gz") {
        buffered(Box::new(flate2::bufread::MultiGzDecoder::new(raw)))
    } else if name.ends_with(".zst") {
        let mut decoder = zstd::Decoder::with_buffer(raw).map_err(DataError::io(path, "decompress"))?;
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(DataError::io(path, "decompress"))?;
        buffered(Box::new(decoder))
    } else if name.ends_with(".xz") {
        let stream = liblzma::stream::Stream::new_auto_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)
            .map_err(|e| DataError::io(path, "decompress")(e.into()))?;
        buffered(Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream)))
    } else {
        Box::new(raw)
    })
}
