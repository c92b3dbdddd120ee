//! What is done about false negatives, by preset or piece by piece.

use fn_core::correct::{Correction, DiscriminatorCorrection, Level, Normalise};
use fn_core::sample::Prediction;
use serde::{Deserialize, Serialize};

/// A named pair of corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorrectionPreset {
    /// The baseline: every wrong prediction is a negative.
    #[default]
    None,
    /// Hard Correction: generator (or BERT) `hard`, discriminator `drop`.
    Hard,
    /// Soft Regularisation: generator (or BERT) `soft` at word level with lambda 1, discriminator as it was.
    Soft,
    /// Neither: `generator` and `discriminator` say it themselves.
    Custom,
}

impl CorrectionPreset {
    /// What the generator (or BERT) does under this preset.
    pub fn generator(self) -> Correction {
        match self {
            Self::None | Self::Custom => Correction::None,
            Self::Hard => Correction::Hard { normalise: Normalise::All },
            Self::Soft => {
                Correction::Soft { level: Level::Word, prediction: Prediction::Argmax, lambda: 1.0 }
            }
        }
    }

    /// What the discriminator does under this preset.
    pub fn discriminator(self) -> DiscriminatorCorrection {
        match self {
            Self::None | Self::Soft | Self::Custom => DiscriminatorCorrection::None,
            Self::Hard => DiscriminatorCorrection::Drop,
        }
    }
}

/// What is done about false negatives. Reading it resolves the preset: `generator` and `discriminator` are always filled,
/// what is written beside a preset wins over it, and `preset` then reads `custom`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "TypedCorrection")]
pub struct CorrectionConfig {
    /// `none`, `hard` or `soft`: sets both of the following.
    pub preset: CorrectionPreset,
    /// For the generator's (or BERT's) masked-LM loss.
    pub generator: Correction,
    /// For the discriminator's loss (ELECTRA only).
    pub discriminator: DiscriminatorCorrection,
    /// Which prediction `r` of the masked LM is judged: `argmax` (default) or `sample`.
    pub prediction: Prediction,
}

impl Default for CorrectionConfig {
    fn default() -> Self {
        Self::preset(CorrectionPreset::None)
    }
}

impl CorrectionConfig {
    /// Both corrections of a preset.
    pub fn preset(preset: CorrectionPreset) -> Self {
        Self {
            preset,
            generator: preset.generator(),
            discriminator: preset.discriminator(),
            prediction: Prediction::Argmax,
        }
    }

    /// Whether a lexicon is needed to train with it.
    pub fn needs_lexicon(&self) -> bool {
        !matches!(self.generator, Correction::None | Correction::LabelSmoothing { .. })
            || !matches!(self.discriminator, DiscriminatorCorrection::None)
    }
}

/// What stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedCorrection {
    #[serde(default)]
    preset: CorrectionPreset,
    generator: Option<Correction>,
    discriminator: Option<DiscriminatorCorrection>,
    #[serde(default = "most_probable")]
    prediction: Prediction,
}

fn most_probable() -> Prediction {
    Prediction::Argmax
}

impl From<TypedCorrection> for CorrectionConfig {
    fn from(typed: TypedCorrection) -> Self {
        let named = Self::preset(typed.preset);
        let mut out = Self {
            preset: typed.preset,
            generator: typed.generator.unwrap_or_else(|| named.generator.clone()),
            discriminator: typed.discriminator.unwrap_or_else(|| named.discriminator.clone()),
            prediction: typed.prediction,
        };
        if out.generator != named.generator || out.discriminator != named.discriminator {
            out.preset = CorrectionPreset::Custom;
        }
        out
    }
}
