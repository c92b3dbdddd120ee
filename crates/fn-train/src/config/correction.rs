//! How the loss treats false negatives, by preset or key by key.

use std::path::PathBuf;

use fn_core::correct::detection::DetectionKind;
use fn_core::correct::{CorrectionKind, HardConfig, Rows, SoftConfig, VerifierTargetConfig};
use fn_core::documented;
use fn_core::judge::{Bands, THRESHOLD, TeacherKind};
use fn_core::sample::Prediction;
use serde::{Deserialize, Serialize};

use super::RunConfig;
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
    /// Another masked language model that judges predictions by their context, in place of the lexicon, or that corrections learn from.
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
        /// Maximum share of the wrong predictions of a batch that are corrected as false negatives, those with the highest
        /// grades; above 0, at most 1. If grades are used as weights or targets, their mean over the wrong predictions is
        /// scaled down to it. Not set: a third if the judge is a moving average of the model, or the masked LM is corrected by
        /// its own probabilities (kind `generator`), so that not all errors are corrected; otherwise 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cap: Option<f64>,
        /// Optimiser steps at the start of the run in which nothing is corrected. Not set: 3 / (1 - decay) for a moving
        /// average, after which the initial weights have a share of 5 % in it, and at most a quarter of
        /// `schedule.total` or, where that is 0, of `train.steps`; otherwise 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub warmup_steps: Option<u64>,
        /// Which words the generator's replacements are drawn from (ELECTRA only): `any` (default), by its probabilities p(r), or `errors`, by
        /// p(r) (1 - g(r)), where the judge grades every word. Held-out figures are taken with `any`.
        #[serde(skip_serializing_if = "Replacements::is_any")]
        pub replacements: Replacements,
    }
}

/// Which words the generator's replacements are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replacements {
    /// By the generator's probabilities.
    #[default]
    Any,
    /// By the generator's probabilities times 1 - g, g the judge's grade of the word.
    Errors,
}

impl Replacements {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// Default of `cap` for judges that depend on the trained model and could otherwise flag all errors as false negatives.
const SELF_CAP: f64 = 1.0 / 3.0;

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
            cap: None,
            warmup_steps: None,
            replacements: Replacements::Any,
        }
    }

    /// Whether the judge's verdict affects the training of a model with or without a discriminator. A registered correction is
    /// assumed to use it.
    pub fn asks_judge(&self, discriminator: bool) -> bool {
        self.masked_lm_asks_judge()
            || (discriminator
                && (self.discriminator_asks_judge() || self.replacements == Replacements::Errors))
    }

    /// Maximum share of the wrong predictions of a batch that are corrected as false negatives.
    pub fn cap_or_default(&self) -> f64 {
        let judge = self.judge_or_default();
        let itself = judge.reads_generator() && self.masked_lm_asks_judge();
        match self.cap {
            Some(cap) => cap,
            None if judge.decay() > 0.0 || itself => SELF_CAP,
            None => 1.0,
        }
    }

    /// Number of optimiser steps at the start of a run in which nothing is corrected; `steps` is the length of its schedule.
    pub fn warmup_or_default(&self, steps: u64) -> u64 {
        let decay = self.judge_or_default().decay();
        match self.warmup_steps {
            Some(warmup) => warmup,
            None if decay > 0.0 => ((3.0 / (1.0 - decay)).round() as u64).min(steps / 4),
            None => 0,
        }
    }

    /// Whether the judge's verdict changes the masked-LM loss.
    pub fn masked_lm_asks_judge(&self) -> bool {
        match &self.masked_lm {
            CorrectionKind::Soft(SoftConfig { rows, .. })
            | CorrectionKind::VerifierTarget(VerifierTargetConfig { rows, .. }) => *rows == Rows::Judged,
            CorrectionKind::None | CorrectionKind::LabelSmoothing(_) | CorrectionKind::SynonymTarget(_) => {
                false
            }
            _ => true,
        }
    }

    /// Whether the judge's verdict changes the discriminator's loss.
    pub fn discriminator_asks_judge(&self) -> bool {
        use DetectionKind::{None, RaoBlackwell, Soft};
        !matches!(self.discriminator, None | Soft(_) | RaoBlackwell(_))
    }

    /// Whether a correction learns from the probabilities of `verifier`.
    pub fn asks_verifier(&self, discriminator: bool) -> bool {
        let verifier = |teacher: TeacherKind| teacher == TeacherKind::Verifier;
        matches!(&self.masked_lm, CorrectionKind::VerifierTarget(config) if verifier(config.teacher))
            || (discriminator
                && matches!(&self.discriminator, DetectionKind::RaoBlackwell(config) if verifier(config.teacher)))
    }

    /// Whether gradients of a correction may reach the token table or layers besides those of the two forward passes, so that a sum has more
    /// than three terms, in an order that a backward pass in parts has not. A registered one is assumed to do so.
    fn adds_gradients(&self, discriminator: bool) -> bool {
        matches!(self.masked_lm, CorrectionKind::Registered(_))
            || (discriminator
                && (matches!(self.masked_lm, CorrectionKind::Soft(_))
                    || matches!(self.discriminator, DetectionKind::Soft(_) | DetectionKind::Registered(_))))
    }

    /// Whether a lexicon is needed to train with it.
    pub fn needs_lexicon(&self) -> bool {
        let registered = matches!(self.discriminator, DetectionKind::Registered(_));
        let detector =
            (self.discriminator_asks_judge() && !registered) || self.replacements == Replacements::Errors;
        match &self.masked_lm {
            CorrectionKind::SynonymTarget(_) => true,
            _ if !self.judge_or_default().reads_lexicon() => false,
            CorrectionKind::Soft(_) => true,
            CorrectionKind::Registered(_) => detector,
            _ => self.masked_lm_asks_judge() || detector,
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
    cap: Option<f64>,
    warmup_steps: Option<u64>,
    #[serde(default)]
    replacements: Replacements,
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
            cap: typed.cap,
            warmup_steps: typed.warmup_steps,
            replacements: typed.replacements,
        };
        if out.masked_lm != named.masked_lm || out.discriminator != named.discriminator {
            out.preset = CorrectionPreset::Custom;
        }
        out
    }
}

impl RunConfig {
    /// Whether several processes send gradients behind the backward pass: `train.overlap`, but for corrections with which that would change
    /// the bits (`soft` with a discriminator, and registered ones).
    pub fn overlaps(&self) -> bool {
        self.train.overlap && !self.correction.adds_gradients(self.model.arch.has_discriminator())
    }
}
