//! `fnlm robust`: how much the score of a model drops on perturbed copies of a development set.

use std::path::PathBuf;

use fn_core::files::write_atomic;
use fn_data::lexicon::wordnet::WordNet;
use fn_data::perturb::{Options, Perturbation, Perturber};
use fn_eval::finetune::Task;
use fn_eval::robust::{self, Event, Job, Results, Settings, Subject, is_squad};

use super::support;
use crate::args::RobustArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Name of the file of results.
const RESULTS: &str = "robust.json";

/// Runs it.
///
/// # Errors
/// Kinds that do not suit the task, another set in --out (2); files or a model that cannot be used (3).
pub fn run(args: &RobustArgs) -> Result<Outcome, CliError> {
    if args.limit == Some(0) || args.resamples == 0 {
        return Err(CliError::usage("--limit and --resamples are at least 1, found 0"));
    }
    let task = if is_squad(&args.task) { None } else { Some(Task::open(&args.task)?) };
    let kinds = robust::kinds(&args.kinds, task.as_ref(), args.wordnet.is_some(), args.force)?;
    let wordnet = args.wordnet.as_deref().map(WordNet::open).transpose().map_err(CliError::input_from)?;
    let options = Options { rate: args.rate, seed: args.seed, wordnet: wordnet.as_ref() };
    let perturbers: Vec<Perturber<'_>> = kinds
        .iter()
        .map(|&kind| Perturber::new(kind, options))
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let settings = settings(args, &kinds);
    let path = args.out.join(RESULTS);
    let quiet = args.common.quiet;
    let mut tell = |event: Event<'_>| match event {
        Event::Warning(text) => term::note(false, &format!("warning: {text}")),
        Event::Wrote(path) => term::note(quiet, &format!("wrote {}", path.display())),
        Event::Predicting { set, kind } => term::note(quiet, &format!("{set}: predicting {kind}")),
        _ => {}
    };
    let mut job = Job {
        asked: &args.task,
        data: args.data.as_deref(),
        input: args.input.as_deref(),
        out: &args.out,
        limit: args.limit,
        perturbers: &perturbers,
        subject: None,
        tell: &mut tell,
    };
    let Some(model) = &args.model else {
        robust::run(&mut job, task.as_ref())?;
        return Ok(Outcome::Done);
    };
    Results::claim(&path, &settings)?;
    let stop = support::interruptible()?;
    let tokenizer = support::tokenizer_of(model, args.tokenizer.as_deref())?;
    let device = device::open(&args.device)?;
    let (resamples, seed) = (args.resamples, args.seed);
    job.subject =
        Some(Subject { model, tokenizer: &tokenizer, device: &device, stop: &stop, resamples, seed });
    let rows = robust::run(&mut job, task.as_ref())?;
    let results = Results { settings, rows };
    let text = serde_json::to_string_pretty(&results).map_err(CliError::failed_from)? + "\n";
    write_atomic(&path, text.as_bytes()).map_err(|error| CliError::io("write", &path, error))?;
    if args.format.json {
        term::out(&text)?;
    } else {
        term::out(&results.text(args.format.markdown))?;
        if let Some(warning) = results.warning() {
            term::note(false, &format!("warning: {warning}"));
        }
    }
    Ok(Outcome::Done)
}

fn settings(args: &RobustArgs, kinds: &[Perturbation]) -> Settings {
    let shown = |path: Option<&PathBuf>| path.map(|p| p.display().to_string()).unwrap_or_default();
    Settings {
        task: args.task.clone(),
        data: shown(args.input.as_ref().or(args.data.as_ref())),
        model: shown(args.model.as_ref()),
        kinds: kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        rate: args.rate,
        seed: args.seed,
        limit: args.limit,
        resamples: args.resamples,
    }
}
