//! Studies: compares arms (ways of pre-training) over several seeds, and tests whether their differences are more than noise.
//!
//! [`Study`] is the description, [`Plan`] runs the unfinished runs, [`Table`] holds the results. Arms are compared with the first one, seed by seed.
//!
//! ```toml
//! name = "quick"
//! preset = "electra-tiny"                 # and/or config = "my.toml"
//! set = ["train.steps=500"]               # for all arms
//! seeds = [1, 2, 3]
//!
//! [[arm]]
//! name = "baseline"
//!
//! [[arm]]
//! name = "hard"
//! set = ["correction.preset=hard"]
//!
//! [[evaluate]]                            # fine-tuned on
//! task = "rte"
//! data = "glue_data"
//!
//! [[measure]]                             # measured as it is
//! name = "blimp"
//! kind = "pairs"
//! data = ["blimp/data"]
//! ```

mod alike;
mod all;
mod arms;
mod error;
mod estimate;
mod html;
mod measure;
mod report;
mod run;
mod verdict;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fn_data::names::explained;
use serde::{Deserialize, Serialize};

pub use all::{AllRan, part};
pub use error::StudyError;
pub use estimate::{Entry, Outlook, State};
pub use html::page;
pub use measure::{Kind, Measure};
use report::HEADINGS;
pub use report::{Collected, Figure, Row, Run, Table, collect, table};
pub use run::{Plan, Ran};
pub use verdict::Effect;
use verdict::words;

/// Maximum size of a description, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The description of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Its name.
    pub name: String,
    /// The question of the study, for the report.
    #[serde(default)]
    pub about: String,
    /// Base configuration file of all arms.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Preset that the configuration file overrides.
    #[serde(default)]
    pub preset: Option<String>,
    /// `key=value` settings for all arms.
    #[serde(default)]
    pub set: Vec<String>,
    /// Under `mpirun` or `srun`: seconds that a rank waits for another one of which it hears nothing, at least 1.
    #[serde(default = "rank_timeout", skip_serializing_if = "is_default_timeout")]
    pub rank_timeout: u64,
    /// Seeds: every arm is run once with each.
    pub seeds: Vec<u64>,
    /// The arms; the first is the baseline of all comparisons.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
    /// Tasks on which each run is fine-tuned.
    #[serde(default, rename = "evaluate")]
    pub evaluations: Vec<Evaluation>,
    /// What is measured of each run's model without fine-tuning it.
    #[serde(default, rename = "measure")]
    pub measures: Vec<Measure>,
}

/// One way of pre-training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name: letters, digits, `-`, `_` and `.`; also the name of its folder.
    pub name: String,
    /// Its description, for the report.
    #[serde(default)]
    pub about: String,
    /// `key=value` settings that override those of the study.
    #[serde(default)]
    pub set: Vec<String>,
    /// Another arm with which the report compares it as well: the same correction without its knowledge.
    #[serde(default)]
    pub control: Option<String>,
}

/// A task on which the models are fine-tuned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// A task of GLUE, or a description (.toml).
    pub task: String,
    /// Folder of the task's files, or the parent folder of all tasks.
    pub data: PathBuf,
    /// Number of fine-tuning seeds; the run's score is their mean.
    #[serde(default = "one")]
    pub seeds: u64,
    /// Train on this many examples only, the first of the file.
    #[serde(default)]
    pub limit: Option<usize>,
    /// `key=value` settings of the recipe.
    #[serde(default)]
    pub set: Vec<String>,
}

fn one() -> u64 {
    1
}

fn rank_timeout() -> u64 {
    60
}

fn is_default_timeout(seconds: &u64) -> bool {
    *seconds == rank_timeout()
}

