//! `fnlm probe embeddings`: cosines of synonyms, antonyms and random pairs in the token embedding.

use fn_data::lexicon::WordNet;
use fn_eval::table::{Table, number};
use fn_study::probe::pairs::{Cosines, Near, near};
use serde_json::json;

use crate::args::ProbeEmbeddingsArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// A model, tokenizer or WordNet that cannot be read; no pair of words in the vocabulary (3).
pub fn run(args: &ProbeEmbeddingsArgs) -> Result<Outcome, CliError> {
    let tokenizer = support::tokenizer_of(&args.model, args.tokenizer.as_deref())?;
    let net = WordNet::open(&args.wordnet).map_err(CliError::input_from)?;
    let device = device::open(&args.device)?;
    let Near { found, areas, norm, anisotropy } = near(&args.model, &tokenizer, &net, args.seed, &device)?;
    if args.format.json {
        let kind = |(name, cosines): &(&str, Cosines)| json!({"pairs": name, "count": cosines.values.len(), "mean": cosines.mean(), "standard_error": cosines.standard_error()});
        let figures = json!({
            "cosines": found.iter().map(kind).collect::<Vec<_>>(),
            "auc": areas.iter().map(|(name, area)| json!({"of": name, "auc": area})).collect::<Vec<_>>(),
            "norm": norm, "anisotropy": anisotropy,
        });
        term::out(&format!("{figures:#}\n"))?;
        return Ok(Outcome::Done);
    }
    let print = |table: &Table| if args.format.markdown { table.to_markdown() } else { table.to_text() };
    let mut table = Table::new(["pairs", "number", "mean cosine", "standard error"]);
    for (name, cosines) in &found {
        let (mean, error) = (number(Some(cosines.mean()), 4), number(Some(cosines.standard_error()), 4));
        table.row([(*name).to_owned(), cosines.values.len().to_string(), mean, error]);
    }
    let mut out = print(&table);
    let mut table = Table::new(["how often above", "AUC"]);
    for (name, area) in areas {
        table.row([name.to_owned(), number(Some(area), 3)]);
    }
    out.push_str(&format!(
        "\n{}\nmean norm of a row {norm:.3}, mean cosine of two rows (anisotropy) {anisotropy:.3}\n",
        print(&table)
    ));
    term::out(&out)?;
    Ok(Outcome::Done)
}
