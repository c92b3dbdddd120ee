//! Look-up sets from word vectors: the nearest neighbours by cosine.
//!
//! Formats: GloVe and word2vec text (with or without a header line, also `.gz`), `.npy` (float16/32/64, C and Fortran
//! order) and `.safetensors`, the latter two with a separate file of words. Files are streamed; only the vectors of
//! words that are whole pieces of the vocabulary are kept, so memory is bounded by vocabulary x dimension.

mod error;
mod matrix;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use error::VectorError;

use super::build::is_word;
use fn_core::lexicon::{Lexicon, LexiconInfo};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Maximum dimension; public vectors have 50 to 4096 values.
const MAX_DIMENSION: usize = 1 << 16;
/// Number of queries that are processed together, so that their vectors stay in the cache while all candidates are read.
const BLOCK: usize = 32;

/// What goes into the look-up sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VectorOptions {
    /// At most this many neighbours of each word, 1 to 1000. Default 8.
    pub top_k: usize,
    /// Only neighbours with at least this cosine, -1 to 1. Default 0.6.
    pub threshold: f64,
    /// Whether `r` in `V(w)` puts `w` into `V(r)` (sets may then exceed `top_k`). Default false.
    pub symmetric: bool,
    /// Shorter words (in letters) take no part. Default 1: all.
    pub min_length: usize,
}

impl Default for VectorOptions {
    fn default() -> Self {
        VectorOptions { top_k: 8, threshold: 0.6, symmetric: false, min_length: 1 }
    }
}

impl VectorOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The field that is out of range.
    pub fn validate(&self) -> Result<(), VectorError> {
        let wrong = |field, found: String, expected| Err(VectorError::Option { field, found, expected });
        if !(1..=1000).contains(&self.top_k) {
            return wrong("top_k", self.top_k.to_string(), "1 to 1000");
        }
        if !(-1.0..=1.0).contains(&self.threshold) {
            return wrong("threshold", self.threshold.to_string(), "-1 to 1");
        }
        Ok(())
    }
}

/// Vectors of those words of a file that are pieces of a vocabulary, scaled to length 1.
///
/// Invariant: `values` holds `ids.len() * dimension` finite values; words with a zero vector are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    ids: Vec<u32>,
    dimension: usize,
    values: Vec<f32>,
    rows: u64,
    vocab_size: usize,
    source: PathBuf,
}

/// Collects the rows of a file that belong to pieces of the vocabulary.
struct Collector<'a> {
    ids: HashMap<&'a str, u32>,
    found: BTreeMap<u32, Vec<f32>>,
    rows: u64,
}

impl<'a> Collector<'a> {
    fn new(pieces: &'a [impl AsRef<str>]) -> Self {
        let words = pieces.iter().map(AsRef::as_ref).enumerate().filter(|(_, p)| is_word(p));
        Collector { ids: words.map(|(i, p)| (p, i as u32)).collect(), found: BTreeMap::new(), rows: 0 }
    }

    /// Whether the word is a piece that has no vector yet. (Of several rows with the same word, the first is used.)
    fn wants(&self, word: &str) -> bool {
        self.ids.get(word).is_some_and(|id| !self.found.contains_key(id))
    }

    /// Adds a row; `row` is counted from 1.
    fn keep(&mut self, path: &Path, row: usize, word: &str, values: &[f32]) -> Result<(), VectorError> {
        if let Some(column) = values.iter().position(|v| !v.is_finite()) {
            return Err(VectorError::NotFinite {
                path: path.to_path_buf(),
                row,
                word: word.chars().take(40).collect(),
                column: column + 1,
                found: values[column],
            });
        }
        if let Some(&id) = self.ids.get(word) {
            self.found.entry(id).or_insert_with(|| values.to_vec());
        }
        Ok(())
    }

