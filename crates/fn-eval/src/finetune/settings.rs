//! The settings of the fine-tuning runs in a folder. A folder holds runs with one set of settings, so that results are
//! comparable.

use std::path::{Path, PathBuf};

use fn_core::files::write_atomic;
use fn_train::lock;
use serde::{Deserialize, Serialize};

use super::{FinetuneError, Task};
use crate::finetune::fit::Recipe;

/// Name of the settings file.
pub const SETTINGS: &str = "finetune.toml";

/// Everything that results depend on, except the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the task.
    pub task: String,
    /// The encoder's folder.
    pub model: PathBuf,
    /// The data's folder or files.
    pub data: Vec<PathBuf>,
    /// Train only on this many examples, the first of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Settings that only this task has.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub task_settings: toml::Table,
    /// The fine-tuning recipe.
    pub recipe: Recipe,
}

impl Settings {
    /// Settings for a task other than SQuAD.
    pub fn of_task(task: &Task, model: &Path, data: &Path, limit: Option<usize>, recipe: Recipe) -> Self {
        Self {
            task: task.name().to_owned(),
            model: model.to_owned(),
            data: vec![data.to_owned()],
            limit,
            task_settings: match task {
                Task::Own { spec, .. } => toml::Table::try_from(spec).unwrap_or_default(),
                Task::Glue(_) => toml::Table::new(),
            },
            recipe,
        }
    }

    /// Compares the settings with those in a folder, without writing. Returns whether they are there already.
    ///
    /// # Errors
    /// Different settings in the file; a folder with files but no settings; a file that cannot be read.
    pub fn check(&self, dir: &Path) -> Result<bool, FinetuneError> {
        let path = dir.join(SETTINGS);
        let holds_files = || dir.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if !path.exists() && (holds_files() || dir.is_file()) {
            return Err(FinetuneError::ForeignFolder { path: dir.to_owned() });
        }
        if !path.exists() {
            return Ok(false);
        }
        let before = fn_core::files::read_to_string(&path).map_err(FinetuneError::io(&path, "read"))?;
        let damaged = |message: String| FinetuneError::Damaged { path: path.clone(), message };
        let before: Self = toml::from_str(&before).map_err(|e| damaged(e.to_string()))?;
        if before == *self {
            return Ok(true);
        }
        if !begun(dir) {
            // Of a command that was refused before its first step: a corrected one may follow.
            return Ok(false);
        }
        let lines = |settings: &Self| -> Vec<String> {
            toml::to_string(settings).unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let (old, new) = (lines(&before), lines(self));
        let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("before: {line}"));
        let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("now: {line}"));
        let differences = gone.chain(come).collect::<Vec<_>>().join("; ");
        Err(FinetuneError::OtherSettings { path: dir.to_owned(), differences })
    }

    /// Writes the settings file unless it is there.
    ///
    /// # Errors
    /// As [`check`](Self::check); a file that cannot be written.
    pub fn claim(&self, dir: &Path) -> Result<(), FinetuneError> {
        if self.check(dir)? {
            return Ok(());
        }
        let path = dir.join(SETTINGS);
        let damaged =
            |e: toml::ser::Error| FinetuneError::Damaged { path: path.clone(), message: e.to_string() };
        let text = toml::to_string(self).map_err(damaged)?;
        std::fs::create_dir_all(dir).map_err(FinetuneError::io(dir, "create"))?;
        write_atomic(&path, text.as_bytes()).map_err(FinetuneError::io(&path, "write"))
    }
}

/// Whether the folder of a seed holds more than its lock.
fn begun(dir: &Path) -> bool {
    let inside = |folder: &Path| folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let of_seed =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-"));
    inside(dir)
        .filter(of_seed)
        .any(|seed| inside(&seed).any(|path| path.file_name().is_none_or(|name| name != lock::FILE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_settings_in_the_same_folder_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            task: "RTE".into(),
            model: "m".into(),
            data: vec!["d".into()],
            limit: None,
            task_settings: toml::Table::new(),
            recipe: Recipe::default(),
        };
        settings.claim(dir.path()).unwrap();
        settings.claim(dir.path()).unwrap();
        let foreign = settings.claim(dir.path().parent().unwrap()).unwrap_err().to_string();
        assert!(foreign.contains("other files than results of fnlm"), "{foreign}");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(settings.claim(&file), Err(FinetuneError::ForeignFolder { .. })));
        let other =
            Settings { limit: Some(3), recipe: Recipe { batch: 5, ..Recipe::default() }, ..settings.clone() };
        // Where nothing was trained yet, the corrected command counts.
        std::fs::create_dir(dir.path().join("seed-1")).unwrap();
        std::fs::write(dir.path().join("seed-1/run.lock"), "").unwrap();
        other.claim(dir.path()).unwrap();
        settings.claim(dir.path()).unwrap();
        std::fs::write(dir.path().join("seed-1/result.json"), "{}").unwrap();
        let text = other.claim(dir.path()).unwrap_err().to_string();
        for part in ["before: batch = 32", "now: batch = 5", "now: limit = 3", "--out"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
