//! File format of a prepared data set.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use fn_core::files::hex;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::DataError;
use crate::pack::{PackedRow, Packing};

/// Version of the format; it is part of the key of a data set.
pub(super) const VERSION: u32 = 1;
/// Maximum size of a manifest in bytes. It lists shards, not rows: 16 MiB is far more than the largest one that is written.
const MAX_MANIFEST: u64 = 16 << 20;
/// Maximum size of a shard that is opened, in bytes; those that are written have at most about 200 MB.
const MAX_SHARD: u64 = 8 << 30;

/// Contents of `manifest.json`. It is written last: a folder without it is not a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub version: u32,
    /// Hash of everything that the rows depend on.
    pub key: String,
    /// Maximum length of a row in ids, special tokens included.
    pub length: usize,
    /// How documents were packed into rows.
    pub packing: Packing,
    /// Seed of the packing.
    pub seed: u64,
    /// Hash of the vocabulary.
    pub vocabulary_sha256: String,
    /// Number of pieces of the vocabulary.
    pub vocabulary_size: usize,
    /// Id of `[PAD]`.
    pub pad: u32,
    /// Number of documents.
    pub documents: u64,
    /// Number of ids of all rows, without padding, with special tokens.
    pub tokens: u64,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Hash of `counts.safetensors`.
    pub counts_sha256: String,
    /// The shards, in order.
    pub shards: Vec<ShardEntry>,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// File name.
    pub file: String,
    /// Number of rows.
    pub rows: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Hash of the file.
    pub sha256: String,
}