    fn finish(self, path: &Path, vocab_size: usize) -> Result<WordVectors, VectorError> {
        let dimension = self.found.values().next().map_or(0, Vec::len);
        let mut vectors = WordVectors {
            ids: Vec::new(),
            dimension,
            values: Vec::new(),
            rows: self.rows,
            vocab_size,
            source: path.to_path_buf(),
        };
        for (id, values) in self.found {
            // Scaled by the largest value first, so that squares neither overflow nor underflow.
            let largest = values.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
            if largest > 0.0 {
                let norm =
                    values.iter().map(|v| (f64::from(*v) / largest).powi(2)).sum::<f64>().sqrt() * largest;
                vectors.ids.push(id);
                vectors.values.extend(values.iter().map(|v| (f64::from(*v) / norm) as f32));
            }
        }
        if vectors.ids.is_empty() {
            return Err(VectorError::NothingFound { path: path.to_path_buf(), words: vectors.rows });
        }
        Ok(vectors)
    }
}

impl WordVectors {
    /// Reads vectors for a vocabulary (`pieces` in the order of their ids). The format follows from the extension of `path`.
    ///
    /// `.npy` and `.safetensors` need `words`: a file with one word a line, or a Parquet file with a column of text (and
    /// possibly one of row numbers). `tensor` is the name of the tensor in a safetensors file with more than one matrix.
    ///
    /// # Errors
    /// The file is missing, damaged, not finite, or has no word in common with the vocabulary; see [`VectorError`].
    pub fn open(
        path: &Path,
        words: Option<&Path>,
        tensor: Option<&str>,
        pieces: &[impl AsRef<str>],
    ) -> Result<Self, VectorError> {
        let mut collector = Collector::new(pieces);
        let ending = |p: &Path| p.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        let mut kind = ending(path);
        if kind == "gz" {
            kind = path.file_stem().map(|s| ending(Path::new(s))).unwrap_or_default();
        }
        match kind.as_str() {
            "txt" | "vec" | "glove" | "w2v" => text::read(path, text::open(path)?, &mut collector)?,
            "npy" | "safetensors" => {
                let words = words.ok_or_else(|| VectorError::WordsMissing { path: path.to_path_buf() })?;
                let mut file = File::open(path)
                    .map_err(|source| VectorError::Read { path: path.to_path_buf(), source })?;
                let layout = if kind == "npy" {
                    matrix::npy(path, &mut file)?
                } else {
                    matrix::safetensors(path, &mut file, tensor)?
                };
                let mut wanted = BTreeMap::new();
                let mut taken = std::collections::HashSet::new();
                let count = words::read(words, &mut |row, word| {
                    if collector.wants(word) && taken.insert(word.to_string()) {
                        wanted.insert(row, word.to_string());
                    }
                    Ok(())
                })?;
                if count != layout.rows {
                    return Err(VectorError::Length {
                        path: words.to_path_buf(),
                        found: count,
                        expected: layout.rows,
                        unit: "words",
                    });
                }
                // A row number beyond the matrix means that the two files do not belong together.
                if let Some((&row, _)) = wanted.last_key_value()
                    && row >= layout.rows
                {
                    return Err(VectorError::Length {
                        path: words.to_path_buf(),
                        found: row + 1,
                        expected: layout.rows,
                        unit: "words",
                    });
                }
                layout.collect(path, file, &wanted, &mut collector)?;
            }
            _ => {
                return Err(VectorError::UnknownFormat { path: path.to_path_buf() });
            }
        }
        collector.finish(path, pieces.len())
    }

    /// From the token table of an encoder, `[V, H]` row by row: `width` is H, `pieces` are in the order of the rows.
    ///
    /// # Errors
    /// A table of another size, values that are not finite, no word in the vocabulary.
    pub fn from_table(
        path: &Path,
        table: &[f32],
        width: usize,
        pieces: &[impl AsRef<str>],
    ) -> Result<Self, VectorError> {
        let mut collector = Collector::new(pieces);
        if width == 0 || table.len() < pieces.len() * width {
            return Err(VectorError::Length {
                path: path.to_path_buf(),
                found: table.len().checked_div(width).unwrap_or(0) as u64,
                expected: pieces.len() as u64,
                unit: "rows",
            });
        }
        for (row, (piece, values)) in pieces.iter().zip(table.chunks_exact(width)).enumerate() {
            collector.keep(path, row + 1, piece.as_ref(), values)?;
        }
        collector.rows = pieces.len() as u64;
        collector.finish(path, pieces.len())
    }

