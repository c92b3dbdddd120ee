//! A generated language whose false negatives are known by construction, and three arms that are pre-trained on it.
//!
//! [`Setup`] holds all settings. [`Setup::write`] generates what a user would bring (a corpus, a vocabulary, a lexicon, a
//! configuration), so the folder is also a worked example; [`Trial`] then pre-trains one arm after the other.

mod explain;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fn_core::files::{parent, write_atomic};
use fn_data::language::{Language, LanguageConfig, LexiconNoise, SlotId};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{Table, number, percent};
use fn_train::TrainError;
use fn_train::config::{Arch, ConfigError, CorrectionConfig, CorrectionPreset, RunConfig, Runnable, preset};
use fn_train::heldout::Truth;
use fn_train::report::Reporter;
use fn_train::session::{Planted, Session, Summary};
use serde::{Deserialize, Serialize};

/// Training documents generated per step, so that training is below one epoch: 16 sequences of 64 tokens are about 13 documents.
const DOCUMENTS_PER_STEP: u64 = 14;
/// Number of documents of the held-out text.
const HELD_OUT_DOCUMENTS: usize = 400;
/// Number of held-out sequences for evaluation.
const HELD_OUT_ROWS: usize = 512;
/// Default steps per arm: three arms take about three minutes on two cores.
pub const STEPS: u64 = 5_000;
/// Name of the file with the metrics of all arms.
pub const SUMMARY: &str = "summary.json";
/// File with the settings from which language and lexicon were generated.
const LANGUAGE: &str = "language.toml";

/// XORed into the seed, so that held-out and training text differ.
const HELD_OUT: u64 = 0x0e1d;

/// The arms, in the order of the table.
pub const ARMS: [(&str, CorrectionPreset); 3] = [
    ("baseline", CorrectionPreset::None),
    ("hard", CorrectionPreset::Hard),
    ("soft", CorrectionPreset::Soft),
];

/// Metrics at the end of training, by name; undefined ones are omitted.
pub type Figures = BTreeMap<String, f64>;

/// Contents of [`SUMMARY`]: the metrics of each arm.
pub type Summaries = BTreeMap<String, Figures>;

/// Error of a quickstart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuickstartError {
    /// The language cannot be generated.
    #[error("the generated language: {0}")]
    Language(fn_data::language::LanguageError),
    /// An option is out of its range.
    #[error("--{name} is {found}; allowed: 0 to {most}")]
    OutOfRange {
        /// The option, without dashes.
        name: &'static str,
        /// Its value.
        found: f64,
        /// The largest that is allowed.
        most: f64,
    },
    /// The folder holds a quickstart with other settings.
    #[error("{path} holds a quickstart with other arguments; remove it or give another --out")]
    Other {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not empty and holds no quickstart.
    #[error("{path} is not empty and holds no quickstart; give another --out")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The setup cannot be read or written as TOML.
    #[error("{path}: {message}")]
    Setup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The summary cannot be read.
    #[error("{path}: {message}; remove the folder to run it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tokenizer or text cannot be written or read.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// The lexicon cannot be written.
    #[error(transparent)]
    Lexicon(#[from] fn_core::lexicon::LexiconError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl QuickstartError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the command line is at fault.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Language(_) | Self::OutOfRange { .. } | Self::Other { .. } | Self::Foreign { .. }
        )
    }
}

/// All settings of the generated data and of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Seed of the text and of all runs.
    pub seed: u64,
    /// Optimiser steps per arm.
    pub steps: u64,
    /// Masked language modelling instead of replaced-token detection.
    pub bert: bool,
    /// As `train.device`.
    pub device: String,
    /// Errors of the lexicon: missing and wrong pairs.
    pub noise: LexiconNoise,
    /// The language.
    pub language: LanguageConfig,
}

/// The result of [`Setup::write`].
pub struct Inputs {
    /// The language.
    pub language: Language,
    /// The configuration shared by all arms; only the correction differs.
    pub config: RunConfig,
}

impl Setup {
    /// ELECTRA on the default language, with a lexicon that has most of the planted synonyms, but not all, as real ones do.
    pub fn new(seed: u64, steps: u64, device: &str) -> Self {
        let (noise, language) = (LexiconNoise { coverage: 0.9, wrong: 0.05 }, LanguageConfig::default());
        Self { seed, steps, bert: false, device: device.to_owned(), noise, language }
    }

    /// Reads a setup from a TOML file.
    ///
    /// # Errors
    /// A file that cannot be read or is not a valid setup.
    pub fn open(path: &Path) -> Result<Self, QuickstartError> {
        let text = fn_core::files::read_to_string(path).map_err(QuickstartError::io("read", path))?;
        let wrong = |error: toml::de::Error| QuickstartError::Setup {
            path: path.to_owned(),
            message: error.to_string(),
        };
        toml::from_str(&text).map_err(wrong)
    }

