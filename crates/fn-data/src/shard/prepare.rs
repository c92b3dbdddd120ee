//! Tokenises and packs text into shards, on all cores and in bounded memory.
//!
//! One thread reads documents into chunks; the documents of a chunk are tokenised in parallel; rows are packed and written in
//! order. So the rows do not depend on the number of threads, and at most a few chunks are in memory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use fn_core::files::{hex, sync_dir};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::format::{Manifest, VERSION, hash_file};
use super::parts::PartReader;
use super::writer::Writer;
use crate::error::DataError;
use crate::pack::Packing;
use crate::source::{Document, OnBadLine, SourceOptions, Sources, StopFlag, kind};
use crate::tokenise::TextTokenizer;

/// Text of a chunk in bytes: long enough to keep all cores busy, short enough to bound memory.
const CHUNK_BYTES: usize = 4 << 20;
/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 2;
/// Time between two checks whether another process still works on the same data set.
const WAIT: Duration = Duration::from_millis(100);

/// What is prepared, and how.
#[derive(Debug, Clone)]
pub struct PrepareConfig {
    /// Files, folders, or `-`.
    pub sources: Vec<PathBuf>,
    /// How text is read from them.
    pub options: SourceOptions,
    /// How documents are packed into rows.
    pub packing: Packing,
    /// Maximum length of a row, in ids.
    pub length: usize,
    /// Seed of the packing.
    pub seed: u64,
    /// Folder that holds prepared data sets.
    pub cache: PathBuf,
}

/// A prepared data set.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedData {
    /// Folder of the data set.
    pub dir: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether it was found in the cache.
    pub reused: bool,
    /// Number of documents that were split because they are longer than the limit.
    pub split_documents: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Progress of a preparation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Bytes of the sources read so far; of compressed files, compressed bytes.
    pub bytes_read: u64,
    /// Bytes of all sources; None if standard input is among them.
    pub total_bytes: Option<u64>,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Number of documents.
    pub documents: u64,
    /// Number of rows.
    pub rows: u64,
    /// Seconds since the start.
    pub seconds: f64,
}

impl Progress {
    /// Megabytes (10^6 bytes) of text per second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.text_bytes as f64 / 1e6 / self.seconds.max(1e-9)
    }
}

/// Prepares the data set of `config`, or finds it in the cache.
///
/// Writes to `<cache>/.<key>.tmp/` and renames this folder after everything is synced, so the data set is complete or absent.
/// The folder is locked meanwhile: if several processes need the same data set, one prepares it and the others wait. Files that
/// a killed process left behind are removed.
///
/// # Errors
/// Sources that cannot be read, text that gives no row, a full disk; [`DataError::Stopped`] if `stop` is set.
pub fn prepare(
    config: &PrepareConfig,
    tokenizer: &TextTokenizer,
    progress: &mut dyn FnMut(&Progress),
    stop: &StopFlag,
) -> Result<PreparedData, DataError> {
    match begin(config, tokenizer, stop)? {
        Begun::Ready(prepared) => Ok(prepared),
        Begun::Claimed(claimed) => claimed.complete(config, |scratch, key, sources, clock| {
            write(config, tokenizer, sources, key, scratch, progress, stop, clock)
        }),
    }
}

/// A data set that is there, or that this process is to make.
pub enum Begun {
    /// It was prepared before.
    Ready(PreparedData),
    /// It does not exist; other processes that need it wait for this one.
    Claimed(Claimed),
}

/// A data set that this process is to make.
pub struct Claimed {
    key: String,
    dir: PathBuf,
    scratch: PathBuf,
    sources: Sources,
    clock: Instant,
    _lock: File,
}

/// Looks the data set of `config` up in the cache; if it is not there, locks its folder for this process.
///
/// # Errors
/// As [`prepare`].
pub fn begin(config: &PrepareConfig, tokenizer: &TextTokenizer, stop: &StopFlag) -> Result<Begun, DataError> {
    let clock = Instant::now();
    check_packing(config.packing, tokenizer)?;
    let sources = Sources::open(&config.sources, &config.options)?;
    let key = key(config, tokenizer, sources.files(), stop)?;
    let dir = config.cache.join(&key);
    let scratch = config.cache.join(format!(".{key}.tmp"));
    loop {
        if let Some(manifest) = present(&dir)? {
            let seconds = clock.elapsed().as_secs_f64();
            return Ok(Begun::Ready(PreparedData {
                dir,
                manifest,
                reused: true,
                split_documents: 0,
                seconds,
            }));
        }
        // While this process waited, another one may have finished the data set or failed.
        if let Some(_lock) = claim(&scratch, stop)? {
            return Ok(Begun::Claimed(Claimed { key, dir, scratch, sources, clock, _lock }));
        }
    }
}

