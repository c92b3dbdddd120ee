//! Small files, read with a limit.

use std::fs::File;
use std::io::Read;
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
