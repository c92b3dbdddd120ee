//! Finds and reads checkpoints. Nothing in this module writes or deletes files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fn_core::files::hex;
use sha2::{Digest, Sha256};

use super::save::entries;
use super::{
    CheckpointError, Checkpoints, FileEntry, MODEL, Manifest, OPTIMIZER, STATE, TrainState, tensors,
};
use fn_models::params::{NamedTensor, POSITION_TABLE, TOKEN_TABLE};

/// A checkpoint in memory whose checksums were verified.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedCheckpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Progress of the run.
    pub state: TrainState,
    /// Shape and values of each parameter, by path.
    pub model: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// The optimiser state, as returned by [`AdamW::state`](crate::optim::AdamW::state).
    pub optim: Vec<NamedTensor>,
}

impl LoadedCheckpoint {
    /// Number of rows of the token embedding: the size of the vocabulary.
    ///
    /// # Errors
    /// [`CheckpointError::Content`] if there is no token embedding.
    pub fn vocab_size(&self) -> Result<usize, CheckpointError> {
        let table = self.model.get(TOKEN_TABLE).and_then(|(shape, _)| shape.first().copied());
        table.ok_or_else(|| CheckpointError::Content {
            path: self.path.join(MODEL),
            reason: format!("found no token embedding (`{TOKEN_TABLE}`)"),
        })
    }

    /// The padding id that positions count from, in a model that takes `positions` tokens: the table has that many rows, and those
    /// below. 0 where they do not count from it.
    pub(crate) fn pad(&self, positions: usize) -> u32 {
        let rows = self.model.get(POSITION_TABLE).and_then(|(shape, _)| shape.first().copied());
        let below = rows.unwrap_or(0).saturating_sub(positions);
        u32::try_from(below.saturating_sub(1)).unwrap_or(0)
    }

    /// Removes the values of a parameter and returns them.
    ///
    /// # Errors
    /// [`CheckpointError::Model`] if the parameter is missing or has another shape: the checkpoint belongs to another model.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let wrong = |found: String| CheckpointError::Model {
            path: self.path.join(MODEL),
            name: name.to_owned(),
            found,
            expected: shape.to_vec(),
        };
        match self.model.get(name) {
            None => return Err(wrong("nothing".to_owned())),
            Some((found, _)) if found != shape => return Err(wrong(format!("shape {found:?}"))),
            Some(_) => {}
        }
        Ok(self.model.remove(name).map(|(_, data)| data).unwrap_or_default())
    }
}

/// The newest intact checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its folder.
    pub path: PathBuf,
    /// Its step.
    pub step: u64,
    /// Messages for the user about newer checkpoints that are damaged, one line each.
    pub notices: Vec<String>,
}

impl Checkpoints {
    /// The checkpoint with the highest step whose files are all intact; None if there are no checkpoints.
    ///
    /// # Errors
    /// [`CheckpointError::AllDamaged`] if there are checkpoints but none is intact, and [`CheckpointError::Version`] if one has
    /// a format of a newer version: in both cases, starting again from step 0 would lose the run.
    pub fn latest(&self) -> Result<Option<Found>, CheckpointError> {
        match fs::metadata(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::io(&self.dir, "read the folder")(source)),
            Ok(_) => {}
        }
        fs::read_dir(&self.dir).map_err(CheckpointError::io(&self.dir, "read the folder"))?;
        let mut candidates = Vec::new();
        // Messages, each with the step in the folder's name.
        let mut notices: Vec<(Option<u64>, String)> = Vec::new();
        for (path, name) in entries(&self.dir) {
            let predecessor = name.starts_with(".step-") && name.contains(".old-");
            if !(name.starts_with("step-") || predecessor) {
                continue;
            }
            match Manifest::read(&path) {
                Ok(manifest) => candidates.push((manifest.step, !predecessor, path, manifest)),
                Err(error @ CheckpointError::Version { .. }) => return Err(error),
                Err(_) if predecessor => {}
                Err(error) => {
                    notices.push((claimed_step(&path), format!("skipped: {error}")));
                }
            }
        }
        candidates.sort_by_key(|c| std::cmp::Reverse((c.0, c.1)));
        let mut candidates = candidates.into_iter();
        while let Some((step, _, path, manifest)) = candidates.next() {
            let claimed = claimed_step(&path);
            match verify(&path, &manifest) {
                Ok(()) => {
                    // Folders of later steps by their names, whose manifests are of earlier ones.
                    for (older, _, path, _) in candidates {
                        let claimed = claimed_step(&path).filter(|&claimed| claimed > step);
                        notices.extend(
                            claimed.map(|claimed| (Some(claimed), older_manifest(&path, older, claimed))),
                        );
                    }
                    notices.retain(|(claimed, _)| claimed.is_none_or(|claimed| claimed >= step));
                    let notices = notices.into_iter().map(|(_, notice)| notice).collect();
                    return Ok(Some(Found { path, step, notices }));
                }
                Err(error) => notices.push(match claimed.filter(|&claimed| claimed > step) {
                    Some(claimed) => {
                        (Some(claimed), format!("{} ({error})", older_manifest(&path, step, claimed)))
                    }
                    None => (Some(step), format!("skipped: {error}")),
                }),
            }
        }
        if notices.is_empty() {
            return Ok(None);
        }
        let notices = notices.into_iter().map(|(_, notice)| notice).collect();
        Err(CheckpointError::AllDamaged { path: self.dir.clone(), notices })
    }
}