impl Claimed {
    /// Folder in which the data set is made, and the files of its parts are.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Makes the data set of the files that [`tokenise_part`](super::tokenise_part) has written to the folder, one for each of the
    /// `parts` input files: the same bytes as [`prepare`].
    ///
    /// # Errors
    /// A part that is missing or damaged, text that gives no row, a full disk; [`DataError::Stopped`] if `stop` is set.
    pub fn assemble(
        self,
        config: &PrepareConfig,
        tokenizer: &TextTokenizer,
        parts: usize,
        progress: &mut dyn FnMut(&Progress),
        stop: &StopFlag,
    ) -> Result<PreparedData, DataError> {
        self.complete(config, |scratch, key, sources, clock| {
            let mut writer = Writer::new(config, tokenizer, scratch);
            let (mut split_documents, mut told) = (0, 0);
            for part in 0..parts {
                let mut documents = PartReader::open(scratch, part)?;
                while let Some(document) = documents.next()? {
                    check(stop)?;
                    writer.literal_special_tokens += document.literal_special_tokens;
                    writer.add(document.text_bytes, &document.sentences)?;
                    if writer.text_bytes - told >= CHUNK_BYTES as u64 {
                        told = writer.text_bytes;
                        progress(&writer.progress(0, None, clock));
                    }
                }
                split_documents += documents.split_documents();
                documents.remove()?;
            }
            if writer.documents == 0 {
                return Err(DataError::Empty { path: sources.files().first().cloned().unwrap_or_default() });
            }
            Ok((writer.finish(config, tokenizer, key)?, split_documents))
        })
    }

    /// Fills the folder and gives it its name, or removes it.
    fn complete(
        self,
        config: &PrepareConfig,
        fill: impl FnOnce(&Path, &str, Sources, &Instant) -> Result<(Manifest, u64), DataError>,
    ) -> Result<PreparedData, DataError> {
        let Self { key, dir, scratch, sources, clock, _lock } = self;
        let finished = fill(&scratch, &key, sources, &clock).and_then(|written| {
            sync_dir(&scratch).map_err(DataError::io(&scratch, "sync"))?;
            std::fs::rename(&scratch, &dir).map_err(DataError::io(&dir, "rename to"))?;
            sync_dir(&config.cache).map_err(DataError::io(&config.cache, "sync"))?;
            Ok(written)
        });
        let (manifest, split_documents) = finished.inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&scratch);
        })?;
        let seconds = clock.elapsed().as_secs_f64();
        Ok(PreparedData { dir, manifest, reused: false, split_documents, seconds })
    }

    /// Removes what was made so far.
    pub fn give_up(self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// Refuses rows of several documents where `[CLS]` and `[SEP]` are the same piece: it would not be seen where a document begins.
fn check_packing(packing: Packing, tokenizer: &TextTokenizer) -> Result<(), DataError> {
    let special = tokenizer.special();
    match packing.separates_documents() && special.cls == special.sep {
        true => Err(DataError::NoDocumentStart { id: special.cls }),
        false => Ok(()),
    }
}

/// The manifest of an existing data set.
fn present(dir: &Path) -> Result<Option<Manifest>, DataError> {
    match Manifest::read(dir) {
        Err(DataError::Missing { .. }) if !dir.exists() => Ok(None),
        Err(DataError::Missing { path }) => {
            Err(DataError::Damaged { path, message: "it is missing".to_owned() })
        }
        manifest => manifest.map(Some),
    }
}

/// Waits for the lock of `scratch` and removes what a killed process left in it; None if the folder was renamed meanwhile.
fn claim(scratch: &Path, stop: &StopFlag) -> Result<Option<File>, DataError> {
    std::fs::create_dir_all(scratch).map_err(DataError::io(scratch, "create"))?;
    let lock = match File::open(scratch) {
        Ok(lock) => lock,
        // Another process renamed it after `create_dir_all`.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(DataError::io(scratch, "open")(e)),
    };
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                check(stop)?;
                std::thread::sleep(WAIT);
            }
            // On a file system without locks, concurrent processes are not detected.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => break,
            Err(TryLockError::Error(e)) => return Err(DataError::io(scratch, "lock")(e)),
        }
    }
    if !is_at(&lock, scratch) {
        return Ok(None);
    }
    for entry in std::fs::read_dir(scratch).map_err(DataError::io(scratch, "read"))? {
        let path = entry.map_err(DataError::io(scratch, "read"))?.path();
        std::fs::remove_file(&path).map_err(DataError::io(&path, "remove"))?;
    }
    Ok(Some(lock))
}

