use std::io::Write;
use std::path::PathBuf;

use super::*;

mod bounds;
mod glue;
mod hub;
mod spec;

/// Writes a file; compressed if its name says so.
fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let bytes = match name.rsplit_once('.').map(|(_, end)| end) {
        Some("gz") => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        Some("xz") => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        Some("zst") => zstd::encode_all(text.as_bytes(), 1).unwrap(),
        _ => text.as_bytes().to_vec(),
    };
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Reads a file of a task with this text.
fn read(task: GlueTask, name: &str, text: &str) -> Result<TaskData, TaskError> {
    let dir = tempfile::tempdir().unwrap();
    super::glue::read(task, &file(&dir, name, text))
}

/// (id, first, second, label).
type Shown<'a> = (Option<&'a str>, &'a str, Option<&'a str>, Option<Label>);

/// Each example, to compare.
fn rows(data: &TaskData) -> Vec<Shown<'_>> {
    let row = |e| {
        let Example { id, first, second, label, .. }: &Example = e;
        (id.as_deref(), first.as_str(), second.as_deref(), label.clone())
    };
    data.examples.iter().map(row).collect()
}

const fn class(n: u32) -> Option<Label> {
    Some(Label::Class(n))
}
