//! Small files, read with a limit.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::CONFIG_FILE;
use super::error::HfError;

/// Folder of the exported model in a run directory.
const IN_RUN: &str = "model";

/// The folder of the model: `path` itself, or its `model/` if `path` is a run directory that has one.
pub fn model_folder(path: &Path) -> PathBuf {
    let inner = path.join(IN_RUN);
    match !path.join(CONFIG_FILE).exists() && inner.join(CONFIG_FILE).exists() {
        true => inner,
        false => path.to_owned(),
    }
}

/// Reads a text file of at most `limit` bytes as JSON.
pub(crate) fn read_json(path: &Path, limit: u64) -> Result<serde_json::Value, HfError> {
    let file = fn_core::files::open(path).map_err(HfError::io(path, "open the file"))?;
    let found = file.metadata().map_err(HfError::io(path, "ask for its size"))?.len();
    if found > limit {
        return Err(HfError::TooLarge { path: path.to_owned(), found, limit });
    }
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text).map_err(HfError::io(path, "read the file"))?;
    serde_json::from_slice(&text)
        .map_err(|error| HfError::Json { path: path.to_owned(), message: format!("not valid JSON: {error}") })
}
