//! What is done about false negatives, by preset or piece by piece.

use std::path::PathBuf;

use fn_core::correct::detection::DetectionKind;
use fn_core::correct::{CorrectionKind, HardConfig, SoftConfig};
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
    /// Hard Correction: generator (or BERT) `hard`, discriminator `drop`.
    Hard,
    /// Soft Regularisation: generator (or BERT) `soft` at word level with lambda 1, discriminator as it was.
    Soft,
    /// Neither: `generator` and `discriminator` say it themselves.
    Custom,
}

impl CorrectionPreset {
    /// What the generator (or BERT) does under this preset.
    pub fn generator(self) -> CorrectionKind {
        match self {
            Self::None | Self::Custom => CorrectionKind::None,
            Self::Hard => CorrectionKind::Hard(HardConfig::default()),
            Self::Soft => CorrectionKind::Soft(SoftConfig::default()),
        }
    }

    /// What the discriminator does under this preset.
    pub fn discriminator(self) -> DetectionKind {
        match self {
            Self::None | Self::Soft | Self::Custom => DetectionKind::None,
            Self::Hard => DetectionKind::Drop,
        }
    }
}

/// Another masked language model that judges by context, in place of the lexicon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerifierConfig {
    /// Hugging Face folder of a BERT with its masked-LM head, or of an ELECTRA (its generator judges), with the same vocabulary; it is
    /// not trained. None: the lexicon judges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Above 0: a moving average of the model that is trained judges, this share of which is kept at each step, e.g. 0.999. 0: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub decay: f64,
    /// From this ratio p(r) / p(w) on a wrong prediction is a false negative. 0.5.
    pub low: f64,
    /// From this ratio on it is as right as the gold word (`banded` calls it original). 1.
    pub high: f64,
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

/// What is done about false negatives. Reading it resolves the preset: `generator` and `discriminator` are always filled,
/// what is written beside a preset wins over it, and `preset` then reads `custom`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "TypedCorrection")]
pub struct CorrectionConfig {
    /// `none`, `hard` or `soft`: sets both of the following.
    pub preset: CorrectionPreset,
    /// For the generator's (or BERT's) masked-LM loss.
    pub generator: CorrectionKind,
    /// For the discriminator's loss (ELECTRA only).
    pub discriminator: DetectionKind,
    /// Which prediction `r` of the masked LM is judged: `argmax` (default) or `sample`.
    pub prediction: Prediction,
    /// beta of the importance weights of true negatives: errors that look right weigh more. 0 (default): all weigh the same.
    #[serde(skip_serializing_if = "is_zero")]
    pub hard_negatives: f64,
    /// A masked LM that judges in place of the lexicon.
    #[serde(skip_serializing_if = "VerifierConfig::is_none")]
    pub verifier: VerifierConfig,
    /// The judge, where it is more than the lexicon or one verifier: `kind` and its settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeKind>,
    /// From this grade of the judge on a wrong prediction is a false negative, above 0 to 1. 0.5.
    #[serde(skip_serializing_if = "is_usual_threshold")]
    pub threshold: f64,
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
            generator: preset.generator(),
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
        use DetectionKind::{Banded, Drop, Registered, Relabel};
        matches!(
            self.generator,
            CorrectionKind::Hard(_) | CorrectionKind::RandomShield | CorrectionKind::Registered(_)
        ) || (discriminator && matches!(self.discriminator, Drop | Relabel | Banded | Registered(_)))
    }

    /// Whether a lexicon is needed to train with it.
    pub fn needs_lexicon(&self) -> bool {
        match &self.generator {
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
    generator: Option<CorrectionKind>,
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
            generator: typed.generator.unwrap_or_else(|| named.generator.clone()),
            discriminator: typed.discriminator.unwrap_or_else(|| named.discriminator.clone()),
            prediction: typed.prediction,
            hard_negatives: typed.hard_negatives,
            verifier: typed.verifier,
            judge: typed.judge,
            threshold: typed.threshold,
        };
        if out.generator != named.generator || out.discriminator != named.discriminator {
            out.preset = CorrectionPreset::Custom;
        }
        out
    }
}
