//! `fnlm probe embeddings`: synonyms, antonyms and random pairs in the token table.

use burn::tensor::Device;
use fn_core::stats::anisotropy;
use fn_data::lexicon::WordNet;
use fn_eval::table::{Table, number};
use fn_models::{Pretrained, params};
use fn_study::probe::pairs::{Cosines, known, random};
use serde_json::json;

use crate::args::ProbeEmbeddingsArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Letters of a word at least.
const LETTERS: usize = 3;
/// Rows of the table that anisotropy is estimated on.
const ROWS: usize = 2048;

/// Runs it.
///
/// # Errors
/// A model, tokenizer or WordNet that cannot be read; no pair of words in the vocabulary (3).
pub fn run(args: &ProbeEmbeddingsArgs) -> Result<Outcome, CliError> {
    let tokenizer = support::tokenizer(args.tokenizer.as_ref().unwrap_or(&args.model))?;
    let net = WordNet::open(&args.wordnet).map_err(CliError::input_from)?;
    let device = Device::flex();
    let (model, _) = Pretrained::open(&args.model, &device).map_err(CliError::input_from)?;
    let table = model.word_embedding();
    let [rows, width] = table.dims();
    let (norm, cosine) = anisotropy(table.clone(), ROWS);
    let values = params::host(table);
    let id = |word: &str| {
        let plain = word.len() >= LETTERS && word.bytes().all(|b| b.is_ascii_lowercase());
        plain.then(|| tokenizer.id(word)).flatten().filter(|&id| (id as usize) < rows)
    };
    let (synonyms, antonyms) = (known(net.synonyms(), &id), known(net.antonyms(), &id));
    if synonyms.is_empty() {
        return Err(CliError::input(format!(
            "{}: found no two synonyms that both are pieces of the vocabulary; is it lower-case English?",
            args.model.display()
        )));
    }
    let others = random(&synonyms, &antonyms, args.seed);
    let kinds = [("synonyms", &synonyms), ("antonyms", &antonyms), ("random pairs", &others)];
    let found = kinds.map(|(name, pairs)| (name, Cosines::of(pairs, &values, width)));
    let [(_, near), (_, opposite), (_, far)] = &found;
    let areas = [
        ("synonyms over random pairs", near.area_over(far)),
        ("synonyms over antonyms", near.area_over(opposite)),
        ("antonyms over random pairs", opposite.area_over(far)),
    ];
    if args.format.json {
        let kind = |(name, cosines): &(&str, Cosines)| json!({"pairs": name, "count": cosines.values.len(), "mean": cosines.mean(), "standard_error": cosines.standard_error()});
        let figures = json!({
            "cosines": found.iter().map(kind).collect::<Vec<_>>(),
            "auc": areas.iter().map(|(name, area)| json!({"of": name, "auc": area})).collect::<Vec<_>>(),
            "norm": norm, "anisotropy": cosine,
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
        "\n{}\nmean norm of a row {norm:.3}, mean cosine of two rows (anisotropy) {cosine:.3}\n",
        print(&table)
    ));
    term::out(&out)?;
    Ok(Outcome::Done)
}
