//! Small files, read with a limit; files that are replaced whole or not at all.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use super::error::HfError;

/// Reads a text file of at most `limit` bytes as JSON.
pub(crate) fn read_json(path: &Path, limit: u64) -> Result<serde_json::Value, HfError> {
    let file = File::open(path).map_err(HfError::io(path, "open the file"))?;
    let found = file.metadata().map_err(HfError::io(path, "ask for its size"))?.len();
    if found > limit {
        return Err(HfError::TooLarge { path: path.to_owned(), found, limit });
    }
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text).map_err(HfError::io(path, "read the file"))?;
    serde_json::from_slice(&text)
        .map_err(|error| HfError::Json { path: path.to_owned(), message: format!("not valid JSON: {error}") })
}

/// Writes `path` so that it is old or new, never partial, also after power loss. A killed write leaves
/// `.NAME.tmp-PID` behind, which nothing reads.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), HfError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.tmp-{}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(HfError::Io { path: path.to_owned(), doing: "write the file", source });
    }
    sync_folder(folder)
}

/// Makes a rename last.
fn sync_folder(folder: &Path) -> Result<(), HfError> {
    if cfg!(unix) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder).and_then(|f| f.sync_all()).map_err(HfError::io(folder, "sync the folder"))?;
    }
    Ok(())
}
