//! The judges that flag false negatives: lexicons, and masked LMs that use the context.

use std::path::PathBuf;

use burn::tensor::Device;
use fn_core::batch::Predictions;
use fn_core::judge::{DeviceLexicon, Judge, LexiconJudge, Verdict, Verifier};
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_models::hf;
use fn_train::config::RunConfig;
use fn_train::objective::Reader;

use super::Asked;
use crate::probe::ProbeError;

/// The judges, under unique names.
pub(super) struct Judges {
    /// Their names, lexicons first.
    pub names: Vec<String>,
    judges: Vec<Box<dyn Judge>>,
    threshold: f64,
}

impl Judges {
    /// Opens the requested judges, or those of the run if none are requested.
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
        let open = |path: &PathBuf| -> Result<Box<dyn Judge>, ProbeError> {
            let wrong = |source| ProbeError::Lexicon { path: path.clone(), source };
            let lexicon = Lexicon::load(path)?;
            lexicon.check_vocabulary(tokenizer.size(), tokenizer.sha256()).map_err(wrong)?;
            Ok(Box::new(LexiconJudge::new(DeviceLexicon::new(&lexicon, None, device))))
        };
        let load = |dir: &PathBuf| -> Result<Box<dyn Judge>, ProbeError> {
            hf::check_fit(dir, tokenizer.size(), config.data.length)?;
            let model = Reader::load(dir, device)?;
            Ok(Box::new(Verifier::new(model, tokenizer.special().mask, verifier.bands())))
        };
        let judges = lexicons.iter().map(open).chain(verifiers.iter().map(load));
        Ok(Self {
            names: names(&paths),
            judges: judges.collect::<Result<_, _>>()?,
            threshold: config.correction.threshold,
        })
    }

    /// Which predictions each judge flags, `[judges][P]`.
    pub fn flagged(&self, predictions: &Predictions<'_>) -> Vec<Vec<bool>> {
        let flags = |judge: &dyn Judge| {
            let verdict = Verdict::of(judge, predictions, self.threshold);
            verdict.false_negative.into_data().iter::<bool>().collect()
        };
        self.judges.iter().map(|judge| flags(&**judge)).collect()
    }
}

/// Short unique names: the file stem; the path as typed if two share the stem; with a number if the paths are equal too.
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
    fn names_of_judges_are_unique() {
        let paths =
            ["a/w.safetensors", "b/w.safetensors", "g.safetensors", "b/w.safetensors"].map(PathBuf::from);
        let found = names(&paths.iter().collect::<Vec<_>>());
        assert_eq!(found, ["a/w.safetensors", "b/w.safetensors", "g", "b/w.safetensors (2)"]);
    }
}
