//! The steps of one fine-tuning run (one seed), the same for every task: read a finished result, or else load, train, predict,
//! score and save.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use fn_core::files::{read_to_string, write_atomic};
use fn_data::tokenise::TextTokenizer;
use fn_models::TaskConfig;
use fn_models::hf::{self, LoadReport};
use fn_train::TrainError;
use fn_train::checkpoint::{CheckpointError, Checkpoints};
use fn_train::collective::{Collective, Meeting, Patience, meet};
use fn_train::descent::Descent;
use fn_train::lock::{self, RunLock};
use fn_train::report::WARNINGS;
use fn_train::stop::Stop;

use super::fit::{Ended, Job, Recipe, Step};
use super::results::{self, RESULT};
use super::{Event, FinetuneError, Kind, SeedResult, card, warnings};

/// Name of the fine-tuned model's folder.
const MODEL: &str = "model";

/// The inputs of a run that do not depend on the kind of task.
pub(super) struct Shared<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// What the task predicts; None for SQuAD.
    pub kind: Option<Kind>,
    /// The encoder, in the Hugging Face layout.
    pub model: &'a Path,
    /// Tokenizer of the encoder.
    pub tokenizer: &'a TextTokenizer,
    /// The fine-tuning recipe.
    pub recipe: &'a Recipe,
    /// Maximum sequence length, in tokens.
    pub length: usize,
    /// Number of training sequences.
    pub train_examples: usize,
    /// What looks wrong in the data and the recipe.
    pub warnings: &'a [String],
    /// Device to train on, with autodiff.
    pub device: &'a Device,
    /// Polled before each step.
    pub stop: &'a Stop,
    /// Whether the fine-tuned model is saved.
    pub keep_model: bool,
    /// The processes that fine-tune together.
    pub ranks: &'a dyn Collective,
}

/// Scores of a model on the development sets.
pub(super) struct Measured {
    /// Value of the main metric; NaN where the metric is undefined.
    pub main: f64,
    /// Name of the main metric.
    pub metric: String,
    /// All metrics, by development set.
    pub scores: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// For SQuAD 2.0: the no-answer score above which a question is taken to have no answer.
    pub null_threshold: Option<f64>,
    /// What looks wrong in the predictions.
    pub warnings: Vec<String>,
}

/// The parts of a run that depend on the task.
pub(super) trait Course {
    /// Encoder and head.
    type Model;

    /// The inputs that all tasks have.
    fn shared(&self) -> Shared<'_>;

    /// Loads the encoder; the head is initialised at random from `seed`.
    fn load(&self, seed: u64) -> Result<(Self::Model, TaskConfig, LoadReport), FinetuneError>;

