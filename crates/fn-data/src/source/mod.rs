//! Bytes to documents, in bounded memory.
//!
//! [`Sources`] walks files in a fixed order and gives one [`Document`] after the other. The kind of a file is its name:
//! `.txt` (a blank line ends a document), `.jsonl`, `.parquet`, each also with `.gz`, `.zst` or `.xz` behind it; a file whose name
//! has no ending is text if its first bytes are; `-` is text on standard input. Folders are walked in the order of their names;
//! files whose names begin with a dot are passed over, and whatever else is not read is named with its reason.

pub(crate) mod compressed;
mod find;
mod jsonl;
pub(crate) mod lines;
pub(crate) mod parquet;
mod text;
mod utf16;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::DataError;

pub use find::LeftOut;

/// Set by whoever wants a long loop to end.
pub type StopFlag = Arc<AtomicBool>;

/// A longer document is cut at the end of a line: 4 MiB are a thick book.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;

/// Where the text is in structured files.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Field of a JSON line; `meta.text` is the field `text` within `meta`, unless a field has that very name.
    pub json_field: String,
    /// Column of a Parquet file; `meta.text` is the column `text` within the struct `meta`.
    pub parquet_column: String,
    /// What happens at a line, or a row of a Parquet file, that cannot be used.
    pub on_bad_line: OnBadLine,
    /// Ends reading early, with [`DataError::Stopped`].
    pub stop: StopFlag,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            json_field: "text".into(),
            parquet_column: "text".into(),
            on_bad_line: OnBadLine::Stop,
            stop: StopFlag::default(),
        }
    }
}

/// What happens at a line that is no text: not UTF-8, no JSON, without the field, too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadLine {
    /// Reading ends with an error.
    #[default]
    Stop,
    /// It is left out, counted, and shown if it is among the first.
    Skip,
}

impl std::str::FromStr for OnBadLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stop" => Ok(Self::Stop),
            "skip" => Ok(Self::Skip),
            other => Err(format!("`{other}`; expected stop or skip")),
        }
    }
}

impl std::fmt::Display for OnBadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Stop { "stop" } else { "skip" })
    }
}

/// Lines that were left out and are shown; others are only counted.
const SHOWN: u64 = 10;

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
    left_out: Vec<LeftOut>,
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
    bad_lines: Arc<AtomicU64>,
}

impl Counters {
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether reading goes on behind this error: a bad line where such lines are skipped. It is counted, and said of the first.
    fn passes_over(&self, error: &DataError, on_bad_line: OnBadLine) -> bool {
        let skip = on_bad_line == OnBadLine::Skip && error.is_bad_line();
        if skip && self.bad_lines.fetch_add(1, Ordering::Relaxed) < SHOWN {
            tracing::warn!("left out: {error}");
        }
        skip
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
        let found = find::find(paths)?;
        for left_out in &found.left_out {
            tracing::warn!("not read: {left_out}");
        }
        let find::Found { files, left_out } = found;
        let sizes = files.iter().map(|f| std::fs::metadata(f).ok().map(|m| m.len()));
        let total_bytes = sizes.sum::<Option<u64>>();
        Ok(Self {
            waiting: files.iter().cloned().collect(),
            files,
            left_out,
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

    /// The files of folders that are not read.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Lines left out so far because they could not be used; 0 unless [`OnBadLine::Skip`] says so.
    pub fn bad_lines(&self) -> u64 {
        self.counters.bad_lines.load(Ordering::Relaxed)
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
                    Some(Err(error)) if self.counters.passes_over(&error, self.options.on_bad_line) => {
                        continue;
                    }
                    Some(document) => return Some(document),
                    None => self.current = None,
                }
            }
            let Some(path) = self.waiting.pop_front() else {
                if self.bad_lines() > 0 {
                    tracing::warn!("{} lines that could not be used were left out", self.bad_lines());
                }
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

/// The lines of one text file, without their ends; unpacked where its name ends in `.gz`, `.zst` or `.xz`. UTF-8, or UTF-16 that begins
/// with its mark. A line that cannot be used is an error in its place.
///
/// # Errors
/// The file cannot be opened.
pub fn text_lines(path: &Path) -> Result<impl Iterator<Item = Result<String, DataError>> + use<>, DataError> {
    let mut lines = lines::Lines::new(path, compressed::open(path, &Counters::default())?);
    Ok(std::iter::from_fn(move || lines.next()))
}

/// The name of a file without its folder, without `.gz`, `.zst` or `.xz`, and without what was before that: `a` of `b/a.jsonl.xz`.
pub fn plain_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = compressed::SUFFIXES.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    plain.rsplit_once('.').map_or(plain, |(stem, _)| stem).to_owned()
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
