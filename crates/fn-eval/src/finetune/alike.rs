//! What all ranks of a job must have alike, compared before one of them writes anything.

use std::ops::Range;
use std::path::{Path, PathBuf};

use fn_core::noise::mix;
use fn_data::tokenise::TextTokenizer;
use fn_train::TrainError;
use fn_train::collective::{Agreement, Collective, CollectiveError, Meeting, Patience, agree, check_block};
use fn_train::machine::this_program;

use super::fit::Recipe;
use super::{FinetuneError, Settings};

/// The command of a rank: what it fine-tunes, from what, and where the results go.
pub struct Alike<'a> {
    /// The settings of each task.
    pub settings: &'a [Settings],
    /// The tokenizer.
    pub tokenizer: &'a TextTokenizer,
    /// Folder of the results.
    pub out: &'a Path,
    /// The seeds.
    pub seeds: Range<u64>,
    /// Whether the fine-tuned models are saved.
    pub keep_model: bool,
    /// Folders whose files are compared: of the data that each rank reads for itself.
    pub folders: &'a [PathBuf],
}

impl Alike<'_> {
    /// Compares all of it, and the folders of the model.
    ///
    /// # Errors
    /// [`CollectiveError::Differ`] on every rank, with the first thing in which one of them differs; ranks that did not come.
    pub fn agree(&self, ranks: &dyn Collective) -> Result<(), TrainError> {
        if ranks.world() == 1 {
            return Ok(());
        }
        let Self { settings, tokenizer, out, seeds, keep_model, folders } = self;
        let names: Vec<&str> = settings.iter().map(|of_task| of_task.task.as_str()).collect();
        let mut same = vec![
            Agreement::new("the program", this_program()),
            Agreement::new("the tasks", names.join(", ")),
            Agreement::new("the folder of the results", out.display().to_string()),
            Agreement::new("the seeds", format!("{seeds:?}")),
            Agreement::new("whether models are kept", keep_model.to_string()),
            Agreement::new("the tokenizer", tokenizer.sha256()),
        ];
        for of_task in *settings {
            of_settings(of_task, &mut same);
        }
        if let Some(first) = settings.first() {
            same.push(Agreement::of_files("the files of the model", &first.model));
        }
        for folder in *folders {
            same.push(Agreement::of_files(&format!("the files of {}", folder.display()), folder));
        }
        agree(ranks, meeting("its settings"), &same)?;
        Ok(())
    }

    /// [`agree`](Self::agree) of ranks that fine-tune together, before the data are read; the micro-batches must divide among them.
    ///
    /// # Errors
    /// As there; [`CollectiveError::TaskMicro`]; on the first rank, a folder with results of other settings.
    pub fn begin(&self, ranks: &dyn Collective) -> Result<(), FinetuneError> {
        for of_task in self.settings {
            divide(&of_task.recipe, ranks.world()).map_err(TrainError::from)?;
        }
        self.agree(ranks)?;
        if ranks.is_first() {
            self.settings.iter().try_for_each(|of_task| of_task.check(self.out).map(|_| ()))?;
        }
        Ok(())
    }
}

/// Number of micro-batches of each of `world` ranks.
///
/// # Errors
/// [`CollectiveError::TaskMicro`] if they cannot be divided.
pub(super) fn divide(recipe: &Recipe, world: usize) -> Result<usize, CollectiveError> {
    let micro_batches = recipe.micro_batches;
    check_block(micro_batches, world).map_err(|_| CollectiveError::TaskMicro { micro_batches, world })
}

/// Compares a checksum of the examples that all ranks read.
///
/// # Errors
/// [`CollectiveError::Differ`]; ranks that did not come.
pub(super) fn same_examples(
    ranks: &dyn Collective,
    checksum: impl FnOnce() -> u64,
) -> Result<(), TrainError> {
    if ranks.world() == 1 {
        return Ok(());
    }
    let same = [Agreement::new("the training and development examples", format!("{:016x}", checksum()))];
    agree(ranks, meeting("its examples"), &same)?;
    Ok(())
}

/// Continues a checksum with the next example: the ids of its tokens, and all else by which it could differ.
pub(super) fn with_example(checksum: u64, ids: &[u32], rest: &str) -> u64 {
    let numbers = ids.iter().map(|&id| u64::from(id)).chain(rest.bytes().map(u64::from));
    let all: Vec<u64> = [checksum, ids.len() as u64].into_iter().chain(numbers).collect();
    mix(&all)
}

/// Every rank reads the text first, which may take long.
const fn meeting(what: &'static str) -> Meeting {
    Meeting { what, patience: Patience::Endless }
}

