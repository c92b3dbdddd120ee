//! The model card: `README.md` of an exported model, made from the files of the run directory.

use std::path::Path;

use fn_core::files::write_atomic;
use fn_core::lexicon::Lexicon;

use crate::config::RunConfig;
use crate::rundir::{self, RundirError};
use crate::texts::training;

/// Writes `README.md` into an exported folder.
///
/// # Errors
/// The file cannot be written.
pub fn write(folder: &Path, run_dir: &Path, run: &RunConfig, step: u64) -> Result<(), RundirError> {
    let path = folder.join("README.md");
    write_atomic(&path, card(run_dir, run, step).as_bytes()).map_err(|source| RundirError::Io {
        action: "write",
        path: path.clone(),
        source,
    })
}

/// The text of the card.
pub fn card(run_dir: &Path, run: &RunConfig, step: u64) -> String {
    let arch = run.model.arch;
    let (class, tag) = match arch.has_discriminator() {
        false => ("AutoModelForMaskedLM".to_owned(), "fill-mask"),
        true => (arch.pretrained_class(), "feature-extraction"),
    };
    let mut out = format!(
        "---\nlibrary_name: transformers\npipeline_tag: {tag}\ntags:\n- {}\n- true-negatives\n---\n\n",
        arch.model_type()
    );
    out.push_str(&format!("# {}, pre-trained on true negatives\n\n", arch.name()));
    out.push_str(&format!(
        "Made by `fnlm` {} with {} of {} optimiser steps. Load it with `{class}.from_pretrained(\".\")`",
        env!("CARGO_PKG_VERSION"),
        step,
        run.train.steps
    ));
    if let Some(generator) = arch.generator_class() {
        out.push_str(&format!("; the generator is in `generator/` (`{generator}`)"));
    }
    out.push_str(".\n\n");

    out.push_str("## Training\n\n| | |\n|---|---|\n");
    let mut row = |name: &str, value: String| out.push_str(&format!("| {name} | {value} |\n"));
    let paths = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
    };
    for text in training(run) {
        let mut value = match text.shards {
            None => paths(text.paths),
            Some(folder) => format!("`{}`", folder.display()),
        };
        if !run.data.mixture.is_empty() {
            value.push_str(&format!(", weight {}", text.weight));
        }
        row("text", value);
    }
    row(
        "held-out text",
        if run.data.held_out.is_empty() { "none".into() } else { paths(&run.data.held_out) },
    );
    if let Some(init) = &run.model.init {
        row("continued from", format!("`{}`", init.display()));
    }
    row(
        "rows",
        format!("{} tokens, {} x {} a step", run.data.length, run.train.batch, run.train.accumulation),
    );
    row("correction of the masked-LM loss", described(&run.correction.masked_lm));
    if arch.has_discriminator() {
        row("correction of the discriminator's loss", described(&run.correction.discriminator));
    }
    row("lexicon", lexicon(run));
    row("peak learning rate", format!("{:e}", run.schedule.lr));
    row("seed", run.seed.to_string());

    let metrics = rundir::metrics_at(run_dir, step);
    if !metrics.is_empty() {
        out.push_str("\n## Held-out metrics\n\nOne run, one seed; the text is named above.\n\n| metric | value |\n|---|---|\n");
        for (name, value) in metrics {
            out.push_str(&format!("| {name} | {value:.4} |\n"));
        }
    }
    if let Ok(commands) = fn_core::files::read_to_string(&run_dir.join(rundir::COMMAND)) {
        out.push_str(&format!("\n## Commands\n\n```sh\n{}\n```\n", commands.trim_end()));
    }
    out
}

/// A correction as one line of JSON: its kind and its numbers.
fn described(correction: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(correction).unwrap_or_default();
    let Some(fields) = value.as_object() else {
        return value.to_string();
    };
    let kind = fields.get("kind").and_then(|kind| kind.as_str()).unwrap_or("unknown").to_string();
    let rest: Vec<String> = fields
        .iter()
        .filter(|(name, _)| *name != "kind")
        .map(|(name, value)| format!("{name} {}", value.to_string().trim_matches('"')))
        .collect();
    if rest.is_empty() { kind } else { format!("{kind} ({})", rest.join(", ")) }
}

fn lexicon(run: &RunConfig) -> String {
    match (&run.lexicon.path, &run.lexicon.wordnet) {
        (Some(path), _) => match Lexicon::load(path) {
            Ok(lexicon) => format!("{}, fingerprint `{}`", lexicon.info().kind, lexicon.fingerprint()),
            Err(_) => format!("`{}` (no longer there)", path.display()),
        },
        (None, Some(dict)) => format!("WordNet in `{}`, default options", dict.display()),
        (None, None) => "none".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{CorrectionConfig, CorrectionPreset};

    use super::*;

    #[test]
    fn the_card_names_text_correction_metrics_and_command() {
        let dir = tempfile::tempdir().unwrap();
        let mut run = RunConfig::default();
        run.data.train = vec!["corpus.txt".into()];
        run.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
        let record = "{\"kind\":\"evaluation\",\"step\":5,\"metrics\":{\"masked_accuracy\":0.25}}\n";
        std::fs::write(dir.path().join(rundir::METRICS), record).unwrap();
        std::fs::write(dir.path().join(rundir::COMMAND), "fnlm pretrain -c x.toml --run r\n").unwrap();
        let card = card(dir.path(), &run, 7);
        for part in [
            "`corpus.txt`",
            "| correction of the masked-LM loss | hard (normalise all) |",
            "| correction of the discriminator's loss | drop |",
            "| masked_accuracy | 0.2500 |",
            "fnlm pretrain -c x.toml --run r",
            "7 of 1000000 optimiser steps",
        ] {
            assert!(card.contains(part), "{part} is not in:\n{card}");
        }
    }
}
