//! `fnlm inspect`: shows what a model predicts, and which predictions a lexicon counts as false negatives.

use std::io::Read;

use fn_core::files::write_atomic;
use fn_eval::inspect::{self, Corruption, GAP, Inspected, Inspector, Verdict};
use fn_models::{Pretrained, hf};

use super::support;
use crate::args::InspectArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Maximum size of a file of texts, in bytes.
const MAX_FILE: u64 = 1 << 20;

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
    let tokenizer = support::tokenizer(args.tokenizer.as_deref().unwrap_or(&args.model))?;
    let lexicon = args.lexicon.as_deref().map(|path| support::lexicon(path, &tokenizer)).transpose()?;
    let device = device::open(&args.device)?;
    let (model, report) = Pretrained::open_with_head(&args.model, &device).map_err(CliError::input_from)?;
    // Weights that are missing in the files are random, so the report of loading is shown.
    let quiet = args.common.quiet || (report.missing.is_empty() && !args.common.verbose);
    term::note(quiet, &report.to_string());
    hf::check_fit(&args.model, tokenizer.size(), 0).map_err(CliError::input_from)?;

    let gaps: usize = args.text.iter().map(|text| text.matches(GAP).count()).sum();
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
            term::out(&show(&found, lexicon.is_some()))?;
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
        let error = |error| CliError::io("read", path, error);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(error)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(error)?;
        let text = String::from_utf8_lossy(&bytes);
        texts.extend(
            text.lines().map(str::trim).filter(|line| !line.is_empty()).take(args.lines).map(Into::into),
        );
        if texts.is_empty() {
            return Err(CliError::input(format!("{}: the file contains no text", path.display())));
        }
    }
    Ok(texts)
}

/// The predictions as text for the terminal.
fn show(found: &Inspected, judged: bool) -> String {
    let mut out = format!("{}\n", found.text);
    for (number, gap) in found.gaps.iter().enumerate() {
        let source = if gap.gold_given { "given" } else { "most probable prediction" };
        out.push_str(&format!(
            "\n  {GAP} {}: gold \"{}\" ({source}), probability {:.4}, rank {}\n",
            number + 1,
            gap.gold,
            gap.gold_probability,
            term::thousands(gap.gold_rank as u64)
        ));
        let width = gap.predictions.iter().map(|p| p.piece.chars().count()).max().unwrap_or(0);
        for (rank, prediction) in gap.predictions.iter().enumerate() {
            let verdict = match prediction.verdict {
                Verdict::Gold => "gold",
                Verdict::FalseNegative => "false negative",
                Verdict::Negative => "",
            };
            let line = format!(
                "    {:>2}  {:<width$}  {:.4}  {verdict}",
                rank + 1,
                prediction.piece,
                prediction.probability
            );
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    if !found.gaps.is_empty() && !judged {
        out.push_str("\n  (without --lexicon, false negatives are not marked)\n");
    }
    if let Some(replaced) = &found.replaced {
        out.push_str("\n  probability that a token was replaced:\n");
        let width = replaced.iter().map(|token| token.piece.chars().count()).max().unwrap_or(0);
        for token in replaced {
            let marks = "#".repeat((token.probability * 20.0).round() as usize);
            let filled = if token.filled { "  <- filled in by the generator" } else { "" };
            let line = format!("    {:<width$}  {:.3}  {marks}{filled}", token.piece, token.probability);
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use fn_eval::inspect::{Gap, Prediction, Replaced};

    use super::*;

    #[test]
    fn what_is_shown_names_gold_and_false_negatives() {
        let prediction =
            |piece: &str, probability, verdict| Prediction { piece: piece.into(), probability, verdict };
        let found = Inspected {
            text: "she felt [MASK]".into(),
            pieces: Vec::new(),
            gaps: vec![Gap {
                position: 3,
                gold: "happy".into(),
                gold_given: true,
                gold_rank: 2,
                gold_probability: 0.25,
                predictions: vec![
                    prediction("glad", 0.5, Verdict::FalseNegative),
                    prediction("happy", 0.25, Verdict::Gold),
                    prediction("sad", 0.125, Verdict::Negative),
                ],
            }],
            replaced: Some(vec![Replaced { piece: "glad".into(), filled: true, probability: 0.5 }]),
        };
        let text = show(&found, true);
        assert!(text.contains("[MASK] 1: gold \"happy\" (given), probability 0.2500, rank 2"), "{text}");
        assert!(text.contains(" 1  glad   0.5000  false negative\n"), "{text}");
        assert!(text.contains(" 2  happy  0.2500  gold\n"), "{text}");
        assert!(text.contains(" 3  sad    0.1250\n"), "{text}");
        assert!(text.contains("glad  0.500  ##########  <- filled in by the generator\n"), "{text}");
    }
}
