//! The arms: a correction of one loss, with a judge.

use std::rc::Rc;

use fn_core::CoreError;
use fn_core::correct::detection::{BandedConfig, DetectionKind, RaoBlackwellConfig};
use fn_core::correct::{
    CorrectionKind, HardConfig, PredictionTargetConfig, Rows, SoftConfig, VerifierTargetConfig, WeightConfig,
};
use fn_core::judge::{
    Bands, DeviceLexicon, GeneratorConfig, Judge, LexiconJudge, NoJudge, Shuffled, Teacher, TeacherKind,
    Verifier,
};
use fn_models::Arch;
use fn_train::config::{Replacements, RunConfig};
use serde::{Deserialize, Serialize};

use super::judge::{Mistakes, SetQuality, SetQualityConfig};

/// What is done about replacements, or predictions, that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// The baseline.
    None,
    /// Discriminator: false negatives are left out of the loss.
    Drop,
    /// Discriminator: false negatives are labelled as original.
    Relabel,
    /// Discriminator: false negatives of a grade of [`RELABEL`] or more are labelled as original, the others are left out.
    Banded,
    /// Either loss: what was replaced or predicted has weight 1 - g, where g is its grade.
    Weight,
    /// Discriminator: every replacement has the label 1 - g.
    SoftLabel,
    /// Discriminator: the label is the probability that the word is not the original.
    RaoBlackwell,
    /// Replacements are sampled from p(v) (1 - g(v)), where p is the generator's distribution.
    Errors,
    /// Masked LM: false negatives are left out of the loss.
    Hard,
    /// Masked LM: mass g of the target goes to the prediction.
    PredictionTarget,
    /// Masked LM: half of the target of false negatives goes to the true conditional; by nobody: of all positions.
    VerifierTarget,
    /// Masked LM: the embeddings of false negatives are drawn to those of their originals; by nobody: of all predictions.
    Soft,
}

/// From this grade on [`Correction::Banded`] labels a replacement as original.
pub const RELABEL: f64 = 0.9;

/// Which loss is corrected, and so what is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// That of an ELECTRA's discriminator.
    #[default]
    Discriminator,
    /// That of an ELECTRA's generator.
    Generator,
    /// That of a masked LM alone, a BERT.
    MaskedLm,
}

impl Loss {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The judge of the replacements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// No judge.
    Nobody,
    /// The ground truth: grade 1 for a replacement that fits, 0 for an error.
    Truth,
    /// The true conditional of the language: as a teacher, or as a verifier whose grade rises with p(r) / p(w).
    Conditional,
    /// A judge with given precision and recall; its seed is that of the run.
    Set {
        /// Precision: share of the flagged replacements that fit.
        precision: f64,
        /// Recall: share of the fitting replacements that are flagged.
        recall: f64,
        /// How its mistakes are distributed.
        mistakes: Mistakes,
    },
    /// The generator: p / (p + 0.05), with its own probability p of the replacement.
    Generator,
}

/// An arm of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Correction of fitting replacements.
    pub correction: Correction,
    /// The judge.
    pub by: By,
    /// The control: the same grades, shuffled among the replacements of a batch.
    #[serde(default)]
    pub shuffled: bool,
    /// The loss that is corrected.
    #[serde(default, skip_serializing_if = "Loss::is_usual")]
    pub loss: Loss,
}

/// Arms that are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The baseline, every correction of the discriminator by the truth or by the generator, and the controls.
    Bounds,
    /// A masked LM alone: the baseline, every correction by the truth, and the controls.
    MaskedLm,
    /// The same corrections on an ELECTRA's generator.
    Generator,
    /// `drop` by judges with given precision and recall, whose mistakes are uniformly random.
    Random,
    /// The same with mistakes at probable replacements.
    Plausible,
}

impl Part {
    /// All, in the order in which they are run.
    pub const ALL: [Self; 5] = [Self::Bounds, Self::MaskedLm, Self::Generator, Self::Random, Self::Plausible];