/// One line for each key, so that the message names the one that differs.
fn of_settings(settings: &Settings, same: &mut Vec<Agreement>) {
    let key = |name: &str| format!("`{name}` of {}", settings.task);
    let Settings { model, data, limit, task_settings, recipe, .. } = settings;
    same.push(Agreement::new("the model", model.display().to_string()));
    same.push(Agreement::new(&key("data"), format!("{data:?}")));
    same.push(Agreement::new(&key("limit"), limit.map_or("all examples".to_owned(), |n| n.to_string())));
    same.push(Agreement::new(&key("task"), task_settings.to_string()));
    let recipe = toml::Table::try_from(recipe).unwrap_or_default();
    let mut keys = Vec::new();
    flatten("", &recipe, &mut keys);
    let names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
    // Keys without a value are absent.
    same.push(Agreement::new(&format!("the keys of the recipe of {}", settings.task), names.join(", ")));
    same.extend(keys.iter().map(|(name, value)| Agreement::new(&key(name), value.as_str())));
}

fn flatten(before: &str, table: &toml::Table, keys: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let name = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) => flatten(&format!("{name}."), inner, keys),
            value => keys.push((name, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fn_data::tokenise::SPECIAL_TOKENS;
    use fn_train::collective::Threads;

    use super::*;

    fn settings(recipe: Recipe) -> Settings {
        Settings {
            task: "RTE".into(),
            model: "m".into(),
            data: vec!["d".into()],
            limit: None,
            task_settings: toml::Table::new(),
            recipe,
        }
    }

    /// The error of each of two ranks, of which the second has these settings, seeds and folder.
    fn errors(second: Settings, seeds: Range<u64>, out: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let ranks = Threads::new(2, Duration::from_secs(60));
            let given = [(settings(Recipe::default()), 1..3, "o"), (second, seeds, out)];
            let running: Vec<_> = ranks
                .into_iter()
                .zip(given)
                .map(|(ranks, (settings, seeds, out))| {
                    let out = dir.path().join(out);
                    scope.spawn(move || {
                        let pieces = SPECIAL_TOKENS.map(str::to_owned).to_vec();
                        let tokenizer = TextTokenizer::from_vocab(pieces, true).unwrap();
                        let (settings, tokenizer) = (&[settings][..], &tokenizer);
                        let alike =
                            Alike { settings, tokenizer, out: &out, seeds, keep_model: true, folders: &[] };
                        alike.agree(&ranks).err().map(|error| error.to_string()).unwrap_or_default()
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn ranks_that_were_started_otherwise_are_told_by_the_key_that_differs() {
        let alike = settings(Recipe::default());
        assert_eq!(errors(alike.clone(), 1..3, "o"), ["", ""]);
        for (second, seeds, out, expected) in [
            (
                settings(Recipe { lr: 0.5, ..Recipe::default() }),
                1..3,
                "o",
                "`lr` of RTE: 0.5, rank 0 has 0.0003",
            ),
            (
                settings(Recipe {
                    optimizer: fn_train::optim::AdamWConfig { beta1: 0.5, ..Recipe::default().optimizer },
                    ..Recipe::default()
                }),
                1..3,
                "o",
                "`optimizer.beta1` of RTE: 0.5, rank 0 has 0.9",
            ),
            (Settings { limit: Some(7), ..alike.clone() }, 1..3, "o", "`limit` of RTE: 7, rank 0 has all"),
            (Settings { task: "WNLI".into(), ..alike.clone() }, 1..3, "o", "the tasks: WNLI, rank 0 has RTE"),
            (alike.clone(), 1..4, "o", "the seeds: 1..4, rank 0 has 1..3"),
            (alike.clone(), 1..3, "p", "the folder of the results: "),
        ] {
            for error in errors(second.clone(), seeds.clone(), out) {
                assert!(
                    error.starts_with("rank 1 and rank 0 differ in ") && error.contains(expected),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_checksum_of_examples_depends_on_ids_labels_and_their_order() {
        let of = |examples: &[(&[u32], &str)]| {
            examples.iter().fold(0, |sum, (ids, rest)| with_example(sum, ids, rest))
        };
        let one = of(&[(&[1, 2], "Class(0)"), (&[3], "Class(1)")]);
        assert_eq!(one, of(&[(&[1, 2], "Class(0)"), (&[3], "Class(1)")]));
        assert_ne!(one, of(&[(&[1, 2], "Class(1)"), (&[3], "Class(0)")]), "labels swapped");
        assert_ne!(one, of(&[(&[3], "Class(1)"), (&[1, 2], "Class(0)")]), "another order");
        assert_ne!(one, of(&[(&[1], "Class(0)"), (&[2, 3], "Class(1)")]), "other lengths");
    }
}