    /// Writes the setup as a TOML file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), QuickstartError> {
        let wrong = |error: toml::ser::Error| QuickstartError::Setup {
            path: path.to_owned(),
            message: error.to_string(),
        };
        let text = toml::to_string(self).map_err(wrong)?;
        let folder = parent(path);
        std::fs::create_dir_all(folder).map_err(QuickstartError::io("create", folder))?;
        write_atomic(path, text.as_bytes()).map_err(QuickstartError::io("write", path))
    }

    /// Writes corpus, vocabulary, lexicon and configuration; files of an earlier quickstart with the same setup are kept.
    ///
    /// # Errors
    /// Options out of range, a folder with other contents, a full disk.
    pub fn write(&self, out: &Path) -> Result<Inputs, QuickstartError> {
        let language = Language::new(self.language.clone(), self.seed).map_err(QuickstartError::Language)?;
        let LexiconNoise { coverage, wrong } = self.noise;
        for (name, found, most) in [("coverage", coverage, 1.0), ("wrong", wrong, 100.0)] {
            if !(0.0..=most).contains(&found) {
                return Err(QuickstartError::OutOfRange { name, found, most });
            }
        }
        let mut config = self.configuration(out)?;
        let path = out.join("config.toml");
        let made_of =
            toml::to_string(&Made { seed: self.seed, noise: self.noise, language: language.config() })
                .map_err(|error| QuickstartError::Setup {
                    path: out.join(LANGUAGE),
                    message: error.to_string(),
                })?;
        if path.exists() {
            let earlier = fn_train::config::read(&path)?;
            let same = fn_core::files::read_to_string(&out.join(LANGUAGE)).is_ok_and(|text| text == made_of);
            if earlier != config || !same {
                return Err(QuickstartError::Other { path: out.to_owned() });
            }
            return Ok(Inputs { language, config });
        }
        if out.read_dir().is_ok_and(|mut d| d.next().is_some()) {
            return Err(QuickstartError::Foreign { path: out.to_owned() });
        }
        let tokenizer = TextTokenizer::from_vocab(language.vocabulary(), true)?;
        std::fs::create_dir_all(out).map_err(QuickstartError::io("write", out))?;
        tokenizer.save(&out.join("tokenizer"))?;
        let documents = DOCUMENTS_PER_STEP * config.train.steps.clamp(100, 10 * STEPS);
        let corpus: Vec<String> = language.documents(documents as usize, self.seed).collect();
        let text = out.join("corpus.txt");
        std::fs::write(&text, corpus.join("\n\n")).map_err(QuickstartError::io("write", &text))?;
        // For the user's own runs with this configuration; quickstart itself evaluates on sequences with known false negatives.
        let corpus: Vec<String> = language.documents(HELD_OUT_DOCUMENTS, self.seed ^ HELD_OUT).collect();
        let text = out.join("held-out.txt");
        std::fs::write(&text, corpus.join("\n\n")).map_err(QuickstartError::io("write", &text))?;
        language.lexicon(tokenizer.sha256(), self.noise)?.save(&out.join("lexicon.safetensors"))?;
        let described = out.join(LANGUAGE);
        std::fs::write(&described, made_of).map_err(QuickstartError::io("write", &described))?;
        config.data.held_out = Vec::new();
        fn_train::config::write(&path, &config)?;
        Ok(Inputs { language, config })
    }

    /// The preset `quickstart` with paths in this folder.
    fn configuration(&self, out: &Path) -> Result<RunConfig, ConfigError> {
        let mut config = preset("quickstart")?;
        if self.bert {
            config.model.arch = Arch::Bert;
            config.model.embedding_size = config.model.hidden_size;
            config.corruption.scheme = fn_core::corrupt::Scheme::Bert;
        }
        config.seed = self.seed;
        config.train.steps = self.steps;
        config.train.device = self.device.clone();
        config.schedule.warmup = config.schedule.warmup.min(config.train.steps / 10);
        config.data.train = vec![out.join("corpus.txt")];
        config.data.tokenizer = out.join("tokenizer");
        config.data.cache = Some(out.join("cache"));
        config.lexicon.path = Some(out.join("lexicon.safetensors"));
        Ok(config)
    }
}

/// The settings of the generated data, without those of training.
#[derive(Serialize)]
struct Made<'a> {
    seed: u64,
    noise: LexiconNoise,
    language: &'a LanguageConfig,
}

/// The known false negatives of the held-out sequences.
struct PlantedTruth {
    language: Language,
    slots: Vec<Vec<Option<SlotId>>>,
}

impl Truth for PlantedTruth {
    fn fits(&self, row: usize, position: usize, word: u32) -> bool {
        let slot = self.slots.get(row).and_then(|r| r.get(position)).copied().flatten();
        slot.is_some_and(|slot| self.language.truth_fits(slot, word))
    }
}

