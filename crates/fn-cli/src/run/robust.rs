//! `fnlm robust`: how much the score of a model drops on perturbed copies of a development set.

use std::path::PathBuf;

use fn_core::files::write_atomic;
use fn_data::lexicon::wordnet::WordNet;
use fn_data::perturb::{Options, Perturbation, Perturber};
use fn_eval::finetune::Task;
use fn_eval::robust::{self, Event, Job, Results, Settings, Subject, is_squad};
use fn_eval::table::{Table, number};

use super::support;
use crate::args::{FormatArgs, RobustArgs};
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
    let tokenizer = support::tokenizer(args.tokenizer.as_ref().unwrap_or(model))?;
    let device = device::open(&args.device)?;
    let (resamples, seed) = (args.resamples, args.seed);
    job.subject =
        Some(Subject { model, tokenizer: &tokenizer, device: &device, stop: &stop, resamples, seed });
    let rows = robust::run(&mut job, task.as_ref())?;
    let results = Results { settings, rows };
    let text = serde_json::to_string_pretty(&results).map_err(CliError::failed_from)? + "\n";
    write_atomic(&path, text.as_bytes()).map_err(|error| CliError::io("write", &path, error))?;
    if args.format.json {
        term::out(&text)?
    } else {
        print(&args.format, &results)?
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

/// Prints the table, and an explanation of intervals that contain 0.
fn print(format: &FormatArgs, results: &Results) -> Result<(), CliError> {
    let percent = |value: Option<f64>| number(value.map(|v| 100.0 * v), 2);
    let several = results.rows.iter().any(|row| Some(&row.set) != results.rows.first().map(|r| &r.set));
    let name = |set: &str, what: &str| if several { format!("{set} {what}") } else { what.to_owned() };
    let metric = results.rows.first().map_or("score", |row| &row.metric);
    let mut table = Table::new(["kind", "examples", "changed %", metric, "drop", "95 % interval"]);
    let mut last = None;
    for row in &results.rows {
        let (set, loss) = (row.set.as_str(), &row.loss);
        if last != Some(set) {
            let examples = loss.examples.to_string();
            table.row([name(set, "original"), examples, percent(Some(0.0)), percent(loss.original)]);
            last = Some(set);
        }
        table.row([
            name(set, &row.kind),
            loss.examples.to_string(),
            percent(Some(row.changed)),
            percent(loss.score),
            percent(loss.drop),
            format!("{} to {}", percent(Some(loss.low)), percent(Some(loss.high))),
        ]);
    }
    term::out(&if format.markdown { table.to_markdown() } else { table.to_text() })?;
    let unsure: Vec<String> =
        results.rows.iter().filter(|r| r.loss.holds_zero()).map(|r| name(&r.set, &r.kind)).collect();
    if !unsure.is_empty() {
        let text =
            format!("\nThe interval contains 0 for {}: the drop is not significant.\n", unsure.join(", "));
        term::out(&text)?;
    }
    let undefined: usize = results.rows.iter().map(|row| row.loss.undefined).sum();
    if undefined > 0 {
        let text = format!("warning: a score is undefined in {undefined} resamples; they are left out");
        term::note(false, &text);
    }
    Ok(())
}
