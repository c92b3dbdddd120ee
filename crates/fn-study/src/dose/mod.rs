//! Dose-response experiment on the generated language: the effect of a correction of the discriminator's or the masked-LM loss, by the
//! share of replacements that fit and by the quality of the judge.
//!
//! The generated language can be configured for a share of the sampled replacements that fit
//! ([`LanguageConfig::with_fitting_replacements`](fn_data::language::LanguageConfig::with_fitting_replacements)); the judge is
//! the ground truth, or has a [given precision and recall](SetQuality). All arms of a share and seed have the same text, order
//! and initial weights. Runs are made in this process, one after the other, and each is written to [`RECORDS`] when it is
//! finished; finished runs are not repeated.

mod arm;
mod grid;
mod judge;
mod oracle;
mod probe;
mod report;
mod trial;

pub use arm::{Arm, By, Correction, Loss, PRECISIONS, Part, RECALLS, RELABEL};
pub use grid::{breaks_even, draw, grid};
pub use judge::{KIND, Mistakes, SetQuality, SetQualityConfig};
pub use probe::Probed;
pub use report::{Effect, bounds, csv, effect, masked, report, steps_to};
pub use trial::{KNOWLEDGE, Point, Record, Trial, base_language};

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_core::files::write_atomic;
use fn_train::stop::Stop;

/// File of all runs, one JSON object per line.
pub const RECORDS: &str = "records.jsonl";

/// Default shares of replacements that fit, in percent.
pub const SHARES: [u32; 4] = [5, 15, 28, 42];

/// Default number of optimiser steps of a run.
pub const STEPS: u64 = 300;

/// A number, or NaN for the null that JSON has in its place.
fn or_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value: Option<f64> = serde::Deserialize::deserialize(deserializer)?;
    Ok(value.unwrap_or(f64::NAN))
}

