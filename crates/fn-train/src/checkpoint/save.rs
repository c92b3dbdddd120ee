//! Writes checkpoints, and removes those that are no longer needed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fn_core::files::{self, hex};
use sha2::{Digest, Sha256};

use super::tensors::Layout;
use super::{
    Best, CheckpointError, Checkpoints, FileEntry, MANIFEST, MODEL, Manifest, OPTIMIZER, STATE, TrainState,
    folder_name, load,
};
use crate::{disk, faults};
use fn_models::params::NamedTensor;

/// Size of the write buffer in bytes.
const BUFFER: usize = 1 << 20;
/// Disk space that a file takes beyond its size: the rest of its last block, and its directory entry.
const PER_FILE: u64 = 4096;
/// Upper bound for the sizes of manifest and state.
const SMALL_FILES: u64 = 16 << 10;

impl Checkpoints {
    /// Writes the checkpoint of `state.step` and returns its folder. See the [module](super) for what happens on disk.
    ///
    /// # Errors
    /// [`CheckpointError::NoSpace`] or another failure to write or to read back; earlier checkpoints stay intact.
    pub fn save(
        &self,
        state: &TrainState,
        model: &[NamedTensor],
        optimizer: &[NamedTensor],
    ) -> Result<PathBuf, CheckpointError> {
        faults::begin_save();
        self.make_folder()?;
        self.remove_leftovers();

        let files = Files::new(state, model, optimizer)?;
        let needed = Self::required_bytes(model)?.max(files.bytes());
        check_room(&self.dir, needed)?;

        let name = folder_name(state.step);
        let temporary = self.dir.join(format!(".{name}.tmp-{}", std::process::id()));
        let written = files.write(&temporary).and_then(|manifest| {
            self.put_in_place(&temporary, &name, &manifest)?;
            Ok(self.dir.join(&name))
        });
        let target = written.map_err(|failure| {
            let _ = fs::remove_dir_all(&temporary);
            match failure {
                Failure::Disk { source, .. } if disk::is_out_of_space(&source) => {
                    let free = disk::free_bytes(&self.dir).unwrap_or(0);
                    CheckpointError::NoSpace { path: self.dir.clone(), needed, free }
                }
                Failure::Disk { path, action, source } => CheckpointError::Io { path, action, source },
                Failure::ReadBack(error) => *error,
            }
        })?;
        self.rotate(state.step, state.best.as_ref());
        Ok(target)
    }

