//! `fnlm inspect`: shows what a model predicts, and which predictions a lexicon counts as false negatives.

use fn_core::files::write_atomic;
use fn_data::source::text_lines;
use fn_eval::inspect::{self, Corruption, GAP, Inspector};
use fn_models::{Pretrained, hf};

use super::support;
use crate::args::InspectArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// A model, tokenizer or lexicon that is missing, damaged or does not fit (3); words that are not single pieces, an existing
/// page (2).
pub fn run(args: &InspectArgs) -> Result<Outcome, CliError> {
    if args.top == 0 {
        return Err(CliError::usage("--top is 0; allowed: 1 or more"));
    }
    if !(args.rate > 0.0 && args.rate < 1.0) {
        return Err(CliError::usage(format!("--rate is {}; allowed: above 0, below 1", args.rate)));
    }
    if let Some(path) = &args.html {
        support::may_write("--html", path, args.write)?;
    }
    let tokenizer = support::tokenizer_of(&args.model, args.tokenizer.as_deref())?;
    let lexicon = args.lexicon.as_deref().map(|path| support::lexicon(path, &tokenizer)).transpose()?;
    let device = device::open(&args.device)?;
    let (model, report) = Pretrained::open_with_head(&args.model, &device).map_err(CliError::input_from)?;
    // Weights that are missing in the files are random, so the report of loading is shown.
    let quiet = args.common.quiet || (report.missing.is_empty() && !args.common.verbose);
    term::note(quiet, &report.to_string());
    hf::check_fit(&args.model, tokenizer.size(), 0).map_err(CliError::input_from)?;

    let gaps: usize =
        args.text.iter().map(|text| inspect::with_gaps(&tokenizer, text).matches(GAP).count()).sum();
    if args.gold.len() > gaps {
        return Err(CliError::usage(format!(
            "{} words were given with --gold, but the text has {gaps} {GAP}",
            args.gold.len()
        )));
    }
    let texts = texts(args)?;
    let inspector =
        Inspector { tokenizer: &tokenizer, lexicon: lexicon.as_ref(), device: &device, top: args.top };
    if let Some(path) = &args.html {
        let corruption = Corruption { rate: args.rate, seed: args.seed };
        let page = inspect::page(&inspector, &model, &texts, &corruption)?;
        write_atomic(path, page.as_bytes()).map_err(|error| CliError::io("write", path, error))?;
        term::note(args.common.quiet, &format!("{} texts in {}", texts.len(), path.display()));
        return Ok(Outcome::Done);
    }
    let mut gold = args
        .gold
        .iter()
        .map(|word| tokenizer.one_piece(word).map_err(|error| CliError::usage(error.to_string())))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let mut all = Vec::new();
    for text in &texts {
        let found = inspector.inspect(&model, text, &mut gold)?;
        if !args.json {
            term::out(&found.text(lexicon.is_some()))?;
        }
        all.push(found);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&all).map_err(CliError::failed_from)?;
        term::out(&format!("{text}\n"))?;
    }
    Ok(Outcome::Done)
}

/// The texts of the command line, and the lines of the file.
fn texts(args: &InspectArgs) -> Result<Vec<String>, CliError> {
    let mut texts = args.text.clone();
    if let Some(path) = &args.file {
        let lines = text_lines(path).map_err(CliError::input_from)?;
        let filled = lines.filter(|line| line.as_ref().map_or(true, |line| !line.trim().is_empty()));
        for line in filled.take(args.lines) {
            texts.push(line.map_err(CliError::input_from)?.trim().to_owned());
        }
        if texts.is_empty() {
            return Err(CliError::input(format!("{}: the file contains no text", path.display())));
        }
    }
    Ok(texts)
}
