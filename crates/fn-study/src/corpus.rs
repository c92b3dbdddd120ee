//! Time and memory to prepare a corpus and to load batches, as the corpus grows. Each size is measured in its own process, on
//! generated text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use fn_data::language::{Language, LanguageConfig};
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{Table, number, thousands};
use fn_train::stop::Stop;
use serde_json::Value;

use crate::curves;
use crate::process::Record;
use crate::runs::RunRecord;
use crate::sweep::{SweepError, measured};

/// Number of batches to load from a corpus of each size.
const BATCHES: &str = "5000";

/// Measurements of one corpus size.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Size of the text.
    pub megabytes: u64,
    /// MB of text per second.
    pub prepared: f64,
    /// Peak memory while preparing, in MiB.
    pub memory: f64,
    /// Throughput of the data loader, in tokens per second.
    pub loaded: f64,
}

/// Settings shared by the measurements of all sizes.
pub struct Growth<'a> {
    /// Path of the `fnlm` executable.
    pub program: &'a Path,
    /// Sequences per batch.
    pub batch: usize,
    /// Tokens per sequence.
    pub length: usize,
    /// Further `key=value` settings.
    pub set: &'a [String],
    /// Stop flag of this process.
    pub stop: &'a Stop,
}

impl Growth<'_> {
    /// Generates `megabytes` MB of text below `scratch` and measures them in a separate process.
    ///
    /// # Errors
    /// A full disk, a measurement that fails, a requested stop.
    pub fn measure(&self, megabytes: u64, scratch: &Path) -> Result<Point, SweepError> {
        let folder = scratch.join(megabytes.to_string());
        write_text(&folder, megabytes)?;
        let mut command = Command::new(self.program);
        command.args(["data", "speed", "--quiet", "--batches", BATCHES]).current_dir(&folder);
        command.args(["--train", "corpus.txt", "--tokenizer", "tokenizer", "--set", "data.packing=dense"]);
        command.args(["--set", "data.cache=cache", "--set", &format!("train.batch={}", self.batch)]);
        command.args(["--length", &self.length.to_string()]);
        for setting in self.set {
            command.args(["--set", setting]);
        }
        let what = format!("{megabytes} MB");
        let found = measured(command, &scratch.join("records.jsonl"), self.stop, &what)?;
        let reading = found.into_iter().find_map(|record| match record {
            Record::Reading(reading) => Some(reading),
            _ => None,
        });
        let Some((reading, prepared)) = reading.and_then(|r| Some((r, r.prepared_bytes_per_second?))) else {
            return Err(SweepError::Failed(format!("{what}: no speed was reported")));
        };
        std::fs::remove_dir_all(&folder).map_err(SweepError::io("remove", &folder))?;
        Ok(Point {
            megabytes,
            prepared: prepared / 1e6,
            memory: reading.memory_bytes as f64 / f64::from(1 << 20),
            loaded: reading.tokens_per_second,
        })
    }
}

/// The measurements as a table, one row per size.
pub fn table(points: &[Point]) -> Table {
    let mut table = Table::new(["corpus, MB", "prepare, MB/s", "memory, MiB", "loader, tokens/s"]);
    for point in points {
        table.row([
            thousands(point.megabytes),
            number(Some(point.prepared), 0),
            number(Some(point.memory), 0),
            thousands(point.loaded as u64),
        ]);
    }
    table
}

/// The same figures as JSON.
pub fn json(points: &[Point]) -> Value {
    let point = |p: &Point| {
        serde_json::json!({"corpus_mb": p.megabytes, "prepare_mb_per_second": p.prepared, "memory_mib": p.memory,
                           "loader_tokens_per_second": p.loaded})
    };
    points.iter().map(point).collect()
}

/// Writes a corpus of the generated language without duplicate documents, and its tokenizer.
fn write_text(folder: &Path, megabytes: u64) -> Result<(), SweepError> {
    let language = Language::new(LanguageConfig::default(), 1)?;
    let tokenizer = TextTokenizer::from_vocab(language.vocabulary(), true)?;
    std::fs::create_dir_all(folder).map_err(SweepError::io("create", folder))?;
    tokenizer.save(&folder.join("tokenizer"))?;
    let path = folder.join("corpus.txt");
    let io = |source| SweepError::Io { action: "write", path: path.clone(), source };
    let mut file = BufWriter::new(File::create(&path).map_err(io)?);
    let (mut written, mut number) = (0, 0);
    while written < megabytes * 1_000_000 {
        let text = language.document(number, 1);
        file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n\n")).map_err(io)?;
        written += text.len() as u64 + 2;
        number += 1;
    }
    file.flush().map_err(io)
}

/// Draws one figure per measured quantity into a folder.
///
/// # Errors
/// A file that cannot be written.
pub fn draw(folder: &Path, points: &[Point]) -> Result<(), SweepError> {
    std::fs::create_dir_all(folder).map_err(SweepError::io("create", folder))?;
    let figure = |file: &str, title: &str, pick: &dyn Fn(&Point) -> f64| {
        let series = points.iter().map(|p| (p.megabytes, pick(p))).collect();
        let run = RunRecord { name: file.to_owned(), series: BTreeMap::from([("y".to_owned(), series)]) };
        let path = folder.join(format!("corpus-{file}.svg"));
        curves::draw_over(&[run], "y", title, "MB of text", &path)
    };
    figure("prepare", "preparing text, MB/s", &|p| p.prepared)?;
    figure("memory", "peak memory while preparing, MiB", &|p| p.memory)?;
    figure("loader", "data loader, million tokens/s", &|p| p.loaded / 1e6)?;
    Ok(())
}