impl Study {
    /// Reads a description.
    ///
    /// # Errors
    /// A file that cannot be read; unknown keys, no arms or seeds, duplicate names, seeds or tasks.
    pub fn open(path: &Path) -> Result<Self, StudyError> {
        let io = |source| StudyError::Io { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > MAX_BYTES {
            return Err(StudyError::Wrong {
                path: path.to_owned(),
                message: format!("{size} bytes, expected a description of at most {MAX_BYTES}"),
            });
        }
        Self::parse(&fn_core::files::read_to_string(path).map_err(io)?, path)
    }

    /// Parses a description; `path` is used in error messages, and relative paths in the text are relative to its folder.
    ///
    /// # Errors
    /// As [`Study::open`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, StudyError> {
        let wrong = |message: String| StudyError::Wrong { path: path.to_owned(), message };
        let mut study: Self = toml::from_str(text).map_err(|e| wrong(explained(e.to_string().trim())))?;
        study.check_description().map_err(wrong)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = study.config.iter_mut();
        let data = study.evaluations.iter_mut().map(|e| &mut e.data);
        let measured = study.measures.iter_mut().flat_map(|measure| &mut measure.data);
        for path in config.chain(data).chain(measured) {
            *path = folder.join(&*path);
        }
        for evaluation in &mut study.evaluations {
            if evaluation.task.ends_with(".toml") {
                evaluation.task = folder.join(&evaluation.task).display().to_string();
            }
        }
        Ok(study)
    }