/// The step in the name of a checkpoint's folder.
fn claimed_step(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

/// Why a folder of step `claimed` is passed over whose manifest is of an earlier step.
fn older_manifest(path: &Path, step: u64, claimed: u64) -> String {
    format!(
        "skipped: {}: its manifest.json is of step {step}, older than the files of step {claimed} beside it, as after a copy that was cut \
         short or a backup that was put back in part",
        path.display()
    )
}

/// Reads the checkpoint in the folder `path`. Size and checksum of every file are verified before its contents are used.
///
/// # Errors
/// Any file that is not byte for byte as it was written; the error names it.
pub fn load(path: &Path) -> Result<LoadedCheckpoint, CheckpointError> {
    let manifest = Manifest::read(path)?;
    let mut files = BTreeMap::new();
    for entry in &manifest.files {
        files.insert(entry.name.clone(), read_file(path, entry)?);
    }
    let content = |name: &str, reason: String| CheckpointError::Content { path: path.join(name), reason };
    let mut take = |name: &str| {
        files.remove(name).ok_or_else(|| content(name, "the manifest does not list this file".to_owned()))
    };
    let mut state: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&take(STATE)?).map_err(|e| content(STATE, e.to_string()))?;
    state.remove("config_sha256"); // written by earlier versions, not used
    let state: TrainState =
        serde_json::from_value(state.into()).map_err(|e| content(STATE, e.to_string()))?;
    if state.step != manifest.step {
        return Err(content(
            STATE,
            format!("it is of step {}, its manifest of step {}", state.step, manifest.step),
        ));
    }
    let model = tensors::read(&path.join(MODEL), &take(MODEL)?)?
        .into_iter()
        .map(|t| (t.name, (t.shape, t.data)))
        .collect();
    let optim = tensors::read(&path.join(OPTIMIZER), &take(OPTIMIZER)?)?;
    Ok(LoadedCheckpoint { path: path.to_owned(), state, model, optim })
}

/// Verifies every file against the manifest, in bounded memory.
pub(super) fn verify(folder: &Path, manifest: &Manifest) -> Result<(), CheckpointError> {
    for entry in &manifest.files {
        let path = folder.join(&entry.name);
        let mut file = open(&path, entry)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hash.update(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(CheckpointError::Unreadable { path, source }),
            }
        }
        compare(&path, entry, &hash.finalize())?;
    }
    Ok(())
}

/// The verified bytes of a file. Its size is checked before memory is allocated.
fn read_file(folder: &Path, entry: &FileEntry) -> Result<Vec<u8>, CheckpointError> {
    let path = folder.join(&entry.name);
    let mut bytes = Vec::new();
    open(&path, entry)?
        .take(entry.bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| CheckpointError::Unreadable { path: path.clone(), source })?;
    compare(&path, entry, &Sha256::digest(&bytes))?;
    Ok(bytes)
}

fn open(path: &Path, entry: &FileEntry) -> Result<File, CheckpointError> {
    let unreadable = |source| CheckpointError::Unreadable { path: path.to_owned(), source };
    let file = fn_core::files::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    if found != entry.bytes {
        return Err(CheckpointError::Size { path: path.to_owned(), found, expected: entry.bytes });
    }
    Ok(file)
}

fn compare(path: &Path, entry: &FileEntry, hash: &[u8]) -> Result<(), CheckpointError> {
    let found = hex(hash);
    if found != entry.sha256 {
        let expected = entry.sha256.clone();
        return Err(CheckpointError::Damaged { path: path.to_owned(), found, expected });
    }
    Ok(())
}
