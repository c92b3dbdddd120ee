//! Random access to the rows of a prepared data set (memory-mapped shards) or of a list.

use std::path::{Path, PathBuf};

use fn_core::files::hex;
use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::format::{Manifest, ShardEntry, hash_file};
use crate::error::DataError;
use crate::pack::PackedRow;

/// A data set of rows with a common maximum length.
#[derive(Debug)]
pub struct Dataset {
    length: usize,
    vocabulary_sha256: String,
    separates_documents: bool,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    List(Vec<PackedRow>),
    Shards { shards: Vec<Shard>, starts: Vec<usize>, len: usize },
}

impl Dataset {
    /// Opens a prepared data set: verifies the hashes of all files, then memory-maps the shards.
    ///
    /// # Errors
    /// A folder that is not a data set, or any byte that changed since it was written.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let manifest = Manifest::read(dir)?;
        let mut shards = Vec::with_capacity(manifest.shards.len());
        let mut starts = Vec::with_capacity(manifest.shards.len());
        let mut len = 0;
        for entry in &manifest.shards {
            let shard = Shard::open(&dir.join(&entry.file), entry, &manifest)?;
            starts.push(len);
            len += shard.rows;
            shards.push(shard);
        }
        if len as u64 != manifest.rows {
            return Err(DataError::Damaged {
                path: dir.join("manifest.json"),
                message: format!("{} rows announced, the shards hold {len}", manifest.rows),
            });
        }
        Ok(Self {
            length: manifest.length,
            separates_documents: manifest.packing.separates_documents(),
            vocabulary_sha256: manifest.vocabulary_sha256,
            rows: Rows::Shards { shards, starts, len },
        })
    }

    /// A data set of rows in memory.
    ///
    /// # Errors
    /// A row that is longer than `length`, or whose segment B begins outside of it.
    pub fn from_rows(rows: Vec<PackedRow>, length: usize) -> Result<Self, DataError> {
        if let Some(row) =
            rows.iter().position(|r| r.ids.len() > length || usize::from(r.second) > r.ids.len())
        {
            return Err(DataError::Row { row, found: rows[row].ids.len(), expected: length });
        }
        let rows = Rows::List(rows);
        Ok(Self { length, vocabulary_sha256: String::new(), separates_documents: false, rows })
    }

    /// The same rows, which hold several documents that do not attend to each other ([`Packing::Documents`](crate::pack::Packing)).
    pub fn of_documents(self) -> Self {
        Self { separates_documents: true, ..self }
    }

    /// Whether rows hold several documents that do not attend to each other; each begins with `[CLS]`.
    pub fn separates_documents(&self) -> bool {
        self.separates_documents
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::List(rows) => rows.len(),
            Rows::Shards { len, .. } => *len,
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maximum length of a row, in ids.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Hash of the vocabulary; empty for rows in memory.
    pub fn vocabulary_sha256(&self) -> &str {
        &self.vocabulary_sha256
    }

    /// Row `index`, below [`len`](Self::len).
    pub fn row(&self, index: usize) -> PackedRow {
        match &self.rows {
            Rows::List(rows) => rows[index].clone(),
            Rows::Shards { shards, starts, .. } => {
                let shard = starts.partition_point(|&s| s <= index) - 1;
                shards[shard].row(index - starts[shard], self.length)
            }
        }
    }
}

/// One mapped shard. Offsets were checked when it was opened.
#[derive(Debug)]
struct Shard {
    map: Mmap,
    rows: usize,
    wide: bool,
    tokens: usize,
    used: usize,
    second: usize,
}

impl Shard {
    fn open(path: &Path, entry: &ShardEntry, manifest: &Manifest) -> Result<Self, DataError> {
        let damaged = |message: String| DataError::Damaged { path: path.to_owned(), message };
        let mut hasher = Sha256::new();
        let bytes = hash_file(path, &mut hasher)?;
        if bytes != entry.bytes {
            return Err(damaged(format!("{bytes} bytes, {} expected", entry.bytes)));
        }
        let found = hex(&hasher.finalize());
        if found != entry.sha256 {
            return Err(damaged(format!("SHA-256 {found}, {} expected", entry.sha256)));
        }
        let file = fn_core::files::open(path).map_err(DataError::io(path, "open"))?;
        // SAFETY: the file belongs to the cache, was verified above and is never written again. A program that truncates it
        // while it is mapped would end this process with a signal, as with any memory-mapped file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::io(path, "map"))?;
        let rows = entry.rows as usize;
        let tensors = SafeTensors::deserialize(&map).map_err(|e| damaged(e.to_string()))?;
        let base = map.as_ptr() as usize;
        let locate = |name: &str, kinds: &[Dtype], shape: &[usize]| -> Result<(usize, Dtype), DataError> {
            let tensor = tensors.tensor(name).map_err(|e| damaged(e.to_string()))?;
            if !kinds.contains(&tensor.dtype()) || tensor.shape() != shape {
                return Err(damaged(format!(
                    "tensor `{name}` is {:?} {:?}, {kinds:?} {shape:?} expected",
                    tensor.dtype(),
                    tensor.shape()
                )));
            }
            Ok((tensor.data().as_ptr() as usize - base, tensor.dtype()))
        };
        let (tokens, kind) = locate("tokens", &[Dtype::U16, Dtype::U32], &[rows, manifest.length])?;
        let (used, _) = locate("used", &[Dtype::U16], &[rows])?;
        let (second, _) = locate("second", &[Dtype::U16], &[rows])?;
        let shard = Self { rows, wide: kind == Dtype::U32, tokens, used, second, map };
        shard.check(path, manifest)?;
        Ok(shard)
    }

    /// Checks ids and lengths: the hash shows that the file is unchanged, but not that it was valid when it was written.
    fn check(&self, path: &Path, manifest: &Manifest) -> Result<(), DataError> {
        for index in 0..self.rows {
            let (used, second) = (self.u16_at(self.used, index), self.u16_at(self.second, index));
            let fits = usize::from(used) <= manifest.length && second <= used;
            if !fits
                || self
                    .row(index, manifest.length)
                    .ids
                    .iter()
                    .any(|&id| id as usize >= manifest.vocabulary_size)
            {
                return Err(DataError::Damaged {
                    path: PathBuf::from(path),
                    message: format!("row {index} does not fit length {} or the vocabulary", manifest.length),
                });
            }
        }
        Ok(())
    }

    fn u16_at(&self, start: usize, index: usize) -> u16 {
        let at = start + index * 2;
        u16::from_le_bytes([self.map[at], self.map[at + 1]])
    }

    fn row(&self, index: usize, length: usize) -> PackedRow {
        let used = usize::from(self.u16_at(self.used, index)).min(length);
        let width = if self.wide { 4 } else { 2 };
        let start = self.tokens + index * length * width;
        let bytes = &self.map[start..start + used * width];
        let ids = if self.wide {
            bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
        } else {
            bytes.as_chunks::<2>().0.iter().map(|b| u32::from(u16::from_le_bytes(*b))).collect()
        };
        PackedRow { ids, second: self.u16_at(self.second, index) }
    }
}