    /// Its arms.
    pub fn arms(self) -> Vec<Arm> {
        match self {
            Self::Bounds => Arm::bounds(),
            Self::MaskedLm => Arm::masked(Loss::MaskedLm),
            Self::Generator => Arm::masked(Loss::Generator),
            Self::Random => Arm::grid(Mistakes::Random),
            Self::Plausible => Arm::grid(Mistakes::Plausible),
        }
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "bounds" => Ok(Self::Bounds),
            "masked-lm" => Ok(Self::MaskedLm),
            "generator" => Ok(Self::Generator),
            "random" => Ok(Self::Random),
            "plausible" => Ok(Self::Plausible),
            _ => Err("no such part; known: bounds, masked-lm, generator, random, plausible".to_owned()),
        }
    }
}

/// Precisions of the grid.
pub const PRECISIONS: [f64; 4] = [0.95, 0.8, 0.65, 0.5];
/// Recalls of the grid.
pub const RECALLS: [f64; 3] = [0.3, 0.6, 0.9];

impl Arm {
    /// The baseline of an ELECTRA.
    pub const BASELINE: Arm = Arm::of(Correction::None, By::Nobody);

    /// A correction of the discriminator by this judge.
    pub const fn of(correction: Correction, by: By) -> Self {
        Self { correction, by, shuffled: false, loss: Loss::Discriminator }
    }

    /// Its control: the same with shuffled grades.
    #[must_use]
    pub const fn control(self) -> Self {
        Self { shuffled: true, ..self }
    }

    /// What it is compared with: the same model without a correction.
    #[must_use]
    pub fn baseline(self) -> Self {
        match self.loss {
            Loss::Discriminator | Loss::Generator => Self::BASELINE,
            Loss::MaskedLm => Self { loss: Loss::MaskedLm, ..Self::BASELINE },
        }
    }

    /// The baseline, and every correction of the discriminator with a judge at hand and with its control.
    pub fn bounds() -> Vec<Self> {
        let arms = [
            (Correction::Drop, By::Truth),
            (Correction::Relabel, By::Truth),
            (Correction::Errors, By::Truth),
            (Correction::Banded, By::Conditional),
            (Correction::RaoBlackwell, By::Conditional),
            (Correction::RaoBlackwell, By::Generator),
            (Correction::Weight, By::Generator),
            (Correction::SoftLabel, By::Generator),
            (Correction::Banded, By::Generator),
            (Correction::Errors, By::Generator),
        ];
        let both =
            arms.map(|(correction, by)| [Self::of(correction, by), Self::of(correction, by).control()]);
        std::iter::once(Self::BASELINE).chain(both.into_iter().flatten()).collect()
    }

    /// Every correction of a masked-LM loss by the truth, with its controls; of a masked LM alone the baseline as well.
    pub fn masked(loss: Loss) -> Vec<Self> {
        let arms = [
            (Correction::Hard, By::Truth),
            (Correction::Weight, By::Conditional),
            (Correction::PredictionTarget, By::Truth),
            (Correction::VerifierTarget, By::Truth),
            (Correction::Soft, By::Truth),
        ];
        let arm = |correction, by| Self { loss, ..Self::of(correction, by) };
        let both = arms.map(|(correction, by)| [arm(correction, by), arm(correction, by).control()]);
        let without_judge = [Correction::VerifierTarget, Correction::Soft].map(|c| arm(c, By::Nobody));
        let baseline = (loss == Loss::MaskedLm).then(|| arm(Correction::None, By::Nobody));
        baseline.into_iter().chain(both.into_iter().flatten()).chain(without_judge).collect()
    }