    /// Makes the folder of the checkpoints, never the run directory above it: if that was removed meanwhile, a new one would hold
    /// checkpoints that no command resumes.
    fn make_folder(&self) -> Result<(), CheckpointError> {
        match fs::create_dir(&self.dir) {
            Ok(()) => Ok(()),
            Err(_) if self.dir.is_dir() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(CheckpointError::Gone { path: files::parent(&self.dir).to_owned() })
            }
            Err(error) => Err(CheckpointError::io(&self.dir, "create the folder")(error)),
        }
    }

    /// Disk space that a checkpoint with optimiser state takes, in bytes.
    ///
    /// # Errors
    /// Tensors that cannot be saved.
    pub fn required_bytes(model: &[NamedTensor]) -> Result<u64, CheckpointError> {
        let weights = Layout::of(model)?.bytes;
        // There are two moments per parameter, whose names are longer by the two characters of `m.` and `v.`.
        let moments = weights * 2 + model.len() as u64 * 8;
        Ok(weights + moments + SMALL_FILES + 2 * PER_FILE)
    }

    /// Renames the finished folder, reads it back, and only then removes the previous checkpoint of the same step.
    fn put_in_place(&self, temporary: &Path, name: &str, manifest: &Manifest) -> Result<(), Failure> {
        let target = self.dir.join(name);
        let old = self.dir.join(format!(".{name}.old-{}", std::process::id()));
        let replaces = target.exists();
        if replaces {
            let _ = fs::remove_dir_all(&old);
            step(&target, "rename", || fs::rename(&target, &old))?;
        }
        let placed = step(&target, "rename", || fs::rename(temporary, &target))
            .and_then(|()| step(&self.dir, "sync", || files::sync_dir(&self.dir)))
            .and_then(|()| {
                let found = Manifest::read(&target).and_then(|m| load::verify(&target, &m).map(|()| m));
                match found {
                    Ok(found) if found == *manifest => Ok(()),
                    Ok(_) => Err(Failure::ReadBack(Box::new(CheckpointError::Manifest {
                        path: target.join(MANIFEST),
                        reason: "it differs from what was written".to_owned(),
                    }))),
                    Err(error) => Err(Failure::ReadBack(Box::new(error))),
                }
            });
        if placed.is_err() {
            // On any failure, the previous checkpoint gets its name back.
            if fs::rename(&target, temporary).is_ok() || !target.exists() {
                if replaces {
                    let _ = fs::rename(&old, &target);
                }
                let _ = files::sync_dir(&self.dir);
            }
        } else if replaces {
            remove(&old);
        }
        placed
    }

    /// Removes the temporary folders of killed saves. If a save was killed while it replaced a checkpoint, the previous one
    /// gets its name back. Called at the start of each save; no other process may save in this folder at the same time.
    pub fn remove_leftovers(&self) {
        for (path, name) in entries(&self.dir) {
            let Some(rest) = name.strip_prefix('.').filter(|r| r.starts_with("step-")) else {
                continue;
            };
            if rest.contains(".tmp-") {
                remove(&path);
            } else if let Some((step, _)) = rest.split_once(".old-") {
                let place = self.dir.join(step);
                let intact = |p: &Path| Manifest::read(p).and_then(|m| load::verify(p, &m)).is_ok();
                if intact(&place) {
                    remove(&path);
                } else if !place.exists() {
                    let _ = fs::rename(&path, &place);
                }
            }
        }
    }

    /// Removes all checkpoints but the newest `keep_last`, the best, and `current`. Folders without a readable manifest are not
    /// removed.
    fn rotate(&self, current: u64, best: Option<&Best>) {
        let found = self.list();
        let best = best.filter(|_| self.keep_best).and_then(|best| best_of(&found, best));
        let newest = found.len().saturating_sub(self.keep_last);
        for (step, path) in found.iter().take(newest) {
            if *step == current || best == Some(*step) {
                continue;
            }
            // Renamed to a hidden name first, so that a partly removed folder is not taken for a checkpoint.
            let hidden = self.dir.join(format!(".{}.tmp-{}", folder_name(*step), std::process::id()));
            match fs::rename(path, &hidden) {
                Ok(()) => remove(&hidden),
                Err(error) => tracing::warn!("{}: cannot remove: {error}", path.display()),
            }
        }
    }

    /// Checkpoints with a readable manifest, in the order of steps. Their files are not verified.
    pub fn list(&self) -> Vec<(u64, PathBuf)> {
        let mut found: Vec<(u64, PathBuf)> = entries(&self.dir)
            .into_iter()
            .filter(|(_, name)| name.starts_with("step-"))
            .filter_map(|(path, _)| Some((Manifest::read(&path).ok()?.step, path)))
            .collect();
        found.sort();
        found
    }

    /// The checkpoint of the best evaluation: the first one that was saved at or after its step.
    pub fn best(&self, best: &Best) -> Option<PathBuf> {
        let found = self.list();
        let step = best_of(&found, best)?;
        found.into_iter().find(|(s, _)| *s == step).map(|(_, path)| path)
    }
}

/// Checks that `needed` bytes are free on the disk of `dir`, which need not exist yet.
///
/// # Errors
/// [`CheckpointError::NoSpace`], or an error of the operating system.
pub fn check_room(dir: &Path, needed: u64) -> Result<(), CheckpointError> {
    let free = disk::free_bytes(dir).map_err(CheckpointError::io(dir, "ask for free space"))?;
    if free < needed {
        return Err(CheckpointError::NoSpace { path: dir.to_owned(), needed, free });
    }
    Ok(())
}

fn best_of(found: &[(u64, PathBuf)], best: &Best) -> Option<u64> {
    found.iter().map(|(step, _)| *step).find(|&step| step >= best.step)
}

