//! Time and memory of a pre-training step as one setting varies. Each value is measured in its own process, so that the memory of
//! one does not count for the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fn_eval::table::{Table, number, thousands};
use fn_train::bench::Workload;
use fn_train::stop::Stop;
use serde_json::Value;

use crate::RecordError;
use crate::curves;
use crate::process::{Ended, ProcessError, Record, run_to_end};
use crate::runs::RunRecord;

/// Settings that are options of `fnlm bench`; others are keys of the configuration.
const OPTIONS: [&str; 4] = ["batch", "length", "vocabulary", "lexicon-width"];

/// Error of a measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A measurement failed because of its arguments.
    #[error("{0}")]
    Usage(String),
    /// A measurement failed.
    #[error("{0}")]
    Failed(String),
    /// A process or its records cannot be used.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A figure cannot be drawn.
    #[error(transparent)]
    Draw(#[from] RecordError),
    /// A file or folder cannot be created or removed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Text cannot be generated.
    #[error(transparent)]
    Language(#[from] fn_data::language::LanguageError),
    /// A tokenizer cannot be written.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// A stop was requested.
    #[error("stopped before all values were measured")]
    Stopped,
}

impl SweepError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Runs a measuring process and returns its records.
pub(crate) fn measured(
    command: Command,
    records: &Path,
    stop: &Stop,
    what: &str,
) -> Result<Vec<Record>, SweepError> {
    let finished = run_to_end(command, records, &|| stop.requested())?;
    match finished.ended() {
        Some(Ended::Done) => Ok(finished.records),
        _ if finished.asked_to_stop => Err(SweepError::Stopped),
        Some(Ended::Failed { message, usage: true }) => Err(SweepError::Usage(format!("{what}: {message}"))),
        _ => Err(SweepError::Failed(format!("{what}: {}", finished.failure()))),
    }
}

/// The measurements of one value of the setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The value.
    pub value: f64,
    /// The value as it was typed.
    pub text: String,
    /// Peak memory, in MiB.
    pub memory: f64,
    /// Seconds per step without and with hard correction.
    pub seconds: [f64; 2],
    /// Tokens per second without correction.
    pub tokens_per_second: f64,
}

/// A preset, and the one setting that is varied.
pub struct Sweep<'a> {
    /// Path of the `fnlm` executable.
    pub program: &'a Path,
    /// The preset.
    pub preset: &'a str,
    /// The varied setting: an option of `fnlm bench` or a key of the configuration.
    pub key: &'a str,
    /// The workload, apart from the varied setting.
    pub workload: Workload,
    /// As `--dtype`.
    pub dtype: &'a str,
    /// As `--device`.
    pub device: &'a str,
    /// As `--threads`.
    pub threads: Option<usize>,
    /// Further `key=value` settings.
    pub set: &'a [String],
    /// Stop flag of this process.
    pub stop: &'a Stop,
}

impl Sweep<'_> {
    /// Measures one value in a separate process.
    ///
    /// # Errors
    /// A measurement that fails, a requested stop.
    pub fn measure(&self, text: &str, value: f64) -> Result<Point, SweepError> {
        let Workload { batch, length, vocabulary, lexicon_width, steps } = self.workload;
        let numbers = [batch, length, vocabulary, lexicon_width].map(|number| number.to_string());
        let mut options: BTreeMap<&str, String> = OPTIONS.into_iter().zip(numbers).collect();
        let mut settings = self.set.to_vec();
        match options.get_mut(self.key) {
            Some(option) => *option = text.to_owned(),
            None => settings.push(format!("{}={text}", self.key)),
        }
        let mut command = Command::new(self.program);
        command.args(["bench", self.preset, "--quiet", "--device", self.device]);
        command.args(["--steps", &steps.to_string(), "--dtype", self.dtype]);
        for (option, value) in options {
            command.arg(format!("--{option}")).arg(value);
        }
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        if let Some(threads) = self.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        let records = std::env::temp_dir().join(format!("fnlm-sweep-{}.jsonl", std::process::id()));
        let what = format!("{} {value}", self.key);
        let found = measured(command, &records, self.stop, &what)?;
        let timing = found.into_iter().find_map(|record| match record {
            Record::Timing(timing) => Some(timing),
            _ => None,
        });
        match timing.as_ref().map(|timing| (&timing.runs[..], timing.memory_bytes)) {
            Some(([plain, hard], memory)) => Ok(Point {
                value,
                text: text.to_owned(),
                memory: memory as f64 / f64::from(1 << 20),
                seconds: [plain.seconds_per_step, hard.seconds_per_step],
                tokens_per_second: plain.tokens_per_second,
            }),
            _ => Err(SweepError::Failed(format!("{what}: no time was reported"))),
        }
    }

    /// The measurements as a table, one row per value.
    pub fn table(&self, points: &[Point]) -> Table {
        let mut table = Table::new([self.key, "ms/step", "with hard correction", "tokens/s", "memory, MiB"]);
        for point in points {
            table.row([
                point.text.clone(),
                number(Some(1e3 * point.seconds[0]), 1),
                number(Some(1e3 * point.seconds[1]), 1),
                thousands(point.tokens_per_second as u64),
                number(Some(point.memory), 0),
            ]);
        }
        table
    }

    /// The same figures as JSON.
    pub fn json(&self, points: &[Point]) -> Value {
        let point = |p: &Point| {
            serde_json::json!({self.key: p.value, "seconds_per_step": p.seconds[0], "seconds_per_step_hard": p.seconds[1],
                               "tokens_per_second": p.tokens_per_second, "memory_mib": p.memory})
        };
        points.iter().map(point).collect()
    }

    /// Draws time and memory into a folder and returns the paths.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn draw(&self, points: &[Point], folder: &Path) -> Result<Vec<PathBuf>, SweepError> {
        std::fs::create_dir_all(folder).map_err(SweepError::io("create", folder))?;
        let draw = |runs: &[RunRecord], what: &str, file: &str| -> Result<PathBuf, RecordError> {
            let name = format!("{}-{}-{file}.svg", self.preset, self.key.replace('.', "-"));
            let path = folder.join(name);
            curves::draw_over(runs, "y", &format!("{}: {what}", self.preset), self.key, &path)?;
            Ok(path)
        };
        let series = |name: &str, pick: &dyn Fn(&Point) -> f64| RunRecord {
            name: name.to_owned(),
            series: BTreeMap::from([(
                "y".to_owned(),
                points.iter().map(|p| (p.value as u64, pick(p))).collect(),
            )]),
        };
        let times = [
            series("without correction", &|p| 1e3 * p.seconds[0]),
            series("hard correction", &|p| 1e3 * p.seconds[1]),
        ];
        Ok(vec![
            draw(&times, "milliseconds per step", "time")?,
            draw(&[series("memory", &|p| p.memory)], "peak memory, MiB", "memory")?,
        ])
    }
}
