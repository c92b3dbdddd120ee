//! Reads documents from files, in bounded memory.
//!
//! [`Sources`] iterates over the documents of all files in a fixed order. The format of a file follows from its name: `.txt` (a
//! blank line ends a document), `.jsonl`, `.parquet`, each also compressed (`.gz`, `.zst` or `.xz`). A file without an
//! extension is read as text if its first bytes are text; `-` is text on standard input. Folders are walked in the order of
//! file names. Files whose names begin with a dot are skipped; all other files that are not read are reported with the reason.

pub(crate) mod chunks;
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

pub use find::{LeftOut, matching};

/// Requests the end of long loops, which poll it.
pub type StopFlag = Arc<AtomicBool>;

/// Maximum size of a document in bytes (4 MiB, a thick book); longer ones are split at the end of a line.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;

/// How text is read from files.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Field of a JSON line that holds the text; `meta.text` is the field `text` within `meta`, unless there is a field
    /// `meta.text`.
    pub json_field: String,
    /// Column of a Parquet file that holds the text; `meta.text` is the column `text` within the struct `meta`.
    pub parquet_column: String,
    /// What happens at a line, or a row of a Parquet file, that cannot be read.
    pub on_bad_line: OnBadLine,
    /// Ends reading with [`DataError::Stopped`] once it is set.
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

/// What happens at a line that cannot be read: not UTF-8, not JSON, without the text field, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadLine {
    /// Reading ends with an error.
    #[default]
    Stop,
    /// The line is skipped and counted; the first ones are reported.
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

/// Number of skipped lines that are reported one by one.
const SHOWN: u64 = 10;

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text; its lines are sentences or paragraphs.
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

/// Counters that are shared with the readers of single files.
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

    /// Whether reading continues after this error, because it concerns a single line and `on_bad_line` is `Skip`. Such lines
    /// are counted, and the first ones are reported.
    fn passes_over(&self, error: &DataError, on_bad_line: OnBadLine) -> bool {
        let skip = on_bad_line == OnBadLine::Skip && error.is_bad_line();
        if skip && self.bad_lines.fetch_add(1, Ordering::Relaxed) < SHOWN {
            tracing::warn!("skipped: {error}");
        }
        skip
    }

    pub(crate) fn split(&self) {
        self.split.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sources {
    /// Finds the files, without opening them.
    ///
    /// # Errors
    /// A path that does not exist, a file in a format that is not supported, a folder without a file to read.
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

    /// The files in folders that are not read.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Number of lines that were skipped so far because they could not be read; always 0 with [`OnBadLine::Stop`].
    pub fn bad_lines(&self) -> u64 {
        self.counters.bad_lines.load(Ordering::Relaxed)
    }

    /// Bytes of the files read so far; of compressed files, compressed bytes.
    pub fn bytes_read(&self) -> u64 {
        self.counters.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of all files; None if standard input is among them.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Number of documents that were split because they are longer than 4 MiB.
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
                    tracing::warn!("{} lines that could not be read were skipped", self.bad_lines());
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

    /// The next document; None after an error.
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

/// Format of a file by its name without the suffix of a compression.
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

/// Splits a text that is longer than the maximum of a document, at line ends if there are any.
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
