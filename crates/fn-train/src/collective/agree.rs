//! Small messages of all ranks to all: what they have, and whether it is the same.

use std::io::Read;
use std::path::{Path, PathBuf};

use fn_core::files::hex;
use sha2::{Digest, Sha256};

use super::{Collective, CollectiveError, Meeting};

/// What every rank has, in their order; `mine` is equally long on all of them.
///
/// # Errors
/// Ranks that did not come.
pub fn gather_equal(
    ranks: &dyn Collective,
    meeting: Meeting,
    mine: &[u8],
) -> Result<Vec<Vec<u8>>, CollectiveError> {
    let mut all = vec![vec![0; mine.len()]; ranks.world()];
    let mut receive: Vec<&mut [u8]> = all.iter_mut().map(Vec::as_mut_slice).collect();
    ranks.exchange(meeting, &vec![mine; ranks.world()], &mut receive)?;
    Ok(all)
}

/// Waits until all ranks are here.
///
/// # Errors
/// Ranks that did not come.
pub fn meet(ranks: &dyn Collective, meeting: Meeting) -> Result<(), CollectiveError> {
    // A message of no bytes is not sent, so that nobody would wait for it.
    gather_equal(ranks, meeting, &[0]).map(|_| ())
}

/// What every rank has, in their order.
///
/// # Errors
/// Ranks that did not come.
pub fn gather(
    ranks: &dyn Collective,
    meeting: Meeting,
    mine: &[u8],
) -> Result<Vec<Vec<u8>>, CollectiveError> {
    let lengths = gather_equal(ranks, meeting, &(mine.len() as u64).to_le_bytes())?;
    let length = |bytes: &Vec<u8>| bytes.as_slice().try_into().map_or(0, u64::from_le_bytes) as usize;
    let mut all: Vec<Vec<u8>> = lengths.iter().map(|bytes| vec![0; length(bytes)]).collect();
    let mut receive: Vec<&mut [u8]> = all.iter_mut().map(Vec::as_mut_slice).collect();
    ranks.exchange(meeting, &vec![mine; ranks.world()], &mut receive)?;
    Ok(all)
}

/// What rank 0 says, on all ranks; what the others hand in is not read.
///
/// # Errors
/// Ranks that did not come.
pub fn tell(ranks: &dyn Collective, meeting: Meeting, mine: &str) -> Result<String, CollectiveError> {
    let mine = if ranks.is_first() { mine.as_bytes() } else { &[] };
    let first = gather(ranks, meeting, mine)?.into_iter().next().unwrap_or_default();
    Ok(String::from_utf8_lossy(&first).into_owned())
}

/// The path that rank 0 has, on all ranks.
///
/// # Errors
/// Ranks that did not come.
pub fn tell_path(
    ranks: &dyn Collective,
    meeting: Meeting,
    mine: Option<PathBuf>,
) -> Result<Option<PathBuf>, CollectiveError> {
    let text = mine.as_deref().map(Path::to_string_lossy).unwrap_or_default();
    let told = tell(ranks, meeting, &text)?;
    // Rank 0 keeps its own: what was told is text, which a path need not be.
    Ok(if ranks.is_first() { mine } else { Some(told).filter(|path| !path.is_empty()).map(PathBuf::from) })
}

/// Something that all ranks must have alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// What it is, as it completes "differ in ...".
    pub what: String,
    /// What this rank has: a checksum, or a number.
    pub value: String,
}

impl Agreement {
    /// Of `what` this rank has `value`.
    pub fn new(what: &str, value: impl Into<String>) -> Self {
        Self { what: what.to_owned(), value: value.into() }
    }

    /// Of `what`, too long to be printed, this rank has `bytes`: their SHA-256 is compared.
    pub fn of_bytes(what: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(what, hex(&Sha256::digest(bytes)))
    }

    /// The names and contents of the files in `folder`, without those in folders of it, by SHA-256. Files that cannot be read count as absent:
    /// whoever needs them says so.
    pub fn of_files(what: &str, folder: &Path) -> Self {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        let mut hash = Sha256::new();
        for file in &files {
            hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            let read = std::fs::File::open(file).and_then(|from| hash_all(from, &mut hash));
            hash.update(read.unwrap_or(u64::MAX).to_le_bytes());
        }
        Self::new(what, format!("{} files, {}", files.len(), hex(&hash.finalize())))
    }
}

/// Hashes what is read, in pieces: weights and texts may be larger than the memory that is left. Returns the number of bytes.
fn hash_all(mut from: impl Read, hash: &mut Sha256) -> std::io::Result<u64> {
    let (mut piece, mut all) = (vec![0; 1 << 20], 0);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(all);
        }
        hash.update(&piece[..read]);
        all += read as u64;
    }
}

/// Compares what the ranks have with what rank 0 has; all of them call it with the same things in the same order.
///
/// # Errors
/// [`CollectiveError::Differ`] on every rank, with the first thing in which any rank differs; ranks that did not come.
pub fn agree(ranks: &dyn Collective, meeting: Meeting, mine: &[Agreement]) -> Result<(), CollectiveError> {
    let text = mine.iter().map(|one| one.value.replace('\n', " ")).collect::<Vec<_>>().join("\n");
    let all = gather(ranks, meeting, text.as_bytes())?;
    let all: Vec<Vec<String>> = all
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).split('\n').map(str::to_owned).collect())
        .collect();
    let of = |rank: usize, index: usize| -> &str {
        all.get(rank).and_then(|values| values.get(index)).map_or("", String::as_str)
    };
    for (index, one) in mine.iter().enumerate() {
        let expected = of(0, index);
        let others: Vec<usize> = (1..all.len()).filter(|&rank| of(rank, index) != expected).collect();
        if let Some(&first) = others.first() {
            return Err(CollectiveError::Differ {
                what: one.what.clone(),
                found: of(first, index).to_owned(),
                expected: expected.to_owned(),
                others,
            });
        }
    }
    Ok(())
}

/// Compares a checksum of the weights of all ranks after `step`; `equal` is the last step after which they were equal.
///
/// # Errors
/// [`CollectiveError::Diverged`] on every rank; ranks that did not come.
pub fn same_weights(
    ranks: &dyn Collective,
    meeting: Meeting,
    step: u64,
    equal: u64,
    checksum: &str,
) -> Result<(), CollectiveError> {
    let same = [Agreement::new("the step", step.to_string()), Agreement::new("the weights", checksum)];
    match agree(ranks, meeting, &same) {
        Err(CollectiveError::Differ { what, others, .. }) if what == "the weights" => {
            Err(CollectiveError::Diverged { others, step, equal })
        }
        other => other,
    }
}