    /// Cosine of two words; None if one of them is not held.
    pub fn cosine(&self, a: u32, b: u32) -> Option<f32> {
        let place = |id: u32| self.ids.binary_search(&id).ok();
        let (a, b) = (self.vector(place(a)?), self.vector(place(b)?));
        Some(a.iter().zip(b).map(|(x, y)| x * y).sum())
    }

    /// Number of words held.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never true: an empty result is an error of [`open`](Self::open).
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Dimension of the vectors.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of vectors in the file.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn vector(&self, i: usize) -> &[f32] {
        &self.values[i * self.dimension..(i + 1) * self.dimension]
    }

    /// The transposed vectors of a block: one array for each of the `dimension` values; unused columns are 0.
    fn columns(&self, block: &[usize]) -> Vec<[f32; BLOCK]> {
        let mut columns = vec![[0f32; BLOCK]; self.dimension];
        for (place, &query) in block.iter().enumerate() {
            for (column, value) in columns.iter_mut().zip(self.vector(query)) {
                column[place] = *value;
            }
        }
        columns
    }

    /// For each word with a vector, in the order of ids: `(id, [(neighbour id, cosine)])`, the nearest first; equal cosines
    /// in the order of ids. Does not depend on the number of threads.
    pub fn neighbours(&self, top_k: usize, threshold: f64) -> Vec<(u32, Vec<(u32, f32)>)> {
        let threshold = threshold as f32;
        let queries: Vec<usize> = (0..self.len()).collect();
        let blocks: Vec<Vec<_>> = queries
            .par_chunks(BLOCK)
            .map(|block| {
                let columns = self.columns(block);
                let mut best: Vec<Vec<(u32, f32)>> = vec![Vec::with_capacity(top_k + 1); block.len()];
                for candidate in 0..self.len() {
                    let cosines = dots(self.vector(candidate), &columns);
                    for ((&query, best), &cosine) in block.iter().zip(&mut best).zip(&cosines) {
                        let full = best.len() == top_k;
                        if cosine < threshold
                            || full && best.last().is_some_and(|l| l.1 >= cosine)
                            || candidate == query
                        {
                            continue;
                        }
                        let place = best.partition_point(|b| b.1 >= cosine);
                        best.insert(place, (self.ids[candidate], cosine));
                        best.truncate(top_k);
                    }
                }
                block.iter().map(|q| self.ids[*q]).zip(best).collect()
            })
            .collect();
        blocks.into_iter().flatten().collect()
    }
}

/// The dot products of a vector with a block. SIMD registers hold different vectors of the block, so each sum is in the order
/// of the values.
fn dots(vector: &[f32], columns: &[[f32; BLOCK]]) -> [f32; BLOCK] {
    let mut sums = [0f32; BLOCK];
    for (value, column) in vector.iter().zip(columns) {
        for (sum, other) in sums.iter_mut().zip(column) {
            *sum += value * other;
        }
    }
    sums
}

/// Builds `V` from neighbours.
///
/// # Errors
/// Options out of range.
pub fn build_vector_lexicon(
    vectors: &WordVectors,
    pieces: &[impl AsRef<str>],
    vocabulary_sha256: &str,
    options: &VectorOptions,
) -> Result<Lexicon, VectorError> {
    options.validate()?;
    let long =
        |id: u32| pieces.get(id as usize).is_some_and(|p| p.as_ref().chars().count() >= options.min_length);
    let rows = vectors.neighbours(options.top_k, options.threshold).into_iter().filter_map(|(w, near)| {
        let row: Vec<u32> = near.into_iter().map(|(r, _)| r).filter(|r| long(*r)).collect();
        (long(w) && !row.is_empty()).then_some((w, row))
    });
    let info = LexiconInfo {
        kind: "vectors".into(),
        vocabulary_sha256: vocabulary_sha256.into(),
        note: format!(
            "{} of {} vectors of {} values; {}",
            vectors.len(),
            vectors.rows,
            vectors.dimension,
            serde_json::to_string(options).unwrap_or_default()
        ),
    };
    let lexicon = Lexicon::from_rows(vectors.vocab_size, rows, info)?;
    Ok(if options.symmetric { lexicon.symmetric() } else { lexicon })
}
