//! How fast text is prepared, and batches are made of it.

use std::sync::Arc;
use std::time::Instant;

use fn_core::corrupt::Corruptor;
use fn_data::loader::{Loader, LoaderConfig, Part};
use fn_data::shard::{PreparedData, Progress};
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{bytes, clock, thousands};
use fn_train::TrainError;
use fn_train::config::RunConfig;
use fn_train::machine::peak_memory;
use fn_train::stop::Stop;
use fn_train::texts::{open_prepared, prepare_training};
use serde_json::{Value, json};

use crate::process::Reading;

/// Speed of preparing the training text of a configuration and of loading its batches.
#[derive(Debug, Clone)]
pub struct ReadingSpeed {
    /// Bytes of text that were prepared.
    pub text_bytes: u64,
    /// Rows that they gave.
    pub rows: u64,
    /// Maximum length of a row, in ids.
    pub length: usize,
    /// Bytes of text per second; None if text was already prepared.
    pub prepared_bytes_per_second: Option<f64>,
    /// Peak resident memory while preparing, in bytes.
    pub memory_bytes: u64,
    /// Threads of the loader.
    pub workers: usize,
    /// Sequences per batch.
    pub batch: usize,
    /// Batches that were loaded.
    pub batches: u64,
    /// Throughput of the loader, in tokens per second, without padding.
    pub tokens_per_second: f64,
}

impl ReadingSpeed {
    /// Prepares the training text where that has not been done, and takes `batches` batches of it as training would.
    ///
    /// # Errors
    /// Text that cannot be read, a corruption that does not fit the tokenizer, a full disk, a requested stop.
    pub fn measure(
        run: &RunConfig,
        tokenizer: &TextTokenizer,
        batches: u64,
        show: &mut dyn FnMut(&Progress),
        stop: &Stop,
    ) -> Result<Self, TrainError> {
        let corruptor = Corruptor::new(run.corruption.clone(), tokenizer.facts())?;
        let prepared = prepare_training(run, tokenizer, show, &stop.flag())?;
        // Later the rows that are read count as well: they are mapped, not copied.
        let memory_bytes = peak_memory();
        let data = open_prepared(run, &prepared)?;
        let workers = run.data.workers;
        let config = LoaderConfig {
            batch: run.train.batch,
            seed: run.seed,
            steps: run.micro_batches(),
            part: Part::ALL,
            mask_rate: run.mask_rate(),
            workers,
        };
        let mut loader = Loader::new(data, Arc::new(corruptor), config, 0)?;
        // The first one waits for threads to start.
        loader.next()?;
        let (began, mut tokens) = (Instant::now(), 0.0);
        for _ in 0..batches {
            tokens += loader.next()?.attention.iter().map(|&real| f64::from(real)).sum::<f64>();
            if stop.requested() {
                return Err(fn_data::DataError::Stopped.into());
            }
        }
        let text_bytes = prepared.iter().map(|text| text.manifest.text_bytes).sum();
        let seconds: f64 = prepared.iter().map(|text| text.seconds).sum();
        let anew = prepared.iter().all(|text| !text.reused);
        Ok(Self {
            prepared_bytes_per_second: anew.then_some(text_bytes as f64 / seconds.max(1e-9)),
            text_bytes,
            rows: prepared.iter().map(|text| text.manifest.rows).sum(),
            length: run.data.length,
            memory_bytes,
            workers,
            batch: run.train.batch,
            batches,
            tokens_per_second: tokens / began.elapsed().as_secs_f64(),
        })
    }

    /// What a parent process reads.
    pub fn reading(&self) -> Reading {
        Reading {
            prepared_bytes_per_second: self.prepared_bytes_per_second,
            memory_bytes: self.memory_bytes,
            tokens_per_second: self.tokens_per_second,
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "text_bytes": self.text_bytes, "rows": self.rows, "length": self.length,
            "prepared_bytes_per_second": self.prepared_bytes_per_second,
            "peak_memory_of_preparing_bytes": self.memory_bytes,
            "workers": self.workers, "batch": self.batch, "batches": self.batches,
            "tokens_per_second": self.tokens_per_second,
        })
    }

    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let how = self.prepared_bytes_per_second.map_or("prepared before".to_owned(), |speed| {
            format!("prepared at {:.0} MB/s with {} of memory", speed / 1e6, bytes(self.memory_bytes))
        });
        format!(
            "{} of text, {} rows of {}, {how}\n{} batches of {} with {} workers: {} tokens/s\n",
            bytes(self.text_bytes),
            thousands(self.rows),
            self.length,
            thousands(self.batches),
            self.batch,
            self.workers,
            thousands(self.tokens_per_second as u64)
        )
    }
}

/// How far preparing is, in one line.
pub fn progress_line(progress: &Progress) -> String {
    format!(
        "{} documents, {} rows, {} of text, {:.1} MB/s",
        thousands(progress.documents),
        thousands(progress.rows),
        bytes(progress.text_bytes),
        progress.megabytes_per_second()
    )
}

/// What was prepared, in one line; `name`: `train` or `held-out`.
pub fn prepared_line(name: &str, prepared: &PreparedData) -> String {
    let manifest = &prepared.manifest;
    let speed = manifest.text_bytes as f64 / 1e6 / prepared.seconds.max(1e-9);
    let how = match prepared.reused {
        true => "prepared before".to_owned(),
        false => format!("{speed:.1} MB/s, {}", clock(prepared.seconds)),
    };
    format!(
        "{name}: {} documents, {} tokens, {} rows of {} in {} ({how})\n",
        thousands(manifest.documents),
        thousands(manifest.tokens),
        thousands(manifest.rows),
        manifest.length,
        prepared.dir.display()
    )
}

/// What a reader should know of a text that was prepared.
pub fn notices(prepared: &PreparedData) -> Vec<String> {
    let (special, split) = (prepared.manifest.literal_special_tokens, prepared.split_documents);
    let special = (special > 0).then(|| {
        let places = thousands(special);
        format!("special tokens are written in the text at {places} places; there they are ordinary text")
    });
    let split = (split > 0).then(|| format!("{split} documents were too long and were split into several"));
    special.into_iter().chain(split).collect()
}