/// Whether the open folder is still at this path.
#[cfg(unix)]
fn is_at(folder: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |m: std::fs::Metadata| (m.dev(), m.ino());
    match (folder.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => id(open) == id(named),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Hash of everything that the rows depend on.
fn key(
    config: &PrepareConfig,
    tokenizer: &TextTokenizer,
    files: &[PathBuf],
    stop: &StopFlag,
) -> Result<String, DataError> {
    let mut hasher = Sha256::new();
    let options = &config.options;
    let shape =
        (VERSION, config.packing, config.length, config.seed, &options.json_field, &options.parquet_column);
    // The same vocabulary can be used with and without lower-casing, so the normalisation is part of the hash.
    hasher.update(format!("{shape:?}{}{}", tokenizer.sha256(), tokenizer.rules_key()));
    if options.on_bad_line == OnBadLine::Skip {
        hasher.update("skip bad lines");
    }
    for file in files {
        check(stop)?;
        if file.as_os_str() == "-" {
            // Standard input cannot be hashed beforehand: such a data set gets a unique key and is never reused.
            hasher.update(format!("{:?}{}", std::time::SystemTime::now(), std::process::id()));
            continue;
        }
        hasher.update(format!("{:?}", kind(file)));
        let bytes = hash_file(file, &mut hasher)?;
        hasher.update(bytes.to_le_bytes());
    }
    Ok(hex(&hasher.finalize())[..24].to_owned())
}

/// The documents of a chunk, and the progress of reading when it was complete.
pub(super) struct Chunk {
    pub(super) documents: Vec<Document>,
    bytes_read: u64,
    total_bytes: Option<u64>,
    pub(super) split_documents: u64,
}

impl Chunk {
    /// The sentences of each document as ids, and how many special tokens are written literally in it; on all cores.
    pub(super) fn encode(&self, tokenizer: &TextTokenizer) -> (Vec<Vec<Vec<u32>>>, Vec<u64>) {
        // Parallel over lines as well as documents: text without blank lines is a single long document.
        let encode = |d: &Document| d.text.par_lines().map(|l| tokenizer.encode(l)).collect();
        let literal = |d: &Document| tokenizer.literal_special_tokens(&d.text);
        let sentences = self.documents.par_iter().map(encode).collect();
        (sentences, self.documents.par_iter().map(literal).collect())
    }
}

fn write(
    config: &PrepareConfig,
    tokenizer: &TextTokenizer,
    sources: Sources,
    key: &str,
    dir: &Path,
    progress: &mut dyn FnMut(&Progress),
    stop: &StopFlag,
    clock: &Instant,
) -> Result<(Manifest, u64), DataError> {
    let mut writer = Writer::new(config, tokenizer, dir);
    let mut split_documents = 0;
    each_chunk(sources, stop, &mut |chunk| {
        let (sentences, literal) = chunk.encode(tokenizer);
        writer.literal_special_tokens += literal.iter().sum::<u64>();
        split_documents = chunk.split_documents;
        for (document, sentences) in chunk.documents.iter().zip(&sentences) {
            writer.add(document.text.len() as u64, sentences)?;
        }
        progress(&writer.progress(chunk.bytes_read, chunk.total_bytes, clock));
        Ok(())
    })?;
    let manifest = writer.finish(config, tokenizer, key)?;
    Ok((manifest, split_documents))
}

/// Reads the documents in a thread of their own, and hands their chunks to `with` in order.
pub(super) fn each_chunk(
    sources: Sources,
    stop: &StopFlag,
    with: &mut dyn FnMut(&Chunk) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (sender, chunks) = bounded(CHUNKS_AHEAD);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(sources, &sender));
        let result = chunks.iter().try_for_each(|chunk| {
            check(stop)?;
            with(&chunk)
        });
        drop(chunks); // makes the reader thread stop at its next send
        match reader.join() {
            Ok(read) => result.and(read),
            Err(_) => result.and(Err(DataError::LoaderDied)),
        }
    })
}

/// Reads documents into chunks until the sources end or the receiver is dropped.
fn read(mut sources: Sources, chunks: &Sender<Chunk>) -> Result<(), DataError> {
    loop {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        while bytes < CHUNK_BYTES {
            match sources.next() {
                None => break,
                Some(document) => {
                    let document = document?;
                    bytes += document.text.len();
                    documents.push(document);
                }
            }
        }
        if documents.is_empty() {
            return Ok(());
        }
        let chunk = Chunk {
            documents,
            bytes_read: sources.bytes_read(),
            total_bytes: sources.total_bytes(),
            split_documents: sources.split_documents(),
        };
        if chunks.send(chunk).is_err() {
            return Ok(());
        }
    }
}

fn check(stop: &StopFlag) -> Result<(), DataError> {
    if stop.load(Ordering::Relaxed) { Err(DataError::Stopped) } else { Ok(()) }
}
