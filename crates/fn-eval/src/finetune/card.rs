//! The model card (`README.md`) of a fine-tuned model, and the name of the file that holds its task.

use std::fmt::Write as _;
use std::path::Path;

use fn_core::files::write_atomic;

use super::{FinetuneError, Kind, SeedResult};
use crate::finetune::fit::Recipe;

/// Name of the file with the task of a fine-tuned model ([`super::TaskCard`]).
pub const CARD: &str = "fnlm-task.json";

/// Writes the model card `README.md` beside the weights. `kind` is None for SQuAD.
pub(super) fn write(
    folder: &Path,
    encoder: &Path,
    kind: Option<Kind>,
    recipe: &Recipe,
    result: &SeedResult,
) -> Result<(), FinetuneError> {
    let path = folder.join("README.md");
    let text = text(encoder, kind, recipe, result);
    write_atomic(&path, text.as_bytes()).map_err(FinetuneError::io(&path, "write"))
}

fn text(encoder: &Path, kind: Option<Kind>, recipe: &Recipe, result: &SeedResult) -> String {
    let (class, tag) = match kind {
        None => ("AutoModelForQuestionAnswering", "question-answering"),
        Some(Kind::Tags) => ("AutoModelForTokenClassification", "token-classification"),
        Some(Kind::Classes | Kind::Score) => ("AutoModelForSequenceClassification", "text-classification"),
    };
    let mut out = format!(
        "---\nlibrary_name: transformers\npipeline_tag: {tag}\ntags:\n- true-negatives\n---\n\n# {}\n\nFine-tuned by `fnlm` {} \
         from `{}`, seed {}. Load it with `{class}.from_pretrained(\".\")`.\n\n## Development set\n\nOne seed; other seeds of \
         the same command give other values.\n\n| set | metric | value |\n|---|---|---:|\n",
        result.task,
        env!("CARGO_PKG_VERSION"),
        encoder.display(),
        result.seed,
    );
    for (set, scores) in &result.scores {
        for (metric, value) in scores {
            let value = value.map_or("-".to_owned(), |value| format!("{value:.4}"));
            let _ = writeln!(out, "| {set} | {metric} | {value} |");
        }
    }
    let _ = write!(
        out,
        "\n## Training\n\n| | |\n|---|---|\n| examples | {} |\n| steps | {} |\n| epochs | {} |\n| batch | {} |\n| longest sequence | {} |\n\
         | highest rate | {:e} |\n| warm-up | {} |\n| rate of a layer to the one above | {} |\n",
        result.train_examples,
        result.steps,
        recipe.epochs,
        recipe.batch,
        recipe.length,
        recipe.lr,
        recipe.warmup,
        recipe.layer_decay,
    );
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_card_names_task_encoder_class_scores_and_recipe() {
        let result = SeedResult {
            task: "RTE".into(),
            seed: 3,
            main: Some(0.7),
            metric: "accuracy".into(),
            scores: BTreeMap::from([("RTE".into(), BTreeMap::from([("accuracy".into(), Some(0.7))]))]),
            steps: 10,
            train_examples: 320,
            train_loss: Some(0.5),
            examples_per_second: 1.0,
            seconds: 1.0,
            warnings: Vec::new(),
        };
        let card = text(Path::new("runs/a/model"), Some(Kind::Classes), &Recipe::default(), &result);
        for part in [
            "pipeline_tag: text-classification",
            "# RTE\n",
            "`runs/a/model`, seed 3",
            "AutoModelForSequenceClassification",
            "| RTE | accuracy | 0.7000 |",
            "| highest rate | 3e-4 |",
        ] {
            assert!(card.contains(part), "{part} is not in:\n{card}");
        }
    }
}
