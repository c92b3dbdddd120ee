//! Bytes to documents, in bounded memory.
//!
//! [`Sources`] walks files in a fixed order and gives one [`Document`] after the other. The kind of a file is its name:
//! `.txt` (a blank line ends a document), `.jsonl`, `.parquet`, each also with `.gz`, `.zst` or `.xz` behind it; `-` is text on
//! standard input. Folders are walked in the order of their names.

pub(crate) mod compressed;
mod jsonl;
pub(crate) mod lines;
pub(crate) mod parquet;
mod text;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::DataError;

/// Set by whoever wants a long loop to end.
pub type StopFlag = Arc<AtomicBool>;

/// A longer document is cut at the end of a line: 4 MiB are a thick book.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;

/// Where the text is in structured files.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Field of a JSON line.
    pub json_field: String,
    /// Column of a Parquet file.
    pub parquet_column: String,
    /// Ends reading early, with [`DataError::Stopped`].
    pub stop: StopFlag,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { json_field: "text".into(), parquet_column: "text".into(), stop: StopFlag::default() }
    }
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Lines are sentences or paragraphs.
    pub text: String,
}

/// Documents of one file.
type Documents = Box<dyn Iterator<Item = Result<Document, DataError>> + Send>;

/// Documents of many files.
pub struct Sources {
    files: Vec<PathBuf>,
    waiting: VecDeque<PathBuf>,
    current: Option<Documents>,
    options: SourceOptions,
    total_bytes: Option<u64>,
    counters: Counters,
    documents: u64,
    done: bool,
}

/// Shared with the readers of single files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    bytes_read: Arc<AtomicU64>,
    split: Arc<AtomicU64>,
}

impl Counters {
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn split(&self) {
        self.split.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sources {
    /// Finds the files; none is opened yet.
    ///
    /// # Errors
    /// A path that does not exist, a file of a kind that is not read, a folder without any file that is.
    pub fn open(paths: &[PathBuf], options: &SourceOptions) -> Result<Self, DataError> {
        let mut files = Vec::new();
        for path in paths {
            find(path, &mut files)?;
        }
        let sizes = files.iter().map(|f| std::fs::metadata(f).ok().map(|m| m.len()));
        let total_bytes = sizes.sum::<Option<u64>>();
        Ok(Self {
            waiting: files.iter().cloned().collect(),
            files,
            current: None,
            options: options.clone(),
            total_bytes,
            counters: Counters::default(),
            documents: 0,
            done: false,
        })
    }

    /// The files, in the order of reading.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Bytes of the files read so far, compressed ones as they lie on disk.
    pub fn bytes_read(&self) -> u64 {
        self.counters.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of all files; None with standard input.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Documents that were cut because they were longer than 4 MiB.
    pub fn split_documents(&self) -> u64 {
        self.counters.split.load(Ordering::Relaxed)
    }

    fn advance(&mut self) -> Option<Result<Document, DataError>> {
        loop {
            if self.options.stop.load(Ordering::Relaxed) {
                return Some(Err(DataError::Stopped));
            }
            if let Some(documents) = &mut self.current {
                match documents.next() {
                    Some(document) => return Some(document),
                    None => self.current = None,
                }
            }
            let Some(path) = self.waiting.pop_front() else {
                let first = self.files.first().cloned().unwrap_or_default();
                return (self.documents == 0).then_some(Err(DataError::Empty { path: first }));
            };
            match open_file(&path, &self.options, &self.counters) {
                Ok(documents) => self.current = Some(documents),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for Sources {
    type Item = Result<Document, DataError>;

    /// The next document; after an error there is nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance();
        match &next {
            Some(Ok(_)) => self.documents += 1,
            _ => self.done = true,
        }
        next
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    JsonLines,
    Parquet,
}

/// Kind of a file by its name, looking behind a suffix of compression.
pub(crate) fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let plain = compressed::SUFFIXES.iter().find_map(|s| name.strip_suffix(s)).unwrap_or(&name);
    match plain.rsplit_once('.')?.1 {
        "txt" | "text" => Some(Kind::Text),
        "jsonl" | "ndjson" | "json" => Some(Kind::JsonLines),
        "parquet" => Some(Kind::Parquet),
        _ => None,
    }
}

/// The files at `path`: itself, or what a folder holds, in the order of the names.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    if path.as_os_str() == "-" {
        files.push(path.to_owned());
        return Ok(());
    }
    if !path.exists() {
        return Err(DataError::Missing { path: path.to_owned() });
    }
    if path.is_dir() {
        let before = files.len();
        for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|e| DataError::io(path, "walk")(e.into()))?;
            if entry.file_type().is_file() && kind(entry.path()).is_some() {
                files.push(entry.into_path());
            }
        }
        if files.len() == before {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        return Ok(());
    }
    match kind(path) {
        Some(_) => files.push(path.to_owned()),
        None => {
            return Err(DataError::Unsupported { path: path.to_owned() });
        }
    }
    Ok(())
}

fn open_file(path: &Path, options: &SourceOptions, counters: &Counters) -> Result<Documents, DataError> {
    if kind(path) == Some(Kind::Parquet) {
        return Ok(Box::new(parquet::open(path, &options.parquet_column, counters)?));
    }
    let lines = lines::Lines::new(path, compressed::open(path, counters)?);
    Ok(match kind(path) {
        Some(Kind::JsonLines) => Box::new(jsonl::documents(lines, &options.json_field, counters)),
        _ => Box::new(text::documents(lines, counters)),
    })
}

/// Cuts a text that is longer than a document may be, at ends of lines where there are any.
pub(crate) fn cut(text: String, counters: &Counters) -> VecDeque<Document> {
    let mut out = VecDeque::new();
    if text.len() <= MAX_DOCUMENT {
        out.push_back(Document { text });
        return out;
    }
    counters.split();
    let mut rest = text.as_str();
    while rest.len() > MAX_DOCUMENT {
        let limit = (0..=MAX_DOCUMENT).rev().find(|&i| rest.is_char_boundary(i)).unwrap_or(0);
        let end = rest[..limit].rfind('\n').filter(|&e| e > 0).unwrap_or(limit);
        out.push_back(Document { text: rest[..end].to_owned() });
        rest = rest[end..].trim_start_matches('\n');
    }
    out.push_back(Document { text: rest.to_owned() });
    out
}

#[cfg(test)]
mod tests;
