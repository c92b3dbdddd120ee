//! A folder's tensors, whatever kind of file they are in, by canonical name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::store::pytorch_reader::{DType as PtType, PytorchReader};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use super::WEIGHTS_FILE;
use super::error::HfError;
use super::files::read_json;
use super::names::canonical;
use crate::params::NamedTensor;

/// An index names tensors; the largest models have thousands.
const MAX_INDEX: u64 = 16 << 20;

/// Everything that the files of a folder hold. Opening reads headers only.
pub(crate) struct Weights {
    pub folder: PathBuf,
    sources: Vec<Source>,
    entries: BTreeMap<String, Entry>,
}

enum Source {
    Safetensors { path: PathBuf, map: Mmap },
    Pytorch { path: PathBuf, reader: PytorchReader },
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Safetensors { path, .. } | Self::Pytorch { path, .. } => path,
        }
    }
}

/// One tensor.
pub(crate) struct Entry {
    source: usize,
    /// Its name in the file.
    pub name: String,
    pub shape: Vec<usize>,
    precision: Precision,
    /// Where its bytes are in a safetensors file.
    bytes: std::ops::Range<usize>,
}

enum Precision {
    F32,
    F16,
    Bf16,
    F64,
    Other(String),
}

impl Entry {
    /// The precision it was stored in, where that is not f32.
    pub fn cast(&self) -> Option<&'static str> {
        match self.precision {
            Precision::F16 => Some("F16"),
            Precision::Bf16 => Some("BF16"),
            Precision::F64 => Some("F64"),
            Precision::F32 | Precision::Other(_) => None,
        }
    }
}

impl Weights {
    /// Opens the weights of a folder: safetensors, a PyTorch file, or either of them in shards; the first that is there of safetensors,
    /// its shards, PyTorch, its shards.
    pub fn open(folder: &Path) -> Result<Self, HfError> {
        let mut weights = Self { folder: folder.to_owned(), sources: Vec::new(), entries: BTreeMap::new() };
        let [single, index, pickle, pickles] = [
            WEIGHTS_FILE,
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
        ]
        .map(|name| folder.join(name));
        if single.exists() {
            weights.add_safetensors(&single)?;
        } else if index.exists() {
            weights.add_shards(folder, &index, ".safetensors", Self::add_safetensors)?;
        } else if pickle.exists() {
            weights.add_pytorch(&pickle)?;
        } else if pickles.exists() {
            weights.add_shards(folder, &pickles, ".bin", Self::add_pytorch)?;
        } else {
            let wanted = "model.safetensors or pytorch_model.bin, or the index of either in shards";
            return Err(HfError::Absent { folder: folder.to_owned(), wanted });
        }
        Ok(weights)
    }