/// Held-out sequences with known false negatives, on which every arm is evaluated.
pub struct Trial {
    held_out: Arc<Dataset>,
    truth: PlantedTruth,
}

impl Trial {
    /// Generates the held-out sequences.
    ///
    /// # Errors
    /// Sequences that do not fit the configuration.
    pub fn new(setup: &Setup, inputs: Inputs) -> Result<Self, QuickstartError> {
        let Inputs { language, config } = inputs;
        let rows = language.rows(HELD_OUT_ROWS, config.data.length, setup.seed ^ HELD_OUT);
        let packed =
            rows.iter().map(|r| PackedRow { ids: r.ids.clone(), second: r.ids.len() as u16 }).collect();
        let held_out = Arc::new(Dataset::from_rows(packed, config.data.length)?);
        let truth = PlantedTruth { slots: rows.into_iter().map(|r| r.slots).collect(), language };
        Ok(Self { held_out, truth })
    }

    /// The language.
    pub fn language(&self) -> &Language {
        &self.truth.language
    }

    /// Pre-trains one arm in its session.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run(&self, session: &Session, reporter: &mut dyn Reporter) -> Result<Summary, QuickstartError> {
        let planted = Planted { data: self.held_out.clone(), truth: &self.truth };
        Ok(session.run(reporter, Some(planted))?)
    }
}

/// The configuration of an arm.
///
/// # Errors
/// An invalid configuration.
pub fn arm(config: &RunConfig, preset: CorrectionPreset) -> Result<Runnable, ConfigError> {
    Runnable::of(RunConfig { correction: CorrectionConfig::preset(preset), ..config.clone() })
}

/// A metric at the end of an arm's training.
pub fn measured(summary: &Summary, metric: &str) -> Option<f64> {
    summary.evaluation.as_ref().and_then(|found| found.get(metric))
}

/// The metrics of all arms as a table.
pub fn table(setup: &Setup, arms: &[(&str, Summary)]) -> Table {
    let mut headings = vec!["held out", "exact", "fitting", "wrong", "of them false neg."];
    if !setup.bert {
        headings.extend(["detector AUC", "true AUC"]);
    }
    headings.push("ms/step");
    let mut table = Table::new(headings);
    for (name, summary) in arms {
        let mut cells = vec![
            (*name).to_owned(),
            percent(measured(summary, "masked_accuracy")),
            percent(measured(summary, "fitting_accuracy")),
            percent(measured(summary, "wrong_share")),
            percent(measured(summary, "predicted_true_false_negative_share")),
        ];
        if !setup.bert {
            cells.push(number(measured(summary, "detector_auc"), 3));
            cells.push(number(measured(summary, "detector_true_auc"), 3));
        }
        cells.push(number(Some(summary.seconds_per_step * 1e3), 0));
        table.row(cells);
    }
    table
}

/// Writes the metrics of all arms to [`SUMMARY`], JSON, and returns that text.
///
/// # Errors
/// The file cannot be written.
pub fn summarise(out: &Path, arms: &[(&str, Summary)]) -> Result<String, QuickstartError> {
    let of = |summary: &Summary| -> Figures {
        let all = summary.evaluation.iter().flat_map(|found| &found.metrics);
        all.filter(|(_, value)| value.is_finite()).cloned().collect()
    };
    let figures: Summaries = arms.iter().map(|(name, summary)| ((*name).to_owned(), of(summary))).collect();
    let path = out.join(SUMMARY);
    let text = serde_json::to_string_pretty(&figures)
        .map_err(|error| QuickstartError::Damaged { path: path.clone(), message: error.to_string() })?;
    write_atomic(&path, text.as_bytes()).map_err(QuickstartError::io("write", &path))?;
    Ok(text)
}

/// Reads the metrics of all arms from [`SUMMARY`].
///
/// # Errors
/// A file that cannot be read.
pub fn summaries(out: &Path) -> Result<Summaries, QuickstartError> {
    let path = out.join(SUMMARY);
    let text = fn_core::files::read_to_string(&path).map_err(QuickstartError::io("read", &path))?;
    serde_json::from_str(&text)
        .map_err(|error| QuickstartError::Damaged { path: path.clone(), message: error.to_string() })
}

/// A sentence of the language with one content word masked, as input for `fnlm inspect`.
pub fn question(language: &Language, seed: u64) -> String {
    let row = language.row(0, 16, seed ^ HELD_OUT);
    let mut out = Vec::new();
    let mut hidden = false;
    for (&id, slot) in row.ids.iter().zip(&row.slots) {
        let word = language.word(id).unwrap_or_default();
        match word {
            "[CLS]" | "[SEP]" => continue,
            _ if slot.is_some() && out.len() > 3 && !hidden => {
                hidden = true;
                out.push("[MASK]");
            }
            _ => out.push(word),
        }
        if word == "." {
            break;
        }
    }
    out.join(" ")
}
