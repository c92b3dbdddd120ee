//! Bytes as files, because the parsers read files.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A target: its name, and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A folder of this thread, in memory where the system has such a file system.
fn folder() -> PathBuf {
    FOLDER.with(|cell| {
        let made = cell.get_or_init(|| {
            let memory = Path::new("/dev/shm");
            match memory.is_dir() {
                true => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap(),
                false => tempfile::tempdir().unwrap(),
            }
        });
        made.path().to_owned()
    })
}

/// The path of a file in a folder of this thread that has these bytes, until the next call with the same name.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).unwrap();
    }
    std::fs::write(&path, bytes).unwrap();
    path
}

/// `.gz`, `.zst` or `.xz` after `name` where the bytes begin as such a file does.
pub fn named(name: &str, bytes: &[u8]) -> String {
    let suffix = match bytes {
        [0x1f, 0x8b, ..] => ".gz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ".zst",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ".xz",
        _ => "",
    };
    format!("{name}{suffix}")
}

/// Several files in one input: each begins after a line `==> NAME <==`.
pub fn parts(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let name = line.strip_prefix(b"==> ").and_then(|rest| rest.strip_suffix(b" <==\n"));
        match (name, out.last_mut()) {
            (Some(name), _) => out.push((String::from_utf8_lossy(name).into_owned(), Vec::new())),
            (None, Some((_, part))) => part.extend_from_slice(line),
            (None, None) => {}
        }
    }
    out
}

/// Drops a refusal; its message must say something.
pub fn accepted<T, E: std::fmt::Display>(result: Result<T, E>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(!error.to_string().trim().is_empty());
            None
        }
    }
}