    /// Files that were opened.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(Source::path)
    }

    /// The tensor of this canonical name.
    pub fn get(&self, canonical: &str) -> Option<&Entry> {
        self.entries.get(canonical)
    }

    /// All canonical names with their tensors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The file a tensor is in.
    pub fn path_of(&self, entry: &Entry) -> &Path {
        self.sources[entry.source].path()
    }

    fn add_safetensors(&mut self, path: &Path) -> Result<Vec<String>, HfError> {
        let damaged = |reason: String| HfError::Damaged { path: path.to_owned(), reason };
        let file = fn_core::files::open(path).map_err(HfError::io(path, "open the file"))?;
        if file.metadata().map_err(HfError::io(path, "ask for its size"))?.len() < 8 {
            return Err(damaged("the file is empty or cut off in its first bytes".into()));
        }
        // SAFETY: the map is read-only and private to this loader. Another process that cuts the file meanwhile would end
        // this one with a bus error; everything that we write is replaced by a rename, never cut in place.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(HfError::io(path, "map the file into memory"))?;
        // Checks the size of the header, that the tensors neither overlap nor leave the file, and that they fill it.
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| damaged(error.to_string()))?;
        let start = 8 + header;
        let mut names = Vec::new();
        for (name, info) in metadata.tensors() {
            let precision = match info.dtype {
                Dtype::F32 => Precision::F32,
                Dtype::F16 => Precision::F16,
                Dtype::BF16 => Precision::Bf16,
                Dtype::F64 => Precision::F64,
                other => Precision::Other(format!("{other:?}")),
            };
            names.push(name.clone());
            self.insert(
                path,
                Entry {
                    source: self.sources.len(),
                    name,
                    shape: info.shape.clone(),
                    precision,
                    bytes: start + info.data_offsets.0..start + info.data_offsets.1,
                },
            )?;
        }
        self.sources.push(Source::Safetensors { path: path.to_owned(), map });
        Ok(names)
    }

    /// Opens the shards of an index, files with this ending, by `add`, which gives the names that a shard holds.
    fn add_shards(
        &mut self,
        folder: &Path,
        index: &Path,
        ending: &str,
        add: impl Fn(&mut Self, &Path) -> Result<Vec<String>, HfError>,
    ) -> Result<(), HfError> {
        let wrong = |message: String| HfError::Json { path: index.to_owned(), message };
        let value = read_json(index, MAX_INDEX)?;
        let map = value.get("weight_map").and_then(|map| map.as_object());
        let map = map.ok_or_else(|| wrong("has no `weight_map`".into()))?;
        let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (tensor, shard) in map {
            let shard = shard.as_str().ok_or_else(|| wrong(format!("`{tensor}` is in no file")))?;
            if !is_plain_name(shard, ending) {
                return Err(HfError::UnsafeShard { path: index.to_owned(), shard: shard.to_owned() });
            }
            shards.entry(shard).or_default().push(tensor);
        }
        for (shard, tensors) in shards {
            let path = folder.join(shard);
            let found = add(self, &path)?;
            if let Some(absent) = tensors.iter().find(|tensor| !found.iter().any(|name| name == *tensor)) {
                let reason = format!("`{absent}` is not in it, though the index says so");
                return Err(HfError::Damaged { path, reason });
            }
        }
        Ok(())
    }

    /// The reader knows tensors and nothing else: whatever else a pickle asks for is refused, never called. Tensors of a dictionary within
    /// (`state_dict` in checkpoints of Lightning) have its key before their name.
    fn add_pytorch(&mut self, path: &Path) -> Result<Vec<String>, HfError> {
        fn_core::files::open(path).map_err(HfError::io(path, "open the file"))?;
        let reader = PytorchReader::new(path)
            .map_err(|error| HfError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
        let mut names = Vec::new();
        for (name, tensor) in reader.tensors() {
            names.push(name.clone());
            let precision = match tensor.dtype() {
                PtType::F32 => Precision::F32,
                PtType::F16 => Precision::F16,
                PtType::BF16 => Precision::Bf16,
                PtType::F64 => Precision::F64,
                other => Precision::Other(format!("{other:?}")),
            };
            let shape = tensor.shape().to_vec();
            let source = self.sources.len();
            self.insert(path, Entry { source, name: name.clone(), shape, precision, bytes: 0..0 })?;
        }
        self.sources.push(Source::Pytorch { path: path.to_owned(), reader });
        Ok(names)
    }

    fn insert(&mut self, path: &Path, entry: Entry) -> Result<(), HfError> {
        let name = entry.name.clone();
        match self.entries.insert(canonical(&name), entry) {
            None => Ok(()),
            Some(other) => {
                let (first, second) = if other.name < name { (other.name, name) } else { (name, other.name) };
                Err(HfError::Ambiguous { path: path.to_owned(), first, second })
            }
        }
    }

    /// The values of a tensor, in f32, all finite.
    pub fn read(&self, entry: &Entry) -> Result<Vec<f32>, HfError> {
        let owned;
        let (path, bytes) = match &self.sources[entry.source] {
            Source::Safetensors { path, map } => (path, &map[entry.bytes.clone()]),
            Source::Pytorch { path, reader } => {
                let damaged = |reason: String| HfError::Damaged { path: path.clone(), reason };
                let tensor = reader.get(&entry.name).ok_or_else(|| damaged("a tensor is gone".into()))?;
                owned = tensor.read().map_err(|error| damaged(error.to_string()))?;
                (path, owned.as_slice())
            }
        };
        // Safetensors are little-endian; so is every machine that Burn's engines run on, which is what the other reader
        // gives.
        let values: Vec<f32> = match &entry.precision {
            Precision::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Precision::F16 => {
                bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
            }
            Precision::Bf16 => {
                bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
            }
            Precision::F64 => {
                bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
            Precision::Other(found) => {
                let (path, tensor, found) = (path.clone(), entry.name.clone(), found.clone());
                return Err(HfError::Precision { path, tensor, found });
            }
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(HfError::NotFinite {
                path: path.clone(),
                tensor: entry.name.clone(),
                found: values[index],
                index,
            }),
        }
    }
}

/// All tensors of a folder's weights under the names that their files give them, in f32, sorted by canonical name.
///
/// # Errors
/// No weights in the folder; a file that is damaged, has numbers that are not finite, or asks for more than tensors.
pub fn tensors(folder: &Path) -> Result<Vec<NamedTensor>, HfError> {
    let weights = Weights::open(folder)?;
    let read = |(_, entry): (&str, &Entry)| {
        let data = weights.read(entry)?;
        Ok(NamedTensor { name: entry.name.clone(), shape: entry.shape.clone(), data })
    };
    weights.iter().map(read).collect()
}

/// `model-00001-of-00002.safetensors`, and nothing that leads elsewhere on any system.
fn is_plain_name(name: &str, ending: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    name.ends_with(ending) && !name.starts_with('.') && name.len() <= 255 && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_plain_name;

    #[test]
    fn only_plain_names_are_shards() {
        assert!(is_plain_name("model-00001-of-00002.safetensors", ".safetensors"));
        assert!(is_plain_name("pytorch_model-00001-of-00002.bin", ".bin"));
        for name in [
            "../model.safetensors",
            "/etc/model.safetensors",
            "C:\\model.safetensors",
            "C:model.safetensors",
            "\\\\host\\share\\m.safetensors",
            "a/b.safetensors",
            "..safetensors",
            ".safetensors",
            "model.bin",
            "m\0.safetensors",
            "",
        ] {
            assert!(!is_plain_name(name, ".safetensors"), "{name}");
        }
    }
}
