//! The texts of a configuration: prepared, opened, and how often each is read.

mod together;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fn_data::DataError;
use fn_data::mixture::Mixture;
use fn_data::shard::{Dataset, Manifest, PrepareConfig, PreparedData, Progress, prepare};
use fn_data::source::{SourceOptions, StopFlag};
use fn_data::tokenise::TextTokenizer;

use crate::config::mixture::named;
use crate::config::{MixtureSource, RunConfig};

/// A text of a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Text<'a> {
    /// Files and folders that are prepared, or nothing.
    pub paths: &'a [PathBuf],
    /// A folder that was prepared before.
    pub shards: Option<&'a Path>,
    /// Its weight in the mixture.
    pub weight: f64,
}

/// The training texts of a configuration: that of `data.train`, or those of `data.mixture`.
pub fn training(run: &RunConfig) -> Vec<Text<'_>> {
    match run.data.mixture.as_slice() {
        [] => vec![Text { paths: &run.data.train, shards: None, weight: 1.0 }],
        sources => sources.iter().map(Text::of).collect(),
    }
}

impl<'a> Text<'a> {
    fn of(source: &'a MixtureSource) -> Self {
        Self { paths: &source.train, shards: source.shards.as_deref(), weight: source.weight }
    }
}

impl Text<'_> {
    /// Its first file, and how many others there are.
    pub fn name(&self) -> String {
        self.shards.map_or_else(|| named(self.paths), |folder| folder.display().to_string())
    }

    /// Prepares the text, or finds it in the cache; of a folder of shards, reads the manifest.
    ///
    /// # Errors
    /// Text that cannot be read, a full disk, a requested stop; shards of another tokenizer or length.
    pub fn prepare(
        &self,
        run: &RunConfig,
        tokenizer: &TextTokenizer,
        progress: &mut dyn FnMut(&Progress),
        stop: &StopFlag,
    ) -> Result<PreparedData, DataError> {
        let Some(folder) = self.shards else {
            return prepare(&prepare_config(run, self.paths), tokenizer, progress, stop);
        };
        let manifest = Manifest::read(folder)?;
        let other = |what, found: String, expected: String| {
            let path = folder.to_owned();
            Err(DataError::OtherShards { path, what, found, expected })
        };
        if manifest.vocabulary_sha256 != tokenizer.sha256() {
            let expected = tokenizer.sha256().to_owned();
            return other("a tokenizer with the checksum", manifest.vocabulary_sha256, expected);
        }
        if manifest.length != run.data.length {
            return other("rows of the length", manifest.length.to_string(), run.data.length.to_string());
        }
        let dir = folder.to_owned();
        Ok(PreparedData { dir, manifest, reused: true, split_documents: 0, seconds: 0.0 })
    }
}

/// How the text of a configuration is prepared. It is part of the key of the cache, so all commands must use this function.
pub fn prepare_config(config: &RunConfig, paths: &[PathBuf]) -> PrepareConfig {
    PrepareConfig {
        sources: paths.to_vec(),
        options: SourceOptions {
            json_field: config.data.json_field.clone(),
            parquet_column: config.data.parquet_column.clone(),
            on_bad_line: config.data.on_bad_line,
            ..SourceOptions::default()
        },
        packing: config.data.packing,
        length: config.data.length,
        seed: config.seed,
        cache: config.data.cache_dir(),
    }
}

/// Prepares and opens all training texts of a configuration.
///
/// # Errors
/// As [`Text::prepare`]; shards that are damaged.
pub fn open_training(
    run: &RunConfig,
    tokenizer: &TextTokenizer,
    progress: &mut dyn FnMut(&Progress),
    stop: &StopFlag,
) -> Result<(Mixture, Vec<PreparedData>), DataError> {
    let prepared = prepare_training(run, tokenizer, progress, stop)?;
    Ok((open_prepared(run, &prepared)?, prepared))
}

/// Prepares all training texts of a configuration.
///
/// # Errors
/// As [`Text::prepare`].
pub fn prepare_training(
    run: &RunConfig,
    tokenizer: &TextTokenizer,
    progress: &mut dyn FnMut(&Progress),
    stop: &StopFlag,
) -> Result<Vec<PreparedData>, DataError> {
    training(run).iter().map(|text| text.prepare(run, tokenizer, progress, stop)).collect()
}

/// Opens the training texts that [`prepare_training`] prepared.
///
/// # Errors
/// Shards that are damaged.
pub fn open_prepared(run: &RunConfig, prepared: &[PreparedData]) -> Result<Mixture, DataError> {
    let mut rows = Vec::new();
    for (text, prepared) in training(run).iter().zip(prepared) {
        rows.push((Arc::new(Dataset::open(&prepared.dir)?), text.weight));
    }
    Mixture::new(rows)
}

/// All texts of a configuration, each with what it is for: `train`, `held-out`, or of a mixture `train (wiki.txt)`.
pub fn all(run: &RunConfig) -> Vec<(String, Text<'_>)> {
    let mixed = !run.data.mixture.is_empty();
    let name = |text: &Text<'_>| if mixed { format!("train ({})", text.name()) } else { "train".to_owned() };
    let mut texts: Vec<_> = training(run).into_iter().map(|text| (name(&text), text)).collect();
    if !run.data.held_out.is_empty() {
        texts.push(("held-out".to_owned(), Text { paths: &run.data.held_out, shards: None, weight: 1.0 }));
    }
    texts
}

/// How often a training text is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Passes {
    /// The text.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Share of the drawn rows that come from it, 0 to 1.
    pub share: f64,
    /// Rows drawn from it; each row comes once per pass.
    pub drawn: f64,
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rows, share, drawn } = self;
        let passes = drawn / *rows as f64;
        write!(
            f,
            "{name}: {rows} rows, {:.2} % of the batches; {drawn:.0} rows drawn, {passes:.2} passes",
            100.0 * share
        )
    }
}

/// Rows of text that a run draws in its first `steps` steps: those of all batches, but for synthetic ones.
pub fn drawn_rows(run: &RunConfig, steps: u64) -> u64 {
    let all = run.micro_batches();
    let batches = all.before(steps).saturating_sub(run.data.synthetic_batches(all));
    batches.saturating_mul(run.train.batch as u64)
}

/// How often the first `steps` steps read each training text.
pub fn passes(run: &RunConfig, rows: &Mixture, steps: u64) -> Vec<Passes> {
    let drawn = rows.order(run.seed).counts(drawn_rows(run, steps));
    let shares = rows.shares().into_iter().zip(drawn);
    let texts = training(run).into_iter().zip(rows.sources()).zip(shares);
    let of = |((text, rows), (share, drawn)): ((Text<'_>, &Arc<Dataset>), (f64, u64))| Passes {
        name: text.name(),
        rows: rows.len() as u64,
        share,
        drawn: drawn as f64,
    };
    texts.map(of).collect()
}

impl Passes {
    /// The same text in a run that draws `rows` rows in all.
    pub fn expected(&self, rows: u64) -> Self {
        Self { drawn: self.share * rows as f64, ..self.clone() }
    }
}