    /// `drop` by judges of each precision and recall, whose mistakes are drawn in this way.
    pub fn grid(mistakes: Mistakes) -> Vec<Self> {
        let set = |precision, recall| Self::of(Correction::Drop, By::Set { precision, recall, mistakes });
        RECALLS.into_iter().flat_map(|recall| PRECISIONS.map(|precision| set(precision, recall))).collect()
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        let correction = match self.correction {
            Correction::None => "none",
            Correction::Drop => "drop",
            Correction::Relabel => "relabel",
            Correction::Banded => "banded",
            Correction::Weight => "weight",
            Correction::SoftLabel => "soft label",
            Correction::RaoBlackwell => "Rao-Blackwell label",
            Correction::Errors => "sampled from p (1 - g)",
            Correction::Hard => "hard",
            Correction::PredictionTarget => "prediction target",
            Correction::VerifierTarget => "verifier target",
            Correction::Soft => "soft",
        };
        let loss = match self.loss {
            Loss::Discriminator => "",
            Loss::Generator => "generator: ",
            Loss::MaskedLm => "masked LM: ",
        };
        let by = match self.by {
            By::Nobody if self.correction == Correction::None => String::new(),
            By::Nobody => " at every place".to_owned(),
            By::Truth => " by the truth".to_owned(),
            By::Conditional => " by the true conditional".to_owned(),
            By::Generator => " by the generator".to_owned(),
            By::Set { precision, recall, mistakes } => {
                let mistakes = match mistakes {
                    Mistakes::Random => "random",
                    Mistakes::Plausible => "plausible",
                };
                format!(" by precision {precision:.2}, recall {recall:.2}, {mistakes} mistakes")
            }
        };
        format!("{loss}{correction}{by}{}", if self.shuffled { ", shuffled" } else { "" })
    }

    /// Sets model and corrections of a configuration.
    pub(super) fn configure(&self, config: &mut RunConfig) {
        match self.loss {
            Loss::Discriminator => config.correction.discriminator = self.detection(),
            Loss::Generator | Loss::MaskedLm => config.correction.masked_lm = self.masked_lm(),
        }
        if self.loss == Loss::MaskedLm {
            config.model.arch = Arch::Bert;
        }
        if self.correction == Correction::Errors {
            config.correction.replacements = Replacements::Errors;
        }
    }

    fn detection(&self) -> DetectionKind {
        match self.correction {
            Correction::Drop => DetectionKind::Drop,
            Correction::Relabel => DetectionKind::Relabel,
            Correction::Banded => DetectionKind::Banded(BandedConfig { relabel: RELABEL }),
            Correction::Weight => DetectionKind::Weight,
            Correction::SoftLabel => DetectionKind::SoftLabel,
            Correction::RaoBlackwell => DetectionKind::RaoBlackwell(RaoBlackwellConfig {
                teacher: match self.by {
                    By::Generator => TeacherKind::Generator,
                    _ => TeacherKind::Verifier,
                },
                shuffled: self.shuffled,
                ..Default::default()
            }),
            _ => DetectionKind::None,
        }
    }

    fn masked_lm(&self) -> CorrectionKind {
        let rows = if self.by == By::Nobody { Rows::All } else { Rows::Judged };
        match self.correction {
            Correction::Hard => CorrectionKind::Hard(HardConfig::default()),
            Correction::Weight => CorrectionKind::Weight(WeightConfig::default()),
            Correction::PredictionTarget => {
                CorrectionKind::PredictionTarget(PredictionTargetConfig::default())
            }
            Correction::VerifierTarget => {
                CorrectionKind::VerifierTarget(VerifierTargetConfig { rows, ..Default::default() })
            }
            Correction::Soft => CorrectionKind::Soft(SoftConfig { rows, ..Default::default() }),
            _ => CorrectionKind::None,
        }
    }

    /// Its judge; `truth` is the complete lexicon of the language, `conditional` its true conditional.
    ///
    /// # Errors
    /// A precision or recall out of range.
    pub(super) fn judge(
        &self,
        truth: &DeviceLexicon,
        conditional: &Rc<dyn Teacher>,
        seed: u64,
    ) -> Result<Box<dyn Judge>, CoreError> {
        let judge: Box<dyn Judge> = match self.by {
            By::Nobody => Box::new(NoJudge),
            By::Truth => Box::new(LexiconJudge::new(truth.clone())),
            By::Conditional => Box::new(Verifier::of(conditional.clone(), Bands::default())),
            By::Generator => Box::new(GeneratorConfig::default().init()?),
            By::Set { precision, recall, mistakes } => {
                let config = SetQualityConfig { precision, recall, mistakes, seed };
                Box::new(SetQuality::new(config, truth.clone())?)
            }
        };
        Ok(match self.shuffled {
            true => Box::new(Shuffled(judge)),
            false => judge,
        })
    }
}
