//! `fnlm data speed`: does reading keep up with the device?

use std::sync::Arc;
use std::time::Instant;

use fn_core::corrupt::Corruptor;
use fn_data::loader::{Loader, LoaderConfig, Part};
use fn_data::shard::{Dataset, Progress, prepare};
use fn_study::process::{self, Reading, Record};
use fn_train::config::RunConfig;
use fn_train::machine::peak_memory;
use fn_train::session::prepare_config;

use super::PrepareBar;
use crate::args::DataSpeedArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Prepares the training text where that has not been done, and takes batches of it as training would.
///
/// # Errors
/// Text or tokenizers that cannot be read (3), a full disk (5), a signal (128+n).
pub fn run(args: &DataSpeedArgs) -> Result<Outcome, CliError> {
    if args.batches == 0 {
        return Err(CliError::usage("--batches must be at least 1"));
    }
    let resolved = args.config.resolve()?;
    resolved.require_text()?;
    let run: &RunConfig = resolved;
    let stop = support::interruptible()?;
    let tokenizer = support::tokenizer(&run.data.tokenizer)?;
    let corruptor = Corruptor::new(run.corruption.clone(), tokenizer.facts())
        .map_err(|error| CliError::usage(format!("section `[corruption]`: {error}")))?;
    let mut bar = PrepareBar::new(args.common.quiet);
    let mut show = |progress: &Progress| bar.show(progress);
    let prepared = prepare(&prepare_config(run, &run.data.train), &tokenizer, &mut show, &stop.flag())
        .map_err(|error| support::input_error(&stop, error))?;
    drop(bar);
    // Later the rows that are read count as well: they are mapped, not copied.
    let memory = peak_memory();
    let data = Arc::new(Dataset::open(&prepared.dir)?);
    let workers = run.data.workers;
    let config = LoaderConfig { batch: run.train.batch, seed: run.seed, part: Part::ALL, workers };
    let mut loader = Loader::new(data, Arc::new(corruptor), config, 0)?;
    // The first one waits for threads to start.
    loader.next()?;
    let (clock, mut tokens) = (Instant::now(), 0.0);
    for _ in 0..args.batches {
        tokens += loader.next()?.attention.iter().map(|&real| f64::from(real)).sum::<f64>();
        if stop.requested() {
            return Err(support::interrupted(&stop));
        }
    }
    let tokens_per_second = tokens / clock.elapsed().as_secs_f64();
    let manifest = &prepared.manifest;
    let prepared_per_second =
        (!prepared.reused).then(|| manifest.text_bytes as f64 / prepared.seconds.max(1e-9));
    if let Some(record) = &args.common.record {
        let reading = Reading {
            prepared_bytes_per_second: prepared_per_second,
            memory_bytes: memory,
            tokens_per_second,
        };
        process::append(record, &Record::Reading(reading))?;
    }
    if args.json {
        let report = serde_json::json!({
            "text_bytes": manifest.text_bytes, "rows": manifest.rows, "length": manifest.length,
            "prepared_bytes_per_second": prepared_per_second, "peak_memory_of_preparing_bytes": memory,
            "workers": workers, "batch": run.train.batch, "batches": args.batches,
            "tokens_per_second": tokens_per_second,
        });
        term::out(&format!("{report:#}\n"))?;
        return Ok(Outcome::Done);
    }
    let how = prepared_per_second.map_or("prepared before".to_owned(), |bytes| {
        format!("prepared at {:.0} MB/s with {} of memory", bytes / 1e6, term::bytes(memory))
    });
    term::out(&format!(
        "{} of text, {} rows of {}, {how}\n{} batches of {} with {workers} workers: {} tokens/s\n",
        term::bytes(manifest.text_bytes),
        term::thousands(manifest.rows),
        manifest.length,
        term::thousands(args.batches),
        run.train.batch,
        term::thousands(tokens_per_second as u64)
    ))?;
    Ok(Outcome::Done)
}
