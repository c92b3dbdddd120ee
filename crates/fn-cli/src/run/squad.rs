//! `fnlm squad`: fine-tunes on SQuAD 1.1 or 2.0.

use std::rc::Rc;

use fn_eval::finetune::{Settings, SquadOptions, SquadSetup, prepare_squad, run_squad_seed};

use super::finetune::{self, Fitting};
use super::support;
use crate::args::SquadArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs it.
///
/// # Errors
/// See [`CliError`]; a run that was stopped by a signal is not an error, but [`Outcome::Stopped`].
pub fn run(args: &SquadArgs) -> Result<Outcome, CliError> {
    support::in_ranks(args.fit.rank_timeout, args.fit.common.verbose, |launch, ranks| {
        run_rank(args, &Fitting::open(&args.fit, launch, Rc::clone(ranks))?)
    })
}

fn run_rank(args: &SquadArgs, fitting: &Fitting<'_>) -> Result<Outcome, CliError> {
    let out = args.fit.out.clone().unwrap_or_else(|| finetune::default_out("squad", &args.fit.model));
    let recipe = fitting.recipe(None, Some(SquadOptions::default().length))?;
    let options = SquadOptions {
        length: recipe.length,
        stride: args.stride,
        question: args.question_length,
        n_best: args.n_best,
        max_answer: args.max_answer,
    };
    let settings = Settings {
        task: "SQuAD".to_owned(),
        model: args.fit.model.clone(),
        data: vec![args.train.clone(), args.dev.clone()],
        limit: args.fit.limit,
        task_settings: toml::Table::try_from(options).unwrap_or_default(),
        recipe: recipe.clone(),
    };
    fitting.alike(std::slice::from_ref(&settings), &out).begin(&*fitting.ranks)?;
    let setup = SquadSetup {
        model: &args.fit.model,
        tokenizer: &fitting.tokenizer,
        train: &args.train,
        dev: &args.dev,
        limit: args.fit.limit,
        options,
        recipe: &recipe,
        device: &fitting.device,
        stop: &fitting.stop,
        keep_model: !args.fit.no_models,
        ranks: &*fitting.ranks,
    };
    let prepared = prepare_squad(&setup)?;
    prepared.agree(&*fitting.ranks)?;
    if fitting.writes {
        finetune::claim(&settings, &out)?;
    }
    for warning in &prepared.warnings {
        term::note(!fitting.writes, &format!("warning: {warning}"));
    }
    term::note(fitting.quiet(), &prepared.summary(&recipe));
    let results =
        fitting.each_seed("SQuAD", &out, fitting.seeds(), recipe.dtype, &mut |seed, dir, tell| {
            run_squad_seed(&setup, &prepared, seed, dir, tell)
        })?;
    let Some(results) = results else {
        return Ok(finetune::stopped(&args.fit));
    };
    fitting.print(&[results])?;
    Ok(Outcome::Done)
}
