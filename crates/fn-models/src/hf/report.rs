//! What a loader read, and what it did not find.

use std::fmt;
use std::path::PathBuf;

use super::export::SaveOptions;
use crate::pretrained::Pretrained;

/// A tensor that was stored in another precision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// Its name in the file.
    pub tensor: String,
    /// How it was stored.
    pub from: &'static str,
}

/// What a loader did. Names are those of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadReport {
    /// Files of weights that were read.
    pub files: Vec<PathBuf>,
    /// Tensors that are now parameters.
    pub loaded: Vec<String>,
    /// Parameters that the files do not hold; they have fresh initial values.
    pub missing: Vec<String>,
    /// Tensors that the model has no parameter for.
    pub unused: Vec<String>,
    /// Tensors that were cast to f32.
    pub cast: Vec<Cast>,
    /// Anything else that a user should know.
    pub notes: Vec<String>,
    /// Our paths of `missing`.
    pub(crate) fresh: Vec<String>,
    /// What [`super::save_bert_with`] and [`super::save_electra_with`] need to write the same folder again.
    pub options: SaveOptions,
}

/// A head of pre-training; fine-tuned folders come without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// The masked LM of BERT, RoBERTa and their relatives.
    MaskedLm,
    /// The masked LM of a generator.
    Generator,
    /// A discriminator's replaced-token detection.
    Discriminator,
}

impl LoadReport {
    /// Whether the files held this head; what has fresh initial values predicts noise.
    pub fn has(&self, head: Head) -> bool {
        let ours = match head {
            Head::MaskedLm => "head.",
            Head::Generator => "generator_head.",
            Head::Discriminator => "discriminator_head.",
        };
        // A masked LM without a bias is whole: the first files have none.
        let own = |path: &String| path.strip_prefix(ours).is_some_and(|rest| rest != "bias");
        !self.fresh.iter().any(own)
    }
}

impl LoadReport {
    /// What was read into `model`, as the terminal shows it; with `all`, the name of every tensor that is missing or unused.
    pub fn text(&self, model: &Pretrained, all: bool) -> String {
        let config = model.encoder();
        let mut out = format!(
            "{}: {} layers of {}, {} heads, {} positions, {} pieces\n{self}\n",
            model.arch().name(),
            config.num_layers,
            config.hidden_size,
            config.num_heads,
            config.max_positions,
            config.vocab_size
        );
        for (what, names) in [("missing", &self.missing), ("unused", &self.unused)] {
            for name in names.iter().filter(|_| all) {
                out.push_str(&format!("{what}  {name}\n"));
            }
        }
        out
    }

    /// The same as JSON, with all names.
    pub fn json(&self, model: &Pretrained) -> serde_json::Value {
        let config = model.encoder();
        let cast: Vec<_> = self
            .cast
            .iter()
            .map(|cast| serde_json::json!({"tensor": cast.tensor, "from": cast.from}))
            .collect();
        serde_json::json!({
            "architecture": model.arch().name(), "layers": config.num_layers, "width": config.hidden_size,
            "heads": config.num_heads, "positions": config.max_positions, "pieces": config.vocab_size,
            "files": self.files, "read": self.loaded.len(), "missing": self.missing, "unused": self.unused, "cast": cast,
            "notes": self.notes,
        })
    }
}

/// Names printed of a long list of fresh parameters.
const SHOWN: usize = 4;

/// Names printed of a long list of tensors that are not used: each may be a surprise.
const SHOWN_UNUSED: usize = 24;

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|path| path.display().to_string()).collect();
        write!(f, "{} tensors read from {}", self.loaded.len(), files.join(", "))?;
        for (label, names, most) in
            [("fresh (not in the file)", &self.missing, SHOWN), ("not used", &self.unused, SHOWN_UNUSED)]
        {
            if !names.is_empty() {
                let shown: Vec<_> = names.iter().take(most).map(String::as_str).collect();
                let more = if names.len() > most { ", ..." } else { "" };
                write!(f, "\n  {label}: {}: {}{more}", names.len(), shown.join(", "))?;
            }
        }
        for from in ["F16", "BF16", "F64"] {
            let count = self.cast.iter().filter(|cast| cast.from == from).count();
            if count > 0 {
                write!(f, "\n  cast from {from} to F32: {count} tensors")?;
            }
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n  {note}"))
    }
}
