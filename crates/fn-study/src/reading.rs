//! How fast text is prepared, and batches are made of it.

use std::sync::Arc;
use std::time::Instant;

use fn_core::corrupt::Corruptor;
use fn_data::loader::{Loader, LoaderConfig, Part};
use fn_data::shard::{Dataset, Manifest, PreparedData, Progress, prepare};
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{bytes, clock, thousands};
use fn_train::TrainError;
use fn_train::config::RunConfig;
use fn_train::machine::peak_memory;
use fn_train::session::prepare_config;
use fn_train::stop::Stop;
use serde_json::{Value, json};

use crate::process::Reading;

/// Speed of preparing the training text of a configuration and of loading its batches.
#[derive(Debug, Clone)]
pub struct ReadingSpeed {
    /// What was prepared.
    pub manifest: Manifest,
    /// Bytes of text per second; None if the text was already prepared.
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
        let config = prepare_config(run, &run.data.train);
        let prepared = prepare(&config, tokenizer, &mut |progress| show(progress), &stop.flag())?;
        // Later the rows that are read count as well: they are mapped, not copied.
        let memory_bytes = peak_memory();
        let data = Arc::new(Dataset::open(&prepared.dir)?);
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
        let manifest = prepared.manifest;
        let per_second = manifest.text_bytes as f64 / prepared.seconds.max(1e-9);
        Ok(Self {
            prepared_bytes_per_second: (!prepared.reused).then_some(per_second),
            manifest,
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
        let manifest = &self.manifest;
        json!({
            "text_bytes": manifest.text_bytes, "rows": manifest.rows, "length": manifest.length,
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
            bytes(self.manifest.text_bytes),
            thousands(self.manifest.rows),
            self.manifest.length,
            thousands(self.batches),
            self.batch,
            self.workers,
            thousands(self.tokens_per_second as u64)
        )
    }
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
