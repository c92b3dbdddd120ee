//! `fnlm finetune`, and the code that it shares with `glue` and `squad`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use burn::tensor::Device;
use fn_data::tokenise::TextTokenizer;
use fn_eval::finetune::fit::Recipe;
use fn_eval::finetune::{
    Alike, Event, OneSeed, Results, Settings, Setup, Task, prepare, results, run_seed, run_seeds,
    squad_recipe,
};
use fn_models::{Arch, hf};
use fn_train::collective::{Collective, Launch};
use fn_train::config::{Dtype, set_values};
use fn_train::rundir;
use fn_train::session::use_dtype;
use fn_train::stop::Stop;

use super::support;
use crate::args::{FinetuneArgs, FitArgs, FormatArgs, RecipeName};
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// See [`CliError`]; a run that was stopped by a signal is not an error, but [`Outcome::Stopped`].
pub fn run(args: &FinetuneArgs) -> Result<Outcome, CliError> {
    let task = Task::open(&args.task)?;
    let out = args.fit.out.clone().unwrap_or_else(|| format!("finetune-{}", plain(task.name())).into());
    support::in_ranks(args.fit.rank_timeout, args.fit.common.verbose, |launch, ranks| {
        let fitting = Fitting::open(&args.fit, launch, Rc::clone(ranks))?;
        let Some(results) = fitting.task(&task, &args.data, &out, fitting.seeds())? else {
            return Ok(stopped(&args.fit));
        };
        fitting.print(&[results])?;
        Ok(Outcome::Done)
    })
}

/// The name of a task in lower case: `STS-B` becomes `sts-b`.
pub fn plain(name: &str) -> String {
    name.to_lowercase().replace(char::is_whitespace, "-")
}

/// Prints the message of a stopped command.
pub fn stopped(args: &FitArgs) -> Outcome {
    term::note(args.common.quiet, "stopped; repeat the command to resume");
    Outcome::Stopped { saved: true }
}

/// The inputs of fine-tuning that do not depend on the task.
pub struct Fitting<'a> {
    /// Command-line arguments.
    pub args: &'a FitArgs,
    /// Tokenizer of the model.
    pub tokenizer: TextTokenizer,
    /// Device, with autodiff.
    pub device: Device,
    /// Stop flag of this process.
    pub stop: Stop,
    /// The processes that fine-tune together.
    pub ranks: Rc<dyn Collective>,
    /// Whether this process writes the results over all seeds.
    pub writes: bool,
    arch: Arch,
    hidden_size: usize,
}

impl<'a> Fitting<'a> {
    /// Opens tokenizer, device and the description of the model.
    ///
    /// # Errors
    /// A missing file, or a wrong argument.
    pub fn open(
        args: &'a FitArgs,
        launch: Option<Launch>,
        ranks: Rc<dyn Collective>,
    ) -> Result<Self, CliError> {
        if args.seeds == 0 || args.first_seed.checked_add(args.seeds).is_none() {
            return Err(CliError::usage("--seeds must be at least 1, and with --first-seed below 2^64"));
        }
        let stop = support::interruptible()?;
        let (arch, config) = hf::read_encoder(&args.model).map_err(CliError::input_from)?;
        let tokenizer = support::tokenizer_of(&args.model, args.tokenizer.as_deref())?;
        let device = device::of_rank(&args.device, launch)?.autodiff();
        let (hidden_size, writes) = (config.hidden_size, ranks.is_first());
        Ok(Self { args, tokenizer, device, stop, ranks, writes, arch, hidden_size })
    }

    /// The seeds of `--seeds`.
    pub fn seeds(&self) -> Range<u64> {
        self.args.first_seed..self.args.first_seed.saturating_add(self.args.seeds)
    }

    /// The recipe of a task, with the options of the command line.
    ///
    /// # Errors
    /// A key that does not exist, a value out of range.
    pub fn recipe(&self, task: Option<&Task>, length: Option<usize>) -> Result<Recipe, CliError> {
        let mut recipe = match (&self.args.recipe_file, self.args.recipe, task) {
            (Some(path), _, _) => Recipe::open(path)?,
            (None, RecipeName::Transformers, _) => Recipe::transformers(),
            (None, RecipeName::Electra, Some(task)) => task.recipe(self.arch, self.hidden_size),
            (None, RecipeName::Electra, None) => squad_recipe(self.arch, self.hidden_size),
        };
        recipe.length = length.unwrap_or(recipe.length);
        let args = self.args;
        recipe.epochs = args.epochs.unwrap_or(recipe.epochs);
        recipe.lr = args.lr.unwrap_or(recipe.lr);
        recipe.batch = args.batch.unwrap_or(recipe.batch);
        recipe.length = args.length.unwrap_or(recipe.length);
        recipe.patience = args.patience.unwrap_or(recipe.patience);
        let recipe = set_values(&recipe, &args.set)?;
        recipe.validate().map_err(|error| CliError::usage(format!("recipe: {error}")))?;
        Ok(recipe)
    }

    /// Whether nothing but errors and warnings is printed, as by ranks other than the first.
    pub fn quiet(&self) -> bool {
        self.args.common.quiet || !self.writes
    }

    /// The settings of a task.
    ///
    /// # Errors
    /// As [`recipe`](Self::recipe).
    pub fn settings(&self, task: &Task, data: &Path) -> Result<Settings, CliError> {
        let recipe = self.recipe(Some(task), None)?;
        Ok(Settings::of_task(task, &self.args.model, data, self.args.limit, recipe))
    }

