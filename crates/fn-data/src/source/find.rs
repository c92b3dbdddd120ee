//! Finds the files to read.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Counters, compressed, kind, utf16};
use crate::error::DataError;

/// Number of bytes at the start of a file that are checked for being text.
const SAMPLE: u64 = 8 << 10;

/// A file in a folder that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The file.
    pub path: PathBuf,
    /// Why it is not read.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// The files that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    pub(super) left_out: Vec<LeftOut>,
}

/// What a path with `*` (any characters) or `?` (one) in its names stands for, in the order of names, as a shell expands it: neither matches
/// a dot at the beginning of a name. Empty if nothing has such a name, and for a path without either.
pub fn matching(pattern: &Path) -> Vec<PathBuf> {
    let wild = |name: &str| name.contains(['*', '?']);
    if !wild(&pattern.to_string_lossy()) {
        return Vec::new();
    }
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        if !wild(&name) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut longer = Vec::new();
        for folder in found {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            let Ok(entries) = here.read_dir() else { continue };
            let mut names: Vec<_> = entries
                .filter_map(|entry| Some(entry.ok()?.file_name()))
                .filter(|found| fits(&name, &found.to_string_lossy()))
                .collect();
            names.sort();
            longer.extend(names.into_iter().map(|name| folder.join(name)));
        }
        found = longer;
    }
    found.retain(|path| path.exists());
    found
}

/// Whether a name fits a pattern of `*` and `?`. Takes at most the product of both lengths.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The place behind the last `*`, and the place in the name up to which it reaches.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                star = Some((at, read));
            }
            Some(&c) if c == '?' || c == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((behind, reach)) = star else { return false };
                star = Some((behind, reach + 1));
                (at, read) = (behind, reach + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

/// Files are taken as given, folders are walked recursively in the order of file names, patterns are [`matching`].
pub(super) fn find(paths: &[PathBuf]) -> Result<Found, DataError> {
    let mut found = Found::default();
    for path in paths {
        let matched = if path.exists() { Vec::new() } else { matching(path) };
        if !matched.is_empty() {
            let inner = find(&matched)?;
            found.files.extend(inner.files);
            found.left_out.extend(inner.left_out);
        } else if path.as_os_str() == "-" {
            found.files.push(path.clone());
        } else if path.is_dir() {
            folder(path, &mut found)?;
        } else {
            // For a file that the user names, a reason not to read it is an error.
            let is_file = path.metadata().map_err(DataError::io(path, "open"))?.is_file();
            let reason = if is_file { unreadable(path) } else { Some(NO_FILE.to_owned()) };
            match reason {
                None => found.files.push(path.clone()),
                Some(reason) => return Err(DataError::Unsupported { path: path.clone(), reason }),
            }
        }
    }
    Ok(found)
}

const NO_FILE: &str =
    "is a pipe, socket or device, not a file; pipe its output to standard input and name `-` instead";

fn folder(path: &Path, found: &mut Found) -> Result<(), DataError> {
    let before = (found.files.len(), found.left_out.len());
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    for entry in
        walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible)
    {
        let (path, reason) = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) if entry.file_type().is_file() => {
                let reason = unreadable(entry.path());
                (entry.into_path(), reason)
            }
            Ok(entry) => (entry.into_path(), Some("is a pipe, socket or device".to_owned())),
            Err(error) if error.loop_ancestor().is_some() => {
                let path = error.path().unwrap_or(path).to_owned();
                (path, Some("is a link to a folder that it lies in".to_owned()))
            }
            Err(error) => match error.path().filter(|_| is_missing(&error)) {
                Some(path) if hidden(path) => continue,
                Some(path) => (path.to_owned(), Some("is a broken link".to_owned())),
                None => return Err(DataError::io(path, "walk")(error.into())),
            },
        };
        match reason {
            None => found.files.push(path),
            Some(reason) => found.left_out.push(LeftOut { path, reason }),
        }
    }
    if found.files.len() == before.0 {
        let first = found.left_out.get(before.1);
        return Err(match first {
            Some(first) => DataError::Unsupported { path: first.path.clone(), reason: first.reason.clone() },
            None => DataError::Empty { path: path.to_owned() },
        });
    }
    Ok(())
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Why a file is not read; None if it is.
fn unreadable(path: &Path) -> Option<String> {
    if kind(path).is_some() {
        return None;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = compressed::SUFFIXES.iter().find_map(|s| name.strip_suffix(s)).unwrap_or(&name);
    if let Some((_, ending)) = plain.trim_start_matches('.').rsplit_once('.') {
        return Some(format!(
            "files that end in .{ending} are not read; if it is text, rename it to end in .txt"
        ));
    }
    match is_text(path) {
        Ok(true) => None,
        Ok(false) => Some("the file name has no known extension and the contents are not text".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Whether the first bytes are UTF-8, or UTF-16 with a byte order mark, without zero characters.
fn is_text(path: &Path) -> Result<bool, DataError> {
    let mut bytes = Vec::new();
    let read = compressed::open(path, &Counters::default())?.take(SAMPLE).read_to_end(&mut bytes);
    read.map_err(|e| compressed::read_error(path, bytes.len() as u64, e))?;
    if utf16::mark(&bytes).is_some() {
        return Ok(true);
    }
    let whole = match std::str::from_utf8(&bytes) {
        Ok(_) => true,
        // The sample may end in the middle of a character.
        Err(error) => error.error_len().is_none() && bytes.len() as u64 == SAMPLE,
    };
    Ok(whole && !bytes.contains(&0))
}
