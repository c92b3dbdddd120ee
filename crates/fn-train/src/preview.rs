//! Shows rows of the training text in readable form, packed and masked as in training.

use fn_core::corrupt::{CorruptedRow, Corruptor, Key};
use fn_data::DataError;
use fn_data::pack::{PackedRow, Packer};
use fn_data::shard::Dataset;
use fn_data::source::Sources;
use fn_data::tokenise::TextTokenizer;

use crate::config::RunConfig;
use crate::stop::Stop;
use crate::texts::{prepare_config, training};

/// The first rows of the training text (of a mixture, of its first text), packed as for training.
///
/// # Errors
/// Text that cannot be read; a requested stop.
pub fn first_rows(
    run: &RunConfig,
    tokenizer: &TextTokenizer,
    count: usize,
    stop: &Stop,
) -> Result<Vec<PackedRow>, DataError> {
    // Of a mixture, those of its first text.
    let texts = training(run);
    let Some(text) = texts.first() else { return Ok(Vec::new()) };
    if text.shards.is_some() {
        let data = Dataset::open(&text.prepare(run, tokenizer, &mut |_| (), &stop.flag())?.dir)?;
        return Ok((0..data.len().min(count)).map(|row| data.row(row)).collect());
    }
    let config = prepare_config(run, text.paths);
    let documents = Sources::open(text.paths, &config.options)?;
    let mut packer = Packer::new(run.data.packing, run.data.length, tokenizer.frame().clone(), run.seed);
    let mut rows = Vec::new();
    for document in documents {
        let document = document?;
        let sentences: Vec<Vec<u32>> = document.text.lines().map(|line| tokenizer.encode(line)).collect();
        rows.extend(packer.push(&sentences));
        if rows.len() >= count {
            rows.truncate(count);
            return Ok(rows);
        }
        if stop.requested() {
            return Err(DataError::Stopped);
        }
    }
    rows.extend(packer.finish());
    rows.truncate(count);
    Ok(rows)
}

/// Row `number` (from 0) of the text as training masks it in micro-batch `step`, for people.
pub fn described(
    run: &RunConfig,
    tokenizer: &TextTokenizer,
    corruptor: &Corruptor,
    number: usize,
    step: u64,
    row: &PackedRow,
) -> String {
    let corrupted = corruptor.corrupt(&row.ids, Key { seed: run.seed, step, row: number as u64 });
    let segment = match usize::from(row.second) < row.ids.len() {
        true => format!(", segment B from token {}", row.second),
        false => String::new(),
    };
    format!(
        "row {}: {} tokens of at most {}{segment}, {} chosen of at most {}\n{}\n\n",
        number + 1,
        row.ids.len(),
        run.data.length,
        corrupted.positions.len(),
        corruptor.max_predictions(run.data.length),
        marked(tokenizer, &row.ids, &corrupted)
    )
}

/// A row as text; `{gold}` is a masked token, `{gold=>other}` one that was replaced by a random token, `{gold=}` one that was
/// selected but kept.
pub fn marked(tokenizer: &TextTokenizer, ids: &[u32], corrupted: &CorruptedRow) -> String {
    let special = tokenizer.facts().special;
    let mut out = String::new();
    for (at, &id) in ids.iter().enumerate() {
        let piece = tokenizer.piece(id);
        let seen = corrupted.input.get(at).copied().unwrap_or(id);
        let chosen = u32::try_from(at).is_ok_and(|at| corrupted.positions.binary_search(&at).is_ok());
        let text = match (chosen, seen) {
            (false, _) => piece.clone(),
            (true, seen) if seen == special.mask => format!("{{{piece}}}"),
            (true, seen) if seen == id => format!("{{{piece}=}}"),
            (true, seen) => format!("{{{piece}=>{}}}", tokenizer.piece(seen)),
        };
        match text.strip_prefix("##") {
            Some(rest) => out.push_str(rest),
            None => {
                if !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(&text);
            }
        }
    }
    out
}
