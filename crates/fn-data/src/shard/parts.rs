//! The tokenised documents of one input file, on their way from the process that tokenises it to the one that packs all of them.
//!
//! Packing depends on the number of a document and, if dense, on the rest of the one before, so it is done in order by one process;
//! tokenising takes most of the time and is done by all, file by file.
//!
//! ```text
//! a part       documents, each: text bytes u64, literal special tokens u64, sentences u32, each: ids u32, then the ids u32
//!              an end: u64::MAX, documents u64, documents that were split u64
//! ```
//! All numbers are little-endian. A part is renamed to its name when it is complete, and removed when it was read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::prepare::{PrepareConfig, each_chunk};
use crate::error::DataError;
use crate::source::{Sources, StopFlag};
use crate::tokenise::TextTokenizer;

/// Marks the end of a part in place of a document's bytes of text.
const END: u64 = u64::MAX;

fn name(part: usize) -> String {
    format!("part-{part:05}")
}

/// Tokenises the input file `file`, the one with the number `part`, into the folder `scratch` of the data set that is made. Returns the
/// bytes of its text.
///
/// # Errors
/// A file that cannot be read, a full disk; [`DataError::Stopped`] if `stop` is set. A file without text is no error.
pub fn tokenise_part(
    config: &PrepareConfig,
    tokenizer: &TextTokenizer,
    file: &Path,
    part: usize,
    scratch: &Path,
    stop: &StopFlag,
) -> Result<u64, DataError> {
    let (path, temporary) = (scratch.join(name(part)), scratch.join(format!(".{}", name(part))));
    let mut out = BufWriter::new(File::create(&temporary).map_err(DataError::io(&temporary, "create"))?);
    let (mut documents, mut split, mut text_bytes) = (0u64, 0, 0);
    let sources = Sources::open(&[file.to_owned()], &config.options)?;
    let read = each_chunk(sources, stop, &mut |chunk| {
        let (sentences, literal) = chunk.encode(tokenizer);
        for ((document, sentences), literal) in chunk.documents.iter().zip(&sentences).zip(literal) {
            let bytes = document.text.len() as u64;
            write_document(&mut out, bytes, literal, sentences)
                .map_err(DataError::io(&temporary, "write"))?;
            text_bytes += bytes;
        }
        documents += chunk.documents.len() as u64;
        split = chunk.split_documents;
        Ok(())
    });
    match read {
        // Whether all files together have text is asked when they are put together.
        Ok(()) | Err(DataError::Empty { .. }) => {}
        Err(error) => return Err(error),
    }
    let end = [END, documents, split];
    end.iter()
        .try_for_each(|number| out.write_all(&number.to_le_bytes()))
        .and_then(|()| out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all())
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(DataError::io(&temporary, "write"))?;
    Ok(text_bytes)
}

fn write_document(
    out: &mut impl Write,
    text_bytes: u64,
    literal: u64,
    sentences: &[Vec<u32>],
) -> std::io::Result<()> {
    out.write_all(&text_bytes.to_le_bytes())?;
    out.write_all(&literal.to_le_bytes())?;
    out.write_all(&(sentences.len() as u32).to_le_bytes())?;
    for sentence in sentences {
        out.write_all(&(sentence.len() as u32).to_le_bytes())?;
        out.write_all(&sentence.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

/// A document of a part.
pub(super) struct TokenisedDocument {
    pub(super) text_bytes: u64,
    pub(super) literal_special_tokens: u64,
    pub(super) sentences: Vec<Vec<u32>>,
}

/// Reads a part.
pub(super) struct PartReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes that were not read yet.
    left: u64,
    documents: u64,
    split_documents: u64,
}

impl PartReader {
    pub(super) fn open(scratch: &Path, part: usize) -> Result<Self, DataError> {
        let path = scratch.join(name(part));
        let file = fn_core::files::open(&path).map_err(DataError::io(&path, "open"))?;
        let left = file.metadata().map_err(DataError::io(&path, "inspect"))?.len();
        Ok(Self {
            file: BufReader::with_capacity(1 << 20, file),
            path,
            left,
            documents: 0,
            split_documents: 0,
        })
    }

    /// The next document; None at the end.
    pub(super) fn next(&mut self) -> Result<Option<TokenisedDocument>, DataError> {
        let text_bytes = self.u64()?;
        if text_bytes == END {
            let (documents, split) = (self.u64()?, self.u64()?);
            if documents != self.documents || self.left != 0 {
                return Err(self.damaged("another number of documents than at its end"));
            }
            self.split_documents = split;
            return Ok(None);
        }
        let literal_special_tokens = self.u64()?;
        let count = self.count(4)?;
        let mut sentences = Vec::with_capacity(count);
        for _ in 0..count {
            let ids = self.count(4)?;
            let bytes = self.bytes(ids * 4)?;
            sentences.push(bytes.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id)).collect());
        }
        self.documents += 1;
        Ok(Some(TokenisedDocument { text_bytes, literal_special_tokens, sentences }))
    }

    /// Documents that were split because they are longer than the limit; known at the end.
    pub(super) fn split_documents(&self) -> u64 {
        self.split_documents
    }

    /// Removes the file.
    pub(super) fn remove(self) -> Result<(), DataError> {
        std::fs::remove_file(&self.path).map_err(DataError::io(&self.path, "remove"))
    }

    fn u64(&mut self) -> Result<u64, DataError> {
        let bytes = self.bytes(8)?;
        Ok(bytes.as_slice().try_into().map_or(0, u64::from_le_bytes))
    }

    /// A number of things of at least `size` bytes each: no more than the file can hold.
    fn count(&mut self, size: u64) -> Result<usize, DataError> {
        let bytes = self.bytes(4)?;
        let count = bytes.as_slice().try_into().map_or(0, u32::from_le_bytes);
        match u64::from(count) * size <= self.left {
            true => Ok(count as usize),
            false => Err(self.damaged("a number that is too large")),
        }
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, DataError> {
        if count as u64 > self.left {
            return Err(self.damaged("it ends too early"));
        }
        let mut bytes = vec![0; count];
        self.file.read_exact(&mut bytes).map_err(DataError::io(&self.path, "read"))?;
        self.left -= count as u64;
        Ok(bytes)
    }

    fn damaged(&self, message: &str) -> DataError {
        DataError::Damaged { path: self.path.clone(), message: message.to_owned() }
    }
}
