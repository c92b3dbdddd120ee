//! How the loss treats false negatives, by preset or key by key.

use std::path::PathBuf;

use fn_core::correct::detection::DetectionKind;
use fn_core::correct::{CorrectionKind, HardConfig, SoftConfig};
use fn_core::documented;
use fn_core::judge::{Bands, THRESHOLD};
use fn_core::sample::Prediction;
use serde::{Deserialize, Serialize};

use super::judge::JudgeKind;

/// A named pair of corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorrectionPreset {
    /// The baseline: every wrong prediction is a negative.
    #[default]
    None,
    /// Hard Correction: `masked_lm` is `hard`, `discriminator` is `drop`.
    Hard,
    /// Soft Regularisation: `masked_lm` is `soft` at word level with lambda 1, the discriminator is not corrected.
    Soft,
    /// None of these: `masked_lm` and `discriminator` are set themselves.
    Custom,
}

impl CorrectionPreset {
    /// Correction of the masked-LM loss under this preset.
    pub fn masked_lm(self) -> CorrectionKind {
        match self {
            Self::None | Self::Custom => CorrectionKind::None,
            Self::Hard => CorrectionKind::Hard(HardConfig::default()),
            Self::Soft => CorrectionKind::Soft(SoftConfig::default()),
        }
    }

    /// Correction of the discriminator's loss under this preset.
    pub fn discriminator(self) -> DetectionKind {
        match self {
            Self::None | Self::Soft | Self::Custom => DetectionKind::None,
            Self::Hard => DetectionKind::Drop,
        }
    }
}

documented! {
    /// Another masked language model that judges predictions by their context, in place of the lexicon.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct VerifierConfig {
        /// Hugging Face folder of a BERT with its masked-LM head, or of an ELECTRA (whose generator is used), with the same vocabulary. Its
        /// weights stay fixed. Not set: the lexicon is the judge.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub model: Option<PathBuf>,
        /// Decay of an exponential moving average of the trained model, which then is the judge, e.g. 0.999. 0: no average.
        #[serde(skip_serializing_if = "is_zero")]
        pub decay: f64,
        /// A wrong prediction r of the word w is a false negative if p(r) / p(w) is this or higher. 0.5.
        pub low: f64,
        /// It is as good as w if the ratio is this or higher (`banded` labels it as original). 1.
        pub high: f64,
    }
}

impl Default for VerifierConfig {
    fn default() -> Self {
        let Bands { low, high } = Bands::default();
        Self { model: None, decay: 0.0, low, high }
    }
}

impl VerifierConfig {
    /// Both thresholds.
    pub fn bands(&self) -> Bands {
        Bands { low: self.low, high: self.high }
    }

    /// Whether nothing but the lexicon judges.
    pub fn is_none(&self) -> bool {
        self.model.is_none() && self.decay == 0.0
    }
}

documented! {
    /// How the loss treats false negatives. Reading it resolves the preset: `masked_lm` and `discriminator` are always filled,
    /// what is written beside a preset wins over it, and `preset` then reads `custom`.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(from = "TypedCorrection")]
    pub struct CorrectionConfig {
        /// Both corrections by name: `none`, `hard` or `soft`. `correction.masked_lm` and `correction.discriminator` take precedence.
        pub preset: CorrectionPreset,
        /// Correction of the masked-LM loss of the generator or of BERT.
        pub masked_lm: CorrectionKind,
        /// Correction of the discriminator's loss (ELECTRA only).
        pub discriminator: DetectionKind,
        /// Which prediction of the masked LM is judged: `argmax` (default) or `sample`.
        pub prediction: Prediction,
        /// Exponent beta of the importance weights of true negatives: errors that look plausible weigh more. 0 (default): equal weights.
        #[serde(skip_serializing_if = "is_zero")]
        pub hard_negatives: f64,
        /// A masked LM that is the judge in place of the lexicon.
        #[serde(skip_serializing_if = "VerifierConfig::is_none")]
        pub verifier: VerifierConfig,
        /// The judge, if it is another than the lexicon or one verifier: a combination, or one of another crate.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub judge: Option<JudgeKind>,
        /// A wrong prediction is a false negative if the judge grades it this high or higher; above 0, at most 1. 0.5.
        #[serde(skip_serializing_if = "is_usual_threshold")]
        pub threshold: f64,
    }
}

fn is_usual_threshold(value: &f64) -> bool {
    *value == THRESHOLD
}

fn usual_threshold() -> f64 {
    THRESHOLD
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
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
            masked_lm: preset.masked_lm(),
            discriminator: preset.discriminator(),
            prediction: Prediction::Argmax,
            hard_negatives: 0.0,
            verifier: VerifierConfig::default(),
            judge: None,
            threshold: THRESHOLD,
        }
    }

    /// Whether the judge's verdict changes the training of a model that has a discriminator or none. What a registered correction
    /// does with it is not known: it counts as asking.
    pub fn asks_judge(&self, discriminator: bool) -> bool {
        matches!(
            self.masked_lm,
            CorrectionKind::Hard(_) | CorrectionKind::RandomShield | CorrectionKind::Registered(_)
        ) || (discriminator && !matches!(self.discriminator, DetectionKind::None | DetectionKind::Soft(_)))
    }

    /// Whether a lexicon is needed to train with it.
    pub fn needs_lexicon(&self) -> bool {
        match &self.masked_lm {
            CorrectionKind::SynonymTarget(_) => true,
            _ if !self.judge_or_default().reads_lexicon() => false,
            CorrectionKind::None | CorrectionKind::LabelSmoothing(_) | CorrectionKind::Registered(_) => {
                !matches!(self.discriminator, DetectionKind::None | DetectionKind::Registered(_))
            }
            _ => true,
        }
    }

    /// The judge: the one that is named, else the verifier if there is one, else the lexicon.
    pub fn judge_or_default(&self) -> JudgeKind {
        match &self.judge {
            Some(judge) => judge.clone(),
            None if self.verifier.is_none() => JudgeKind::Lexicon,
            None => JudgeKind::Verifier(self.verifier.clone()),
        }
    }
}

/// What stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedCorrection {
    #[serde(default)]
    preset: CorrectionPreset,
    #[serde(alias = "generator")]
    masked_lm: Option<CorrectionKind>,
    discriminator: Option<DetectionKind>,
    #[serde(default = "most_probable")]
    prediction: Prediction,
    #[serde(default)]
    hard_negatives: f64,
    #[serde(default)]
    verifier: VerifierConfig,
    judge: Option<JudgeKind>,
    #[serde(default = "usual_threshold")]
    threshold: f64,
}

fn most_probable() -> Prediction {
    Prediction::Argmax
}

impl From<TypedCorrection> for CorrectionConfig {
    fn from(typed: TypedCorrection) -> Self {
        let named = Self::preset(typed.preset);
        let mut out = Self {
            preset: typed.preset,
            masked_lm: typed.masked_lm.unwrap_or_else(|| named.masked_lm.clone()),
            discriminator: typed.discriminator.unwrap_or_else(|| named.discriminator.clone()),
            prediction: typed.prediction,
            hard_negatives: typed.hard_negatives,
            verifier: typed.verifier,
            judge: typed.judge,
            threshold: typed.threshold,
        };
        if out.masked_lm != named.masked_lm || out.discriminator != named.discriminator {
            out.preset = CorrectionPreset::Custom;
        }
        out
    }
}