    /// Trains.
    fn fit(&self, model: Self::Model, job: &mut Job<'_>) -> Result<Ended<Self::Model>, FinetuneError>;

    /// Predicts the development and test sets, writes the predictions into `dir` and scores those of the development sets. None
    /// if a stop was requested.
    fn measure(
        &self,
        model: &Self::Model,
        dir: &Path,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Measured>, FinetuneError>;

    /// Writes the model and `fnlm-task.json`. `null_threshold` is the no-answer score above which a question has no answer.
    fn save(
        &self,
        model: &Self::Model,
        config: &TaskConfig,
        null_threshold: Option<f64>,
        folder: &Path,
    ) -> Result<(), FinetuneError>;
}

/// Fine-tunes, evaluates and predicts with one seed, or reads the result of a finished run. None if a stop was requested.
pub(super) fn run<C: Course>(
    course: &C,
    seed: u64,
    dir: &Path,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Option<SeedResult>, FinetuneError> {
    if let Some(done) = results::read::<SeedResult>(&dir.join(RESULT))? {
        return Ok(Some(done));
    }
    let shared = course.shared();
    let ranks = shared.ranks;
    let _lock = if ranks.is_first() { RunLock::take(dir)? } else { RunLock::of_first_rank() };
    let (model, config, report) = course.load(seed)?;
    hf::check_fit(shared.model, shared.tokenizer.size(), shared.length)?;
    hf::check_padding(shared.model, shared.tokenizer.special().pad)?;
    tell(Event::Notice(report.to_string()));
    let checkpoints = Checkpoints::new(dir.join("checkpoints"), 1, shared.recipe.patience > 0);
    let clock = Instant::now();
    let mut steps_seen: Vec<Step> = Vec::new();
    let mut descent = None;
    let stays = dir.join(WARNINGS);
    let mut on_step = |step: Step| {
        steps_seen.push(step);
        tell(Event::Step(step));
        if step.step == 1 && ranks.is_first() {
            descent = Some(Descent::new(step.steps, shared.recipe.warmup_steps(step.steps)));
        }
        if let Some(found) = descent.as_mut().and_then(|descent| descent.observe(step.step, step.loss)) {
            let warning = warnings::of_loss(found);
            tell(Event::Warning(&warning));
            // For the result of a run that is resumed; where it cannot be written, the terminal alone has shown it.
            let _ = write_atomic(&stays, warning.as_bytes());
        }
    };
    let mut job = Job {
        recipe: shared.recipe,
        seed,
        layers: config.encoder.num_layers,
        device: shared.device,
        stop: shared.stop,
        ranks,
        checkpoints: Some(&checkpoints),
        on_step: &mut on_step,
    };
    let Ended::Done { model, steps, .. } = course.fit(model, &mut job)? else {
        return Ok(None);
    };
    // The first rank alone predicts and writes; the others read what it found.
    let evaluated = Meeting { what: "the predictions", patience: Patience::Endless };
    if !ranks.is_first() {
        meet(ranks, evaluated).map_err(TrainError::from)?;
        return results::read::<SeedResult>(&dir.join(RESULT));
    }
    still_there(dir)?;
    let (loss, examples_per_second) = last_steps(&steps_seen);
    let folder = dir.join(MODEL);
    let measured = match course.measure(&model, dir, tell) {
        Ok(Some(measured)) => measured,
        Ok(None) => {
            meet(ranks, evaluated).map_err(TrainError::from)?;
            return Ok(None);
        }
        Err(source) => {
            // Hours of training are not lost to a file that cannot be scored.
            course.save(&model, &config, None, &folder)?;
            shared.tokenizer.save(&folder)?;
            return Err(FinetuneError::Unscored { source: Box::new(source), model: folder });
        }
    };
    for warning in &measured.warnings {
        tell(Event::Warning(warning));
    }
    let in_course: Vec<String> = read_to_string(&stays).into_iter().collect();
    let finite = |value: f64| value.is_finite().then_some(value);
    let result = SeedResult {
        task: shared.task.to_owned(),
        seed,
        main: finite(measured.main),
        metric: measured.metric.clone(),
        scores: measured.scores.clone(),
        steps,
        train_examples: shared.train_examples,
        train_loss: finite(loss),
        examples_per_second,
        seconds: clock.elapsed().as_secs_f64(),
        warnings: [shared.warnings, &in_course, &measured.warnings].concat(),
    };
    if shared.keep_model {
        course.save(&model, &config, measured.null_threshold, &folder)?;
        shared.tokenizer.save(&folder)?;
        card::write(&folder, shared.model, shared.kind, shared.recipe, &result)?;
    }
    still_there(dir)?;
    results::write(&dir.join(RESULT), &result)?;
    // The run is finished: its checkpoints are no longer needed.
    let _ = std::fs::remove_dir_all(dir.join("checkpoints"));
    let _ = std::fs::remove_file(&stays);
    meet(ranks, evaluated).map_err(TrainError::from)?;
    Ok(Some(result))
}

/// Refuses to write into a folder that was removed while the model was trained: it would be made anew, without what it held.
fn still_there(dir: &Path) -> Result<(), FinetuneError> {
    match dir.join(lock::FILE).exists() {
        true => Ok(()),
        false => Err(CheckpointError::Gone { path: dir.to_owned() }.into()),
    }
}

/// Mean loss over the last tenth of the steps, and examples per second at the end.
fn last_steps(steps: &[Step]) -> (f64, f64) {
    let last = &steps[steps.len() - steps.len().div_ceil(10)..];
    let loss = last.iter().map(|s| s.loss).sum::<f64>() / last.len() as f64;
    (loss, steps.last().map_or(0.0, |s| s.examples_per_second))
}