    /// What all ranks must have alike.
    pub fn alike<'b>(&'b self, settings: &'b [Settings], out: &'b Path) -> Alike<'b> {
        let (keep_model, folders) = (!self.args.no_models, &[][..]);
        Alike { settings, tokenizer: &self.tokenizer, out, seeds: self.seeds(), keep_model, folders }
    }

    /// Fine-tunes with these seeds on a task; None if a stop was requested.
    ///
    /// # Errors
    /// See [`CliError`].
    pub fn task(
        &self,
        task: &Task,
        data: &Path,
        out: &Path,
        seeds: Range<u64>,
    ) -> Result<Option<Results>, CliError> {
        let args = self.args;
        let settings = [self.settings(task, data)?];
        let [Settings { recipe, .. }] = &settings;
        self.alike(&settings, out).begin(&*self.ranks)?;
        let setup = Setup {
            task,
            model: &args.model,
            tokenizer: &self.tokenizer,
            data,
            limit: args.limit,
            recipe,
            device: &self.device,
            stop: &self.stop,
            keep_model: !args.no_models,
            ranks: &*self.ranks,
        };
        let prepared = prepare(&setup)?;
        prepared.agree(&*self.ranks)?;
        if self.writes {
            claim(&settings[0], out)?;
        }
        for warning in &prepared.warnings {
            term::note(!self.writes, &format!("warning: {warning}"));
        }
        term::note(self.quiet(), &prepared.summary(task, recipe));
        self.each_seed(task.name(), out, seeds, recipe.dtype, &mut |seed, dir, tell| {
            run_seed(&setup, &prepared, seed, dir, tell)
        })
    }

    /// Runs `one` for each seed with matrix products in `dtype`, shows progress and keeps `results.json` up to date.
    ///
    /// # Errors
    /// Those of `one`.
    pub fn each_seed(
        &self,
        task: &str,
        out: &Path,
        seeds: Range<u64>,
        dtype: Dtype,
        one: &mut OneSeed<'_>,
    ) -> Result<Option<Results>, CliError> {
        use_dtype(dtype, &self.device, &self.args.device)?;
        let mut show = Show::new(self.quiet(), task, self.args.first_seed);
        Ok(run_seeds(task, seeds, out, self.writes, one, &mut |event| show.tell(&event))?)
    }

    /// Prints results, on the first rank.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self, all: &[Results]) -> Result<(), CliError> {
        if self.writes { print(&self.args.format, all) } else { Ok(()) }
    }
}

/// Writes the settings into the results folder, or compares them with those in it, and appends the command line to its list.
///
/// # Errors
/// The folder holds results of other settings, or other files.
pub fn claim(settings: &Settings, out: &Path) -> Result<(), CliError> {
    settings.claim(out)?;
    Ok(rundir::note_command(out)?)
}

/// Prints results: one row for each metric of each development set.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(format: &FormatArgs, all: &[Results]) -> Result<(), CliError> {
    if format.json {
        let text = serde_json::to_string_pretty(all).map_err(CliError::failed_from)?;
        return term::out(&format!("{text}\n"));
    }
    let table = results::table(all);
    term::out(&if format.markdown { table.to_markdown() } else { table.to_text() })
}

/// Shows the progress of a seed: a bar on a terminal, ten lines otherwise.
struct Show<'a> {
    quiet: bool,
    task: &'a str,
    /// Notices of loading the model are shown for the first seed only, because they are the same for all.
    first_seed: u64,
    seed: u64,
    shown: term::Shown,
    tenth: u64,
}

impl<'a> Show<'a> {
    fn new(quiet: bool, task: &'a str, first_seed: u64) -> Self {
        Self { quiet, task, first_seed, seed: first_seed, shown: term::Shown::default(), tenth: 0 }
    }

    fn tell(&mut self, event: &Event<'_>) {
        let label = format!("{} seed {}", self.task, self.seed);
        match event {
            Event::Seed(seed) => (self.seed, self.tenth) = (*seed, 0),
            Event::Done { result, known } => {
                self.shown = term::Shown::default();
                let words = if *known { "already done".to_owned() } else { result.speed() };
                term::note(self.quiet, &format!("{label}: {}  ({words})", result.figures()));
            }
            Event::Notice(text) if self.seed == self.first_seed => term::note(self.quiet, text.trim_end()),
            Event::Notice(_) => {}
            Event::Warning(text) => term::note(false, &format!("warning: {text}")),
            Event::Step(step) => {
                if term::interactive() && !self.quiet {
                    let line = format!("loss {:.3}  {:.0} ex/s", step.loss, step.examples_per_second);
                    self.shown.show(&label, (step.step, step.steps), 0.0, &line);
                } else if step.step * 10 / step.steps > self.tenth {
                    self.tenth = step.step * 10 / step.steps;
                    let line = format!("loss {:.4}  {:.1} examples/s", step.loss, step.examples_per_second);
                    term::note(self.quiet, &format!("{label} step {}/{}  {line}", step.step, step.steps));
                }
            }
            // The bar of the predictions takes the place of this one.
            Event::Predicting(_) => self.shown = term::Shown::default(),
        }
    }
}

/// The default folder of results.
pub fn default_out(prefix: &str, model: &Path) -> PathBuf {
    let name = model.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned());
    format!("{prefix}-{name}").into()
}