    fn check_description(&self) -> Result<(), String> {
        let plain = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && !name.starts_with('.') && name.chars().all(fits)
        };
        if self.arms.is_empty() {
            return Err("there is no [[arm]], expected at least one".to_owned());
        }
        if self.seeds.is_empty() {
            return Err("`seeds` is empty, expected e.g. [1, 2, 3]".to_owned());
        }
        if !(1..=86_400).contains(&self.rank_timeout) {
            return Err(format!("`rank_timeout` is {}, expected 1 to 86,400 seconds", self.rank_timeout));
        }
        let mut seen = BTreeSet::new();
        for arm in &self.arms {
            if !plain(&arm.name) {
                return Err(format!(
                    "the name of arm {:?} may only have letters, digits, `-`, `_` and `.`, because a folder gets that name",
                    arm.name
                ));
            }
            if !seen.insert(arm.name.to_lowercase()) {
                return Err(format!("two arms are named {:?}", arm.name));
            }
        }
        for arm in &self.arms {
            if let Some(control) = &arm.control
                && (*control == arm.name || self.arms.iter().all(|other| other.name != *control))
            {
                return Err(format!(
                    "`control` of arm {:?} is {control:?}, expected the name of another arm",
                    arm.name
                ));
            }
        }
        if let Some(fault) = self.measures.iter().find_map(Measure::fault) {
            return Err(fault);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.measures.iter().find(|measure| !seen.insert(&measure.name)) {
            return Err(format!("two [[measure]] are named {:?}", twice.name));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.seeds.iter().find(|seed| !seen.insert(**seed)) {
            return Err(format!("seed {twice} is in `seeds` twice; it would count double"));
        }
        if let Some(none) = self.evaluations.iter().find(|e| e.seeds == 0) {
            return Err(format!("`seeds` of {} is 0, expected at least 1", none.task));
        }
        let mut seen = BTreeSet::new();
        let twice = self.evaluations.iter().find(|e| !seen.insert(evaluation_folder(Path::new(""), e)));
        if let Some(twice) = twice {
            return Err(format!("two [[evaluate]] are of the task {:?}; it would count double", twice.task));
        }
        let mut sets = self.arms.iter().flat_map(|arm| &arm.set).chain(&self.set);
        if let Some(seed) = sets.find(|setting| sets_seed(setting)) {
            return Err(format!("{seed:?} in `set` would give every run the same seed; use `seeds`"));
        }
        if self.name.is_empty() || self.name.contains(['/', '\\']) {
            return Err(format!("the name {:?} cannot be part of a folder's name", self.name));
        }
        Ok(())
    }

    /// Every run (arm and seed): all arms of the first seed come first, so that a half-finished study covers all arms.
    pub fn runs(&self) -> Vec<(&Arm, u64)> {
        self.seeds.iter().flat_map(|&seed| self.arms.iter().map(move |arm| (arm, seed))).collect()
    }
}

/// Whether a `key=value` setting sets the seed, which only the study may set.
pub fn sets_seed(setting: &str) -> bool {
    setting.split_once('=').is_some_and(|(key, _)| key.trim() == "seed")
}

/// Folder of a run.
pub fn run_folder(out: &Path, arm: &Arm, seed: u64) -> PathBuf {
    out.join(&arm.name).join(format!("seed-{seed}"))
}

/// Folder of a run's scores on a task.
pub fn evaluation_folder(run: &Path, evaluation: &Evaluation) -> PathBuf {
    let name = Path::new(&evaluation.task).file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    run.join(format!("finetune-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Study, StudyError> {
        Study::parse(text, Path::new("studies/x.toml"))
    }

    #[test]
    fn a_study_is_read_and_its_paths_are_relative_to_it() {
        let study = parse(
            "name = \"x\"\nconfig = \"a.toml\"\nseeds = [1, 2]\n[[arm]]\nname = \"baseline\"\n[[arm]]\nname = \"hard\"\n\
             set = [\"correction.preset=hard\"]\ncontrol = \"baseline\"\n[[evaluate]]\ntask = \"rte\"\ndata = \"../glue\"\n\
             [[measure]]\nname = \"wild\"\nkind = \"replacements\"\ndata = [\"../wild.jsonl\"]\n",
        )
        .unwrap();
        assert_eq!(study.config.as_deref(), Some(Path::new("studies/a.toml")));
        assert_eq!(study.evaluations[0].data, Path::new("studies/../glue"));
        assert_eq!(study.measures[0].data, [Path::new("studies/../wild.jsonl")]);
        assert_eq!(study.arms[1].control.as_deref(), Some("baseline"));
        let runs: Vec<(&str, u64)> =
            study.runs().iter().map(|(arm, seed)| (arm.name.as_str(), *seed)).collect();
        assert_eq!(runs, [("baseline", 1), ("hard", 1), ("baseline", 2), ("hard", 2)]);
        let run = run_folder(Path::new("out"), &study.arms[1], 2);
        assert_eq!(evaluation_folder(&run, &study.evaluations[0]), Path::new("out/hard/seed-2/finetune-rte"));
    }

    #[test]
    fn errors_of_the_description_name_the_problem() {
        let arm = "[[arm]]\nname = \"a\"\n";
        for (text, part) in [
            (format!("name = \"x\"\nseeds = [1, 2, 1]\n{arm}"), "seed 1 is in `seeds` twice"),
            (format!("name = \"x\"\nseeds = []\n{arm}"), "`seeds` is empty"),
            (format!("name = \"x\"\nseeds = [1]\nrank_timeout = 0\n{arm}"), "`rank_timeout` is 0"),
            (format!("name = \"x\"\nseeds = [1]\n{arm}{arm}"), "two arms are named"),
            (format!("name = \"x\"\nseeds = [1]\n{arm}sett = []\n"), "sett"),
            ("name = \"x\"\nseeds = [1]\n[[arm]]\nname = \"../a\"\n".to_owned(), "letters, digits"),
            ("name = \"x\"\nseeds = [1]\narm = []\n".to_owned(), "no [[arm]]"),
            (format!("name = \"x\"\nseeds = [1]\n{arm}control = \"a\"\n"), "the name of another arm"),
            (format!("name = \"x\"\nseeds = [1]\n{arm}control = \"b\"\n"), "`control` of arm \"a\" is \"b\""),
            (
                format!(
                    "name = \"x\"\nseeds = [1]\n{arm}{0}{0}",
                    "[[measure]]\nname = \"m\"\nkind = \"pairs\"\ndata = [\"d\"]\n"
                ),
                "two [[measure]] are named \"m\"",
            ),
            (
                format!(
                    "name = \"x\"\nseeds = [1]\n{arm}[[measure]]\nname = \"m\"\nkind = \"pairs\"\ndata = []\n"
                ),
                "`data` of the measure \"m\" is empty",
            ),
            (format!("name = \"x\"\nseeds = [1]\nset = [\"seed = 3\"]\n{arm}"), "the same seed"),
            (format!("name = \"x/y\"\nseeds = [1]\n{arm}"), "folder's name"),
            (
                format!(
                    "name = \"x\"\nseeds = [1]\n{arm}{0}{0}",
                    "[[evaluate]]\ntask = \"rte\"\ndata = \"d\"\n"
                ),
                "two [[evaluate]]",
            ),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains("studies/x.toml") && error.contains(part), "{error}");
        }
        assert!(Study::open(Path::new("no-such.toml")).unwrap_err().to_string().contains("no-such.toml"));
    }
}