/// Path and name of all entries of `dir`, sorted by name.
pub(super) fn entries(dir: &Path) -> Vec<(PathBuf, String)> {
    let Ok(listing) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut all: Vec<(PathBuf, String)> = listing
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
        .collect();
    all.sort();
    all
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!("{}: cannot remove: {error}", path.display());
    }
}

/// Why a save failed.
#[derive(Debug)]
enum Failure {
    Disk { path: PathBuf, action: &'static str, source: io::Error },
    ReadBack(Box<CheckpointError>),
}

/// Runs a file operation, with its fail point for tests.
fn step<T>(path: &Path, action: &'static str, run: impl FnOnce() -> io::Result<T>) -> Result<T, Failure> {
    faults::file_call().and_then(|_| run()).map_err(|source| Failure::Disk {
        path: path.to_owned(),
        action,
        source,
    })
}

/// Contents of a checkpoint, in the order of writing.
struct Files<'a> {
    step: u64,
    model: (Layout, &'a [NamedTensor]),
    optimizer: (Layout, &'a [NamedTensor]),
    state: Vec<u8>,
}

impl<'a> Files<'a> {
    fn new(
        state: &TrainState,
        model: &'a [NamedTensor],
        optimizer: &'a [NamedTensor],
    ) -> Result<Self, CheckpointError> {
        let unsaveable =
            |name: &str, reason: String| CheckpointError::Unsaveable { name: name.to_owned(), reason };
        let mut text = serde_json::to_vec_pretty(state).map_err(|e| unsaveable(STATE, e.to_string()))?;
        text.push(b'\n');
        // JSON has no NaN: a state that could not be read back is an error now.
        serde_json::from_slice::<TrainState>(&text).map_err(|e| unsaveable(STATE, e.to_string()))?;
        Ok(Self {
            step: state.step,
            model: (Layout::of(model)?, model),
            optimizer: (Layout::of(optimizer)?, optimizer),
            state: text,
        })
    }

    fn bytes(&self) -> u64 {
        self.model.0.bytes + self.optimizer.0.bytes + self.state.len() as u64 + 4 * PER_FILE
    }

    /// Writes and syncs all files into `folder`, the manifest last.
    fn write(&self, folder: &Path) -> Result<Manifest, Failure> {
        step(folder, "create the folder", || fs::create_dir(folder))?;
        let mut files = Vec::new();
        for (name, (layout, tensors)) in [(MODEL, &self.model), (OPTIMIZER, &self.optimizer)] {
            files.push(write_file(folder, name, |to| layout.write(tensors, to))?);
        }
        files.push(write_file(folder, STATE, |to| to.write_all(&self.state))?);
        let manifest = Manifest::new(self.step, files);
        write_file(folder, MANIFEST, |to| to.write_all(&manifest.to_bytes()))?;
        step(folder, "sync", || files::sync_dir(folder))?;
        Ok(manifest)
    }
}

/// Writes and syncs one file.
fn write_file(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut BufWriter<Sink>) -> io::Result<()>,
) -> Result<FileEntry, Failure> {
    let path = folder.join(name);
    let run = || {
        let file = File::create_new(&path)?;
        let mut to = BufWriter::with_capacity(BUFFER, Sink { file, hash: Sha256::new(), bytes: 0 });
        fill(&mut to)?;
        let Sink { file, hash, bytes } = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        faults::file_call()?;
        file.sync_all()?;
        Ok(FileEntry { name: name.to_owned(), bytes, sha256: hex(&hash.finalize()) })
    };
    run().map_err(|source| Failure::Disk { path: path.clone(), action: "write", source })
}

/// A file that computes the checksum of the bytes that are written to it.
struct Sink {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let buffer = buffer.get(..BUFFER).unwrap_or(buffer);
        let damage = faults::file_call()?;
        let written = if damage {
            let mut wrong = buffer.to_vec();
            if let Some(byte) = wrong.first_mut() {
                *byte ^= 1;
            }
            self.file.write_all(&wrong).map(|()| wrong.len())?
        } else {
            self.file.write(buffer)?
        };
        self.hash.update(buffer.get(..written).unwrap_or(buffer));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