/// Error of the experiment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoseError {
    /// The language cannot be set to this share.
    #[error(transparent)]
    Language(#[from] fn_data::language::LanguageError),
    /// The text does not fit the model.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// The configuration of the runs is wrong.
    #[error(transparent)]
    Config(#[from] fn_train::config::ConfigError),
    /// A judge or a corruption is set out of its range.
    #[error(transparent)]
    Core(#[from] fn_core::CoreError),
    /// The complete lexicon of the language cannot be made.
    #[error(transparent)]
    Lexicon(#[from] fn_core::lexicon::LexiconError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] fn_train::TrainError),
    /// The figure cannot be drawn.
    #[error(transparent)]
    Draw(#[from] crate::RecordError),
    /// The records cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line is not a record.
    #[error(
        "{path}: line {line} is not a record of this experiment ({message}); remove the line, and its run is made again"
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An option is out of its range.
    #[error("--{name} is {found}; allowed: {allowed}")]
    Range {
        /// The option, without dashes.
        name: &'static str,
        /// Its value.
        found: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The folder has runs with another number of steps.
    #[error(
        "{path}: these runs have {found} steps, --steps says {steps}; name another --out, or remove the file"
    )]
    OtherSteps {
        /// The file.
        path: PathBuf,
        /// Steps of the runs in it.
        found: u64,
        /// The requested steps.
        steps: u64,
    },
}

impl DoseError {
    /// Whether the command line is at fault.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Language(_) | Self::Range { .. } | Self::OtherSteps { .. })
    }
}

/// What is run.
pub struct Dose<'a> {
    /// Folder of the records.
    pub out: &'a Path,
    /// Percents of the replacements that fit; empty: [`SHARES`].
    pub shares: &'a [u32],
    /// Number of seeds: 1, 2, ...
    pub seeds: u64,
    /// Optimiser steps of each run.
    pub steps: u64,
    /// Which arms; empty: all.
    pub parts: &'a [Part],
    /// The plain device, without autodiff.
    pub device: &'a Device,
    /// Stop flag of this process.
    pub stop: &'a Stop,
}

impl Dose<'_> {
    fn path(&self) -> PathBuf {
        self.out.join(RECORDS)
    }

    /// The records of the folder. A last line without its end, from a process that was killed, is removed.
    ///
    /// # Errors
    /// A file that cannot be read or has other lines in it; runs of another length.
    pub fn records(&self) -> Result<Vec<Record>, DoseError> {
        let path = self.path();
        let io = |action| {
            let path = path.clone();
            move |source| DoseError::Io { action, path, source }
        };
        let text = match fn_core::files::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read")(error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            write_atomic(&path, &text.as_bytes()[..whole]).map_err(io("write"))?;
        }
        let mut records = Vec::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let record: Record = serde_json::from_str(line).map_err(|error| DoseError::Record {
                path: path.clone(),
                line: index + 1,
                message: error.to_string(),
            })?;
            if record.steps != self.steps {
                return Err(DoseError::OtherSteps { path, found: record.steps, steps: self.steps });
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Runs what is missing, part after part, for each seed and share, and reports each run to `done` (how many are made, of how many, and the
    /// record). All records of the folder, and whether nothing is missing: a stop request ends it earlier.
    ///
    /// # Errors
    /// A share that no language has; a run that fails; records that cannot be written.
    pub fn run(&self, done: &mut dyn FnMut(usize, usize, &Record)) -> Result<(Vec<Record>, bool), DoseError> {
        for (name, found) in [("seeds", self.seeds), ("steps", self.steps)] {
            if !(1..=1_000_000).contains(&found) {
                return Err(DoseError::Range { name, found, allowed: "1 to 1,000,000" });
            }
        }
        let shares = if self.shares.is_empty() { &SHARES } else { self.shares };
        let parts = if self.parts.is_empty() { &Part::ALL } else { self.parts };
        let mut records = self.records()?;
        let all =
            parts.iter().map(|part| part.arms().len()).sum::<usize>() * shares.len() * self.seeds as usize;
        let mut made = 0;
        for part in parts {
            for seed in 1..=self.seeds {
                for &share in shares {
                    let missing =
                        |arm: &Arm| !records.iter().any(|r| (r.share, r.seed, r.arm) == (share, seed, *arm));
                    let (missing, known): (Vec<Arm>, Vec<Arm>) = part.arms().into_iter().partition(missing);
                    made += known.len();
                    if missing.is_empty() {
                        continue;
                    }
                    let trial = Trial::new(share, seed, self.steps, self.device)?;
                    for arm in missing {
                        let Some(record) = trial.run(arm, self.stop)? else { return Ok((records, false)) };
                        self.append(&record)?;
                        made += 1;
                        done(made, all, &record);
                        records.push(record);
                    }
                }
            }
        }
        Ok((records, true))
    }

    fn append(&self, record: &Record) -> Result<(), DoseError> {
        let path = self.path();
        let io = |source| DoseError::Io { action: "write", path: path.clone(), source };
        std::fs::create_dir_all(self.out).map_err(io)?;
        let mut line = serde_json::to_vec(record).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
        file.write_all(&line).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_not_run_again_and_what_a_kill_cut_off_is() {
        let folder = tempfile::tempdir().unwrap();
        let (device, stop) = (Device::flex(), Stop::new());
        let dose = Dose {
            out: folder.path(),
            shares: &[28],
            seeds: 1,
            steps: 2,
            parts: &[Part::Bounds],
            device: &device,
            stop: &stop,
        };
        let mut made = Vec::new();
        let (records, complete) = dose.run(&mut |at, of, record| made.push((at, of, record.arm))).unwrap();
        let arms = Part::Bounds.arms();
        assert!(complete && records.len() == arms.len());
        let counted: Vec<_> = arms.iter().enumerate().map(|(i, arm)| (i + 1, arms.len(), *arm)).collect();
        assert_eq!(made, counted);
        for record in &records {
            assert!(record.error_auc() > 0.0 && record.error_auc() <= 1.0, "{record}");
            assert!(record.probe.errors >= 0.0 && record.probe.tested > 0, "{record}");
            let exact = record.arm.by == By::Truth && !record.arm.shuffled;
            assert!(!exact || (record.precision, record.recall) == (Some(1.0), Some(1.0)), "{record:?}");
        }
        // Numbers may come back from JSON with another last digit.
        let texts = |records: &[Record]| records.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&dose.records().unwrap()), texts(&records));

        let path = folder.path().join(RECORDS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut again = Vec::new();
        let (records, _) = dose.run(&mut |_, _, record| again.push(record.arm)).unwrap();
        assert_eq!(again, arms[arms.len() - 1..]);
        assert_eq!(records.len(), arms.len());

        let other = Dose { steps: 3, ..dose };
        let error = other.run(&mut |_, _, _| ()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("have 2 steps, --steps says 3"), "{error}");
        std::fs::write(&path, "{}\n").unwrap();
        assert!(other.records().unwrap_err().to_string().contains("line 1 is not a record"));
        let none = Dose { seeds: 0, ..other };
        assert!(none.run(&mut |_, _, _| ()).unwrap_err().to_string().contains("--seeds is 0"));
    }

    #[test]
    fn a_masked_lm_has_no_detector_and_its_records_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (device, stop) = (Device::flex(), Stop::new());
        let dose = Dose {
            out: folder.path(),
            shares: &[28],
            seeds: 1,
            steps: 2,
            parts: &[Part::MaskedLm],
            device: &device,
            stop: &stop,
        };
        let (records, complete) = dose.run(&mut |_, _, _| ()).unwrap();
        assert!(complete && records.len() == Part::MaskedLm.arms().len());
        for record in &records {
            assert!(record.error_auc().is_nan() && record.closeness() < 0.0, "{record}");
        }
        let texts = |records: &[Record]| records.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&dose.records().unwrap()), texts(&records));
        let table = masked(&records).to_markdown();
        assert!(table.contains("| masked LM: hard by the truth, shuffled | 1 |"), "{table}");
        assert_eq!(bounds(&records).to_markdown().lines().count(), 2, "no row for a masked LM");
    }

    #[test]
    fn records_of_earlier_versions_are_read() {
        let line = r#"{"share":5,"seed":1,"correction":"weight","by":"generator","shuffled":true,"steps":300,"curve":[{"step":37,
            "error_auc":0.67,"label_auc":0.66,"fitting":0.007}],"masked_accuracy":0.5,"fitting_accuracy":0.6,"precision":null,"recall":0.1,
            "probe":{"errors":null,"fitting":0.9,"chance":0.2,"tested":0},"seconds_per_step":0.03}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(record.arm, Arm::of(Correction::Weight, By::Generator).control());
        assert!(record.probe.errors.is_nan() && record.closeness().is_nan());
        assert!(!serde_json::to_string(&record).unwrap().contains("loss"), "the keys are the same");
    }

    #[test]
    fn the_language_reaches_every_share() {
        for share in SHARES {
            let wanted = f64::from(share) / 100.0;
            let config = base_language().with_fitting_replacements(wanted, KNOWLEDGE, 5).unwrap();
            let language = fn_data::language::Language::new(config, 5).unwrap();
            let found = language.fitting_replacements(KNOWLEDGE, 100, 2);
            assert!((found - wanted).abs() < 0.015, "{found} for {wanted}");
        }
    }
}
