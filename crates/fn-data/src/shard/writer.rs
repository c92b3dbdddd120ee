//! Packs documents into rows and writes them as shards.

use std::path::Path;
use std::time::Instant;

use super::format::{Manifest, ShardBuffer, ShardEntry, VERSION, write_counts};
use super::prepare::{PrepareConfig, Progress};
use crate::error::DataError;
use crate::pack::{PackedRow, Packer};
use crate::tokenise::TextTokenizer;

/// Rows per shard: 16 MB at length 128.
const SHARD_ROWS: usize = 1 << 16;

/// Packs rows and writes shards in order.
pub(super) struct Writer<'a> {
    dir: &'a Path,
    packer: Packer,
    buffer: ShardBuffer,
    shards: Vec<ShardEntry>,
    counts: Vec<u64>,
    pub(super) documents: u64,
    rows: u64,
    tokens: u64,
    pub(super) text_bytes: u64,
    pub(super) literal_special_tokens: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(config: &PrepareConfig, tokenizer: &TextTokenizer, dir: &'a Path) -> Self {
        let vocabulary = tokenizer.size();
        Self {
            dir,
            packer: Packer::new(config.packing, config.length, tokenizer.frame().clone(), config.seed),
            buffer: ShardBuffer::new(config.length, vocabulary, tokenizer.special().pad),
            shards: Vec::new(),
            counts: vec![0; vocabulary],
            documents: 0,
            rows: 0,
            tokens: 0,
            text_bytes: 0,
            literal_special_tokens: 0,
        }
    }

    /// Adds a document of `text_bytes` bytes.
    pub(super) fn add(&mut self, text_bytes: u64, sentences: &[Vec<u32>]) -> Result<(), DataError> {
        self.documents += 1;
        self.text_bytes += text_bytes;
        self.packer.push(sentences).iter().try_for_each(|row| self.row(row))
    }

    pub(super) fn progress(&self, bytes_read: u64, total_bytes: Option<u64>, clock: &Instant) -> Progress {
        Progress {
            bytes_read,
            total_bytes,
            text_bytes: self.text_bytes,
            documents: self.documents,
            rows: self.rows,
            seconds: clock.elapsed().as_secs_f64(),
        }
    }

    fn row(&mut self, row: &PackedRow) -> Result<(), DataError> {
        for &id in &row.ids {
            if let Some(count) = self.counts.get_mut(id as usize) {
                *count += 1;
            }
        }
        self.tokens += row.ids.len() as u64;
        self.rows += 1;
        self.buffer.push(row);
        if self.buffer.rows() == SHARD_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DataError> {
        let entry = self.buffer.write(self.dir, self.shards.len())?;
        self.shards.push(entry);
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        config: &PrepareConfig,
        tokenizer: &TextTokenizer,
        key: &str,
    ) -> Result<Manifest, DataError> {
        for row in self.packer.finish() {
            self.row(&row)?;
        }
        if self.buffer.rows() > 0 {
            self.flush()?;
        }
        if self.rows == 0 {
            return Err(DataError::NoRows);
        }
        let manifest = Manifest {
            version: VERSION,
            key: key.to_owned(),
            length: config.length,
            packing: config.packing,
            seed: config.seed,
            vocabulary_sha256: tokenizer.sha256().to_owned(),
            vocabulary_size: tokenizer.size(),
            pad: tokenizer.special().pad,
            documents: self.documents,
            tokens: self.tokens,
            rows: self.rows,
            text_bytes: self.text_bytes,
            literal_special_tokens: self.literal_special_tokens,
            counts_sha256: write_counts(self.dir, &self.counts)?,
            shards: self.shards,
        };
        manifest.write(self.dir)?;
        Ok(manifest)
    }
}