impl Manifest {
    /// Reads and checks `dir/manifest.json`.
    ///
    /// # Errors
    /// A file that is missing, too large, not a manifest, or of a different version.
    pub fn read(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join("manifest.json");
        let file = fn_core::files::open(&path).map_err(DataError::io(&path, "open"))?;
        let found = file.metadata().map_err(DataError::io(&path, "inspect"))?.len();
        let damaged = |message: String| DataError::Damaged { path: path.clone(), message };
        if found > MAX_MANIFEST {
            return Err(damaged(format!("{found} bytes, at most {MAX_MANIFEST} expected")));
        }
        let mut text = String::new();
        file.take(MAX_MANIFEST).read_to_string(&mut text).map_err(|e| damaged(e.to_string()))?;
        let manifest: Self = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if manifest.version != VERSION {
            return Err(damaged(format!("version {} of the format, {VERSION} expected", manifest.version)));
        }
        if manifest.length == 0 || manifest.length > u16::MAX as usize {
            return Err(damaged(format!("row length {}", manifest.length)));
        }
        for shard in &manifest.shards {
            let plain = Path::new(&shard.file).file_name().is_some_and(|n| n == shard.file.as_str());
            if !plain || shard.bytes > MAX_SHARD {
                return Err(damaged(format!("shard `{}` of {} bytes", shard.file, shard.bytes)));
            }
        }
        Ok(manifest)
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), DataError> {
        let path = dir.join("manifest.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| DataError::Damaged { path: path.clone(), message: e.to_string() })?;
        write_synced(&path, text.as_bytes())
    }
}

/// Rows that are collected for the next shard.
pub(super) struct ShardBuffer {
    length: usize,
    wide: bool,
    pad: u32,
    tokens: Vec<u8>,
    used: Vec<u8>,
    second: Vec<u8>,
    rows: usize,
}

impl ShardBuffer {
    pub(super) fn new(length: usize, vocabulary: usize, pad: u32) -> Self {
        let wide = vocabulary > 1 << 16;
        Self { length, wide, pad, tokens: Vec::new(), used: Vec::new(), second: Vec::new(), rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn push(&mut self, row: &PackedRow) {
        let padding = std::iter::repeat_n(self.pad, self.length.saturating_sub(row.ids.len()));
        for id in row.ids.iter().copied().chain(padding) {
            if self.wide {
                self.tokens.extend_from_slice(&id.to_le_bytes());
            } else {
                self.tokens.extend_from_slice(&(id as u16).to_le_bytes());
            }
        }
        self.used.extend_from_slice(&(row.ids.len() as u16).to_le_bytes());
        self.second.extend_from_slice(&row.second.to_le_bytes());
        self.rows += 1;
    }

    /// Writes the shard and empties the buffer.
    pub(super) fn write(&mut self, dir: &Path, number: usize) -> Result<ShardEntry, DataError> {
        let file = format!("shard-{number:05}.safetensors");
        let path = dir.join(&file);
        let kind = if self.wide { Dtype::U32 } else { Dtype::U16 };
        let views = [
            ("tokens", view(&path, kind, vec![self.rows, self.length], &self.tokens)?),
            ("used", view(&path, Dtype::U16, vec![self.rows], &self.used)?),
            ("second", view(&path, Dtype::U16, vec![self.rows], &self.second)?),
        ];
        let bytes = serialize(&path, views)?;
        write_synced(&path, &bytes)?;
        let entry = ShardEntry {
            file,
            rows: self.rows as u64,
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
        };
        self.tokens.clear();
        self.used.clear();
        self.second.clear();
        self.rows = 0;
        Ok(entry)
    }
}

/// Writes the frequency of each id, `[vocabulary]`; returns the hash of the file.
pub(super) fn write_counts(dir: &Path, counts: &[u64]) -> Result<String, DataError> {
    let path = dir.join("counts.safetensors");
    let bytes: Vec<u8> = counts.iter().flat_map(|c| c.to_le_bytes()).collect();
    let bytes = serialize(&path, [("counts", view(&path, Dtype::U64, vec![counts.len()], &bytes)?)])?;
    write_synced(&path, &bytes)?;
    Ok(hex(&Sha256::digest(&bytes)))
}

/// Frequency of each id in a prepared data set, `[vocabulary]`, special tokens included.
///
/// # Errors
/// A folder that is not a data set, or that is damaged.
pub fn token_counts(dir: &Path) -> Result<Vec<u64>, DataError> {
    let manifest = Manifest::read(dir)?;
    let path = dir.join("counts.safetensors");
    let damaged = |message: String| DataError::Damaged { path: path.clone(), message };
    let expected = manifest.vocabulary_size as u64 * 8;
    let bytes = std::fs::metadata(&path).map_err(DataError::io(&path, "inspect"))?.len();
    if bytes > expected + 4096 {
        return Err(damaged(format!("{bytes} bytes, about {expected} expected")));
    }
    let bytes = fn_core::files::read(&path).map_err(DataError::io(&path, "read"))?;
    let found = hex(&Sha256::digest(&bytes));
    if found != manifest.counts_sha256 {
        return Err(damaged(format!("SHA-256 {found}, {} expected", manifest.counts_sha256)));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let counts = tensors.tensor("counts").map_err(|e| damaged(e.to_string()))?;
    let (words, _) = counts.data().as_chunks::<8>();
    Ok(words.iter().map(|c| u64::from_le_bytes(*c)).collect())
}

fn view<'a>(
    path: &Path,
    kind: Dtype,
    shape: Vec<usize>,
    data: &'a [u8],
) -> Result<TensorView<'a>, DataError> {
    TensorView::new(kind, shape, data)
        .map_err(|e| DataError::Damaged { path: path.to_owned(), message: e.to_string() })
}

fn serialize<'a, const N: usize>(
    path: &Path,
    views: [(&str, TensorView<'a>); N],
) -> Result<Vec<u8>, DataError> {
    safetensors::serialize(views, None)
        .map_err(|e| DataError::Damaged { path: path.to_owned(), message: e.to_string() })
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut file = File::create(path).map_err(DataError::io(path, "create"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(DataError::io(path, "write"))
}

/// Adds the contents of a file to a hash, in bounded memory.
pub(super) fn hash_file(path: &Path, hasher: &mut Sha256) -> Result<u64, DataError> {
    let mut file = fn_core::files::open(path).map_err(DataError::io(path, "open"))?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(DataError::io(path, "read"))?;
        if read == 0 {
            return Ok(bytes);
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}
