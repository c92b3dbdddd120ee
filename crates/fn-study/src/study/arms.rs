//! Resolves the pre-training configuration of each arm and the fine-tuning settings of each task.

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

/// May differ between the runs of a study, which may be spread over machines.
const DEVICE: &str = "train.device";

impl Study {
    /// The configuration of a run; `set` are further `key=value` settings, which override all others.
    ///
    /// # Errors
    /// An invalid configuration, with the name of the arm.
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

    /// Checks every arm's configuration and every task, and that the input files of the arms `mine` exist, except files that another
    /// run of the study will write into `out`.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self, out: &Path, mine: &[&Arm], set: &[String]) -> Result<(), StudyError> {
        if let Some(seed) = set.iter().find(|setting| super::sets_seed(setting)) {
            return Err(StudyError::SetsSeed { setting: seed.clone() });
        }
        let mut shortest: Option<(usize, &str)> = None;
        for arm in &self.arms {
            let config = self.resolve(arm, 1, set)?;
            let positions = config.model.max_positions;
            if shortest.is_none_or(|(fewest, _)| positions < fewest) {
                shortest = Some((positions, &arm.name));
            }
            if mine.contains(&arm) {
                let missing = |source| StudyError::Files { arm: arm.name.clone(), source };
                // Files that another run of the study will write need not exist yet.
                config.require_files(|path| path.starts_with(out)).map_err(missing)?;
            }
        }
        for evaluation in &self.evaluations {
            let task = Task::open(&evaluation.task)?;
            let recipe = set_values(&Recipe::default(), &evaluation.set).map_err(wrong_recipe(evaluation))?;
            let wrong = |message: String| StudyError::Wrong { path: evaluation.task.clone().into(), message };
            recipe.validate().map_err(|error| wrong(format!("recipe: {error}")))?;
            // What fine-tuning needs is checked before hours of pre-training.
            if let Some((positions, arm)) = shortest.filter(|(fewest, _)| recipe.length > *fewest) {
                return Err(wrong(format!(
                    "its sequences have `length` = {} tokens, but the models of arm {arm} read at most {positions}; add \
                     \"length={positions}\" to the `set` of the [[evaluate]]",
                    recipe.length
                )));
            }
            for split in [Split::Train, Split::Dev] {
                let Some(data) = task.find(&evaluation.data, split).map_err(FinetuneError::from)? else {
                    let task = task.name().to_owned();
                    return Err(StudyError::NoSet { data: evaluation.data.clone(), split, task });
                };
                data.require_labels().map_err(FinetuneError::from)?;
                if split == Split::Dev {
                    task.check_scoring(&data)?;
                }
            }
        }
        Ok(())
    }

    /// A warning with the number of runs whose settings differ from the current description, and an example; None if there are
    /// none.
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

/// The first key (except the device) in which two configurations differ, with both values.
pub(super) fn different(before: &RunConfig, now: &RunConfig) -> Option<(String, String, String)> {
    rundir::unlike(before, now, &[DEVICE.to_owned()]).into_iter().next()
}

/// How the configuration of an existing run differs from the current one, in words; None if it does not.
pub(super) fn unlike(run: &Path, now: &RunConfig) -> Option<String> {
    match config::read(&run.join(rundir::CONFIG)) {
        Ok(before) => different(&before, now).map(|(key, old, new)| format!("{key} was {old}, is now {new}")),
        Err(error) => Some(format!("its config.toml cannot be read: {error}")),
    }
}

fn wrong_recipe(evaluation: &Evaluation) -> impl FnOnce(SetError) -> StudyError {
    let task = evaluation.task.clone();
    move |source| StudyError::Recipe { task, source }
}

impl Evaluation {
    /// The task, and the recipe for fine-tuning an encoder of this architecture and hidden size on it.
    ///
    /// # Errors
    /// An unknown task, an invalid setting.
    pub fn recipe(&self, arch: Arch, hidden_size: usize) -> Result<(Task, Recipe), StudyError> {
        let task = Task::open(&self.task)?;
        let recipe = set_values(&task.recipe(arch, hidden_size), &self.set).map_err(wrong_recipe(self))?;
        Ok((task, recipe))
    }

    /// The fine-tuning settings for a run's model; `model` is the path of its folder to record in the settings.
    ///
    /// # Errors
    /// As [`Evaluation::recipe`]; a run without a model.
    pub fn settings(&self, run: &Path, model: &Path) -> Result<Settings, StudyError> {
        let (arch, encoder) = hf::read_encoder(&run.join(rundir::MODEL)).map_err(FinetuneError::from)?;
        let (task, recipe) = self.recipe(arch, encoder.hidden_size)?;
        Ok(Settings::of_task(&task, model, &self.data, self.limit, recipe))
    }

    /// The scores of a run, if all fine-tuning seeds are finished.
    pub fn results(&self, run: &Path) -> Option<Results> {
        let path = evaluation_folder(run, self).join(results::RESULTS);
        let found = results::read::<Results>(&path).ok().flatten()?;
        (found.seeds.len() as u64 >= self.seeds).then_some(found)
    }

    /// Whether the scores were made with the current settings of the evaluation.
    pub(super) fn is_same(&self, run: &Path) -> bool {
        let path = evaluation_folder(run, self).join(SETTINGS);
        let Ok(text) = fn_core::files::read_to_string(&path) else { return false };
        let Ok(made) = toml::from_str::<Settings>(&text) else { return false };
        // The model is the run's own, whatever path was recorded for it.
        self.settings(run, &made.model).is_ok_and(|now| now == made)
    }

    /// Whether the scores of a run exist and were made with the current settings.
    pub(super) fn is_done(&self, run: &Path) -> bool {
        self.results(run).is_some() && self.is_same(run)
    }
}
