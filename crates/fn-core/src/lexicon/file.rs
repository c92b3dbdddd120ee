//! A lexicon on disk: one safetensors file with the tensors `offsets` and `members` (u32) and one metadata entry. Where a grade is
//! below 1 there is a third tensor, `grades` (f32), as long as `members`; without it every entry has grade 1.
//!
//! The entry is a JSON object with the [`LexiconInfo`] and a SHA-256 over the information and the rows, so that a changed
//! byte anywhere is noticed. Nothing is allocated from a number in the file before it is compared with the file's size.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Lexicon, LexiconError, LexiconInfo, check_grade};
use crate::files::{hex, write_atomic};

/// The largest vocabulary of a lexicon: 64 times that of today's largest models.
pub const MAX_VOCABULARY: usize = 1 << 24;
/// The largest file: a whole vocabulary of 2^18 words with a thousand members each.
const MAX_FILE: u64 = 1 << 30;
/// Name of the metadata entry.
const ENTRY: &str = "fn-lexicon";
/// Version of the layout.
const VERSION: u32 = 1;

/// Content of the metadata entry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    info: LexiconInfo,
    sha256: String,
}

impl Lexicon {
    /// Checksum over everything that a file holds.
    fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for text in [&self.info.kind, &self.info.vocabulary_sha256, &self.info.note] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(self.fingerprint().as_bytes());
        hex(&hash.finalize())
    }

    fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, LexiconError> {
        let format = |what: String| LexiconError::Format { path: path.to_owned(), what };
        let parts = [("members", &self.members), ("offsets", &self.offsets)];
        let bytes = |values: &[u32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let mut parts = parts.map(|(name, values)| (name, Dtype::U32, values.len(), bytes(values))).to_vec();
        if self.is_graded() {
            let bytes = self.grades.iter().flat_map(|v| v.to_le_bytes()).collect();
            parts.push(("grades", Dtype::F32, self.grades.len(), bytes));
        }
        let mut views = Vec::new();
        for (name, dtype, length, bytes) in &parts {
            let view =
                TensorView::new(*dtype, vec![*length], bytes).map_err(|e| format(format!("{name}: {e}")))?;
            views.push((*name, view));
        }
        let header = Header { version: VERSION, info: self.info.clone(), sha256: self.checksum() };
        let header = serde_json::to_string(&header).map_err(|e| format(e.to_string()))?;
        // One entry only: several would be written in random order, and equal lexicons shall be equal files.
        let metadata = HashMap::from([(ENTRY.to_owned(), header)]);
        safetensors::tensor::serialize(views, Some(metadata)).map_err(|e| format(e.to_string()))
    }

    /// Writes the lexicon with [`write_atomic`]. Equal lexicons give equal files.
    pub fn save(&self, path: &Path) -> Result<(), LexiconError> {
        let bytes = self.to_bytes(path)?;
        write_atomic(path, &bytes).map_err(|source| LexiconError::Io {
            path: path.to_owned(),
            action: "write",
            source,
        })
    }

    /// Reads a lexicon and checks all of it: checksum, offsets, ids, order.
    pub fn load(path: &Path) -> Result<Self, LexiconError> {
        let io = |source| LexiconError::Io { path: path.to_owned(), action: "read", source };
        let file = crate::files::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > MAX_FILE {
            return Err(LexiconError::FileTooLarge { path: path.to_owned(), found: size, limit: MAX_FILE });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(&bytes, path)
    }

    fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, LexiconError> {
        let bad = |what: String| LexiconError::Format { path: path.to_owned(), what };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| bad(e.to_string()))?;
        let entry = metadata.metadata().as_ref().and_then(|m| m.get(ENTRY));
        let entry = entry.ok_or_else(|| bad(format!("the metadata lacks `{ENTRY}`")))?;
        let header: Header = serde_json::from_str(entry).map_err(|e| bad(format!("`{ENTRY}`: {e}")))?;
        if header.version != VERSION {
            return Err(bad(format!("layout version {} (this program reads {VERSION})", header.version)));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
        let graded = tensors.names().iter().any(|name| **name == *"grades");
        if tensors.len() != 2 + usize::from(graded) {
            return Err(bad(format!(
                "{} tensors instead of offsets, members and perhaps grades",
                tensors.len()
            )));
        }
        let read = |name: &str, dtype: Dtype| -> Result<Vec<[u8; 4]>, LexiconError> {
            let view = tensors.tensor(name).map_err(|e| bad(e.to_string()))?;
            if view.dtype() != dtype || view.shape().len() != 1 {
                return Err(bad(format!(
                    "`{name}` is {:?} {:?}, not a list of {dtype:?}",
                    view.dtype(),
                    view.shape()
                )));
            }
            Ok(view.data().chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3]]).collect())
        };
        let ids = |name| -> Result<Vec<u32>, LexiconError> {
            Ok(read(name, Dtype::U32)?.into_iter().map(u32::from_le_bytes).collect())
        };
        let grades = if graded { read("grades", Dtype::F32)? } else { Vec::new() };
        let lexicon = Self {
            offsets: ids("offsets")?,
            members: ids("members")?,
            grades: grades.into_iter().map(f32::from_le_bytes).collect(),
            info: header.info,
        };
        if graded && lexicon.grades.len() != lexicon.members.len() {
            let (grades, members) = (lexicon.grades.len(), lexicon.members.len());
            return Err(bad(format!("{grades} grades for {members} members")));
        }
        lexicon.check_layout(path)?;
        let found = lexicon.checksum();
        if found != header.sha256 {
            return Err(LexiconError::Damaged { path: path.to_owned(), found, expected: header.sha256 });
        }
        Ok(lexicon)
    }

    /// The invariants of the type, for bytes from outside.
    fn check_layout(&self, path: &Path) -> Result<(), LexiconError> {
        let bad = |what: String| Err(LexiconError::Format { path: path.to_owned(), what });
        let (Some(&first), Some(&last)) = (self.offsets.first(), self.offsets.last()) else {
            return bad("`offsets` is empty".into());
        };
        if self.offsets.len() - 1 > MAX_VOCABULARY {
            let found = self.offsets.len() - 1;
            return Err(LexiconError::VocabularyTooLarge { found, limit: MAX_VOCABULARY });
        }
        if first != 0 || last as usize != self.members.len() {
            return bad(format!(
                "`offsets` runs from {first} to {last}, not from 0 to {}",
                self.members.len()
            ));
        }
        if let Some(w) = self.offsets.windows(2).position(|o| o[0] > o[1]) {
            return bad(format!("`offsets` falls at word {w}"));
        }
        for (word, row) in self.rows() {
            if let Some(&id) = row.iter().find(|&&id| id as usize >= self.vocab_size()) {
                return Err(LexiconError::IdOutOfRange { word, id, vocab_size: self.vocab_size() });
            }
            if row.windows(2).any(|pair| pair[0] >= pair[1]) {
                return bad(format!("the row of word {word} does not ascend"));
            }
            if row.contains(&word) {
                return bad(format!("the row of word {word} holds the word itself"));
            }
            self.graded_row(word).try_for_each(|(id, grade)| check_grade(word, id, grade))?;
        }
        if self.is_graded() && self.grades.iter().all(|&grade| grade == 1.0) {
            return bad("`grades` is there although all of them are 1".into());
        }
        Ok(())
    }
}
