//! Arms as what they are: a resolved configuration of pre-training, and settings of the tasks.

use std::path::Path;

use fn_data::task::Split;
use fn_eval::finetune::fit::Recipe;
use fn_eval::finetune::settings::SETTINGS;
use fn_eval::finetune::{FinetuneError, Results, Settings, Task, results};
use fn_models::{Arch, hf};
use fn_train::config::layers::Setting;
use fn_train::config::{self, Layers, Resolved, RunConfig, Runnable, SetError, set_values};
use fn_train::rundir;

use super::{Arm, Evaluation, Run, Study, StudyError, evaluation_folder, run_folder};

/// A machine's own affair: parts of a study may run on different ones.
const DEVICE: &str = "train.device";

impl Study {
    /// The configuration of a run; `set` are further `key=value` settings, over all others.
    ///
    /// # Errors
    /// Anything that is wrong in it, by the name of the arm.
    pub fn resolve(&self, arm: &Arm, seed: u64, set: &[String]) -> Result<Runnable, StudyError> {
        let number = i64::try_from(seed).unwrap_or(i64::MAX);
        let layers = Layers {
            preset: self.preset.clone(),
            file: self.config.clone(),
            options: vec![Setting::option("--seed", "seed", number)],
            set: [&self.set[..], &arm.set[..], set].concat(),
            ..Layers::default()
        };
        let wrong = |source| StudyError::Arm { arm: arm.name.clone(), source };
        layers.resolve().and_then(Resolved::runnable).map_err(wrong)
    }

    /// Checks every arm's configuration and every task, and that what `mine` read is there, but for what another run of the
    /// study writes into `out` first.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, out: &Path, mine: &[&Arm], set: &[String]) -> Result<(), StudyError> {
        if let Some(seed) = set.iter().find(|setting| super::sets_seed(setting)) {
            return Err(StudyError::SetsSeed { setting: seed.clone() });
        }
        for arm in &self.arms {
            let config = self.resolve(arm, 1, set)?;
            if mine.contains(&arm) {
                let missing = |source| StudyError::Files { arm: arm.name.clone(), source };
                // What another run of the study writes first need not be there yet.
                config.require_files(|path| path.starts_with(out)).map_err(missing)?;
            }
        }
        for evaluation in &self.evaluations {
            let task = Task::open(&evaluation.task)?;
            set_values(&Recipe::default(), &evaluation.set).map_err(wrong_recipe(evaluation))?;
            for split in [Split::Train, Split::Dev] {
                if task.find(&evaluation.data, split).map_err(FinetuneError::from)?.is_none() {
                    let task = task.name().to_owned();
                    return Err(StudyError::NoSet { data: evaluation.data.clone(), split, task });
                }
            }
        }
        Ok(())
    }

    /// How many runs were made with other settings than those that the description has now, with an example; None if all were
    /// made with these.
    pub fn made_otherwise(&self, out: &Path, runs: &[Run]) -> Option<String> {
        let mut others = Vec::new();
        for run in runs {
            let arm = &self.arms[run.arm];
            let folder = run_folder(out, arm, run.seed);
            let now = self.resolve(arm, run.seed, &[]);
            if let (Ok(before), Ok(now)) = (config::read(&folder.join(rundir::CONFIG)), now)
                && let Some((key, old, new)) = different(&before, &now)
            {
                others.push(format!("{} seed {} has {key} = {old}, not {new}", arm.name, run.seed));
                continue;
            }
            let other = |e: &&Evaluation| e.results(&folder).is_some() && !e.is_same(&folder);
            if let Some(evaluation) = self.evaluations.iter().find(other) {
                others.push(format!("{} seed {} on {}", arm.name, run.seed, evaluation.task));
            }
        }
        others.first().map(|example| {
            format!(
                "{} of {} runs were made with other settings than the description has now, e.g. {example}",
                others.len(),
                runs.len()
            )
        })
    }
}

/// The first key in which two runs differ that must not, with both values.
pub(super) fn different(before: &RunConfig, now: &RunConfig) -> Option<(String, String, String)> {
    rundir::unlike(before, now, &[DEVICE.to_owned()]).into_iter().next()
}

/// What a run that is there has otherwise than it would have now, in words.
pub(super) fn unlike(run: &Path, now: &RunConfig) -> Option<String> {
    match config::read(&run.join(rundir::CONFIG)) {
        Ok(before) => different(&before, now).map(|(key, old, new)| format!("{key}: {old} there, {new} now")),
        Err(error) => Some(format!("its own cannot be read: {error}")),
    }
}

fn wrong_recipe(evaluation: &Evaluation) -> impl FnOnce(SetError) -> StudyError {
    let task = evaluation.task.clone();
    move |source| StudyError::Recipe { task, source }
}

impl Evaluation {
    /// The task and how an encoder of this architecture and width is fine-tuned on it.
    ///
    /// # Errors
    /// A task that does not exist, a setting that is wrong.
    pub fn recipe(&self, arch: Arch, hidden_size: usize) -> Result<(Task, Recipe), StudyError> {
        let task = Task::open(&self.task)?;
        let recipe = set_values(&task.recipe(arch, hidden_size), &self.set).map_err(wrong_recipe(self))?;
        Ok((task, recipe))
    }

    /// What a run's model is fine-tuned with; `model` is how its folder is named in the settings.
    ///
    /// # Errors
    /// As [`Evaluation::recipe`]; a run without a model.
    pub fn settings(&self, run: &Path, model: &Path) -> Result<Settings, StudyError> {
        let (arch, encoder) = hf::read_encoder(&run.join(rundir::MODEL)).map_err(FinetuneError::from)?;
        let (task, recipe) = self.recipe(arch, encoder.hidden_size)?;
        Ok(Settings::of_task(&task, model, &self.data, self.limit, recipe))
    }

    /// The scores of a run, if all seeds are there.
    pub fn results(&self, run: &Path) -> Option<Results> {
        let path = evaluation_folder(run, self).join(results::RESULTS);
        let found = results::read::<Results>(&path).ok().flatten()?;
        (found.seeds.len() as u64 >= self.seeds).then_some(found)
    }

    /// Whether the folder of scores was made with what the evaluation says now.
    pub(super) fn is_same(&self, run: &Path) -> bool {
        let path = evaluation_folder(run, self).join(SETTINGS);
        let Ok(text) = std::fs::read_to_string(path) else { return false };
        let Ok(made) = toml::from_str::<Settings>(&text) else { return false };
        // The model is the run's own, by whatever path it was reached.
        self.settings(run, &made.model).is_ok_and(|now| now == made)
    }

    /// Whether the scores of a run are there and were made with what the evaluation says now.
    pub(super) fn is_done(&self, run: &Path) -> bool {
        self.results(run).is_some() && self.is_same(run)
    }
}
