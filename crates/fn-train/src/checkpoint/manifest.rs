//! `manifest.json`: the files of a checkpoint with their sizes and checksums.

use std::path::Path;

use fn_core::files::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CheckpointError, MANIFEST};

/// Version of the format that is written and read.
const FORMAT: u32 = 1;
/// Maximum size of a manifest in bytes. It lists a few files: 1 MiB is 1000 times the largest one that is written.
const MAX_MANIFEST: u64 = 1 << 20;

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name, without folders.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, as hex.
    pub sha256: String,
}

/// The list of files of a checkpoint. Written last, so a folder without it is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Optimiser steps done. The newest checkpoint is the one with the highest value here, whatever the folder's name or date.
    pub step: u64,
    /// All other files.
    pub files: Vec<FileEntry>,
    /// SHA-256 of this manifest with this field empty, as hex.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(step: u64, files: Vec<FileEntry>) -> Self {
        let mut manifest = Self { format: FORMAT, step, files, sha256: String::new() };
        manifest.sha256 = hex(&Sha256::digest(manifest.to_bytes()));
        manifest
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        #[allow(clippy::expect_used)] // strings and integers always become JSON
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain data");
        bytes.push(b'\n');
        bytes
    }

    /// Reads and verifies the manifest of the checkpoint in `folder`.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`], [`CheckpointError::Manifest`] or [`CheckpointError::Version`].
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(MANIFEST);
        let not = |reason: String| CheckpointError::NotACheckpoint { path: folder.to_owned(), reason };
        let damaged = |reason: String| CheckpointError::Manifest { path: path.clone(), reason };
        let length = std::fs::metadata(&path).map_err(|e| not(e.to_string()))?.len();
        if length > MAX_MANIFEST {
            return Err(damaged(format!("{length} bytes, more than {MAX_MANIFEST}")));
        }
        let bytes = fn_core::files::read(&path).map_err(|e| not(e.to_string()))?;
        // The format is read first, because an unknown format may have other fields.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let head: Format = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if head.format != FORMAT {
            return Err(CheckpointError::Version { path, found: head.format, supported: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        // The manifest is written again from the parsed values and compared, so any changed byte is detected.
        if Self::new(manifest.step, manifest.files.clone()).to_bytes() != bytes {
            return Err(damaged("its checksum does not agree".to_owned()));
        }
        for (i, file) in manifest.files.iter().enumerate() {
            if !is_plain_name(&file.name) || manifest.files.iter().take(i).any(|f| f.name == file.name) {
                return Err(damaged(format!("the file name `{}` is not allowed", file.name)));
            }
        }
        Ok(manifest)
    }

    /// The entry of a file.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|f| f.name == name)
    }
}

/// A name that stays in its folder under every system's rules.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name != MANIFEST
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}
