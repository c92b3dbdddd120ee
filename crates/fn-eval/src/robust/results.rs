//! The file of results.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Loss, RobustError};

/// Longest robust.json that is read.
const MAX_FILE: u64 = 1 << 20;

/// What the figures depend on. A folder holds one set of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the task.
    pub task: String,
    /// Folder or file of the data.
    pub data: String,
    /// The model's folder.
    pub model: String,
    /// Names of the perturbations.
    pub kinds: Vec<String>,
    /// Share of the words that is changed.
    pub rate: f64,
    /// Of the changes.
    pub seed: u64,
    /// First examples only.
    pub limit: Option<usize>,
    /// Of the bootstrap.
    pub resamples: usize,
}

/// One perturbed set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the set.
    pub set: String,
    /// Name of the perturbation.
    pub kind: String,
    /// Share of the examples whose text differs.
    pub changed: f64,
    /// Name of the score.
    pub metric: String,
    /// What was lost.
    #[serde(flatten)]
    pub loss: Loss,
}

/// robust.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What the rows were made with.
    pub settings: Settings,
    /// One for each set and perturbation.
    pub rows: Vec<Row>,
}

impl Results {
    /// Refuses a file that holds results of other settings; there may be none.
    ///
    /// # Errors
    /// Other settings, or a file that is none of ours.
    pub fn claim(path: &Path, settings: &Settings) -> Result<(), RobustError> {
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(RobustError::io("read", path)(error)),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(RobustError::io("read", path))?;
        let found: Self = serde_json::from_str(&text)
            .map_err(|error| RobustError::Damaged { path: path.to_owned(), message: error.to_string() })?;
        let (there, now) = (serde_json::to_value(&found.settings), serde_json::to_value(settings));
        let (Ok(serde_json::Value::Object(there)), Ok(serde_json::Value::Object(now))) = (there, now) else {
            return Ok(());
        };
        let differ: Vec<String> = now
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .map(|(key, value)| {
                format!("there {key} = {}, now {key} = {value}", there.get(key).cloned().unwrap_or_default())
            })
            .collect();
        if differ.is_empty() {
            return Ok(());
        }
        Err(RobustError::OtherSettings { path: path.to_owned(), differences: differ.join("; ") })
    }
}
