//! What flags false negatives: lexicons, and masked LMs that judge by context.

use std::path::PathBuf;

use burn::tensor::Device;
use fn_core::ids::Rows;
use fn_core::judge::Judge as _;
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_train::config::RunConfig;
use fn_train::objective::{DeviceBatch, Verifier};
use fn_train::trained::check_fits;

use super::Asked;
use crate::probe::ProbeError;

/// The judges, by names that are all different.
pub(super) struct Judges {
    /// Their names, lexicons first.
    pub names: Vec<String>,
    lexicons: Vec<Lexicon>,
    verifiers: Vec<Verifier>,
}

impl Judges {
    /// Those that are asked for, or else those of the run.
    pub fn open(
        asked: &Asked<'_>,
        config: &RunConfig,
        tokenizer: &TextTokenizer,
        device: &Device,
    ) -> Result<Self, ProbeError> {
        let asked_or = |asked: &[PathBuf], own: &Option<PathBuf>| -> Vec<PathBuf> {
            if asked.is_empty() { own.iter().cloned().collect() } else { asked.to_vec() }
        };
        let verifier = &config.correction.verifier;
        let lexicons = asked_or(asked.lexicons, &config.lexicon.path);
        let verifiers = asked_or(asked.verifiers, &verifier.model);
        if lexicons.is_empty() && verifiers.is_empty() {
            return Err(ProbeError::NoJudge);
        }
        let paths: Vec<&PathBuf> = lexicons.iter().chain(&verifiers).collect();
        let open = |path: &PathBuf| -> Result<Lexicon, ProbeError> {
            let wrong = |source| ProbeError::Lexicon { path: path.clone(), source };
            let lexicon = Lexicon::load(path)?;
            lexicon.check_vocabulary(tokenizer.size(), tokenizer.sha256()).map_err(wrong)?;
            Ok(lexicon)
        };
        let load = |dir: &PathBuf| -> Result<Verifier, ProbeError> {
            check_fits(dir, tokenizer, config.data.length)?;
            Ok(Verifier::load(dir, verifier.bands(), tokenizer.special().mask, device)?)
        };
        Ok(Self {
            names: names(&paths),
            lexicons: lexicons.iter().map(open).collect::<Result<_, _>>()?,
            verifiers: verifiers.iter().map(load).collect::<Result<_, _>>()?,
        })
    }

    /// What each says of every row of a batch, `[judges][P]`; never true where the prediction is right.
    pub fn judge(&self, batch: &DeviceBatch, rows: &Rows, ids: &[(u32, u32)]) -> Vec<Vec<bool>> {
        let look_up = |lexicon: &Lexicon| -> Vec<bool> {
            ids.iter().map(|&(gold, word)| gold != word && lexicon.contains(gold, word)).collect()
        };
        let by_context = |verifier: &Verifier| -> Vec<bool> {
            // A loaded verifier always answers.
            let answers =
                verifier.judge(batch).map(|judge| judge.judge(rows).into_data().iter::<bool>().collect());
            answers.unwrap_or_else(|| vec![false; ids.len()])
        };
        self.lexicons.iter().map(look_up).chain(self.verifiers.iter().map(by_context)).collect()
    }
}

/// Short names: the stem; the path as it was typed where two share the stem; with a number where that is the same as well.
fn names(paths: &[&PathBuf]) -> Vec<String> {
    let stem =
        |path: &PathBuf| path.file_stem().map_or("judge".into(), |name| name.to_string_lossy().into_owned());
    let stems: Vec<String> = paths.iter().map(|path| stem(path)).collect();
    let mut out: Vec<String> = Vec::new();
    for (path, stem) in paths.iter().zip(&stems) {
        let alone = stems.iter().filter(|other| *other == stem).count() == 1;
        let base = if alone { stem.clone() } else { path.display().to_string() };
        let numbered = (2..).map(|n| format!("{base} ({n})"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !out.contains(name));
        out.extend(free);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_judges_have_one_name() {
        let paths =
            ["a/w.safetensors", "b/w.safetensors", "g.safetensors", "b/w.safetensors"].map(PathBuf::from);
        let found = names(&paths.iter().collect::<Vec<_>>());
        assert_eq!(found, ["a/w.safetensors", "b/w.safetensors", "g", "b/w.safetensors (2)"]);
    }
}
