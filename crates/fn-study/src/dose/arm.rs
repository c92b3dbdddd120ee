//! The arms: a correction of the discriminator's loss with a judge.

use fn_core::CoreError;
use fn_core::correct::detection::DetectionKind;
use fn_core::judge::{DeviceLexicon, GeneratorConfig, Judge, LexiconJudge, NoJudge, Shuffled};
use serde::{Deserialize, Serialize};

use super::judge::{Mistakes, SetQuality, SetQualityConfig};

/// A correction of the discriminator's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// The baseline.
    None,
    /// False negatives are left out of the loss.
    Drop,
    /// False negatives are labelled as original.
    Relabel,
    /// Every replacement has weight 1 - g, where g is its grade.
    Weight,
    /// Every replacement has the label 1 - g.
    SoftLabel,
}

/// The judge of the replacements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// No judge.
    Nobody,
    /// The ground truth: grade 1 for a replacement that fits, 0 for an error.
    Truth,
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
}

/// Arms that are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The baseline, every correction by the truth or by the generator, and the controls.
    Bounds,
    /// `drop` by judges with given precision and recall, whose mistakes are uniformly random.
    Random,
    /// The same with mistakes at probable replacements.
    Plausible,
}

impl Part {
    /// All, in the order in which they are run.
    pub const ALL: [Self; 3] = [Self::Bounds, Self::Random, Self::Plausible];

    /// Its arms.
    pub fn arms(self) -> Vec<Arm> {
        match self {
            Self::Bounds => Arm::bounds(),
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
            "random" => Ok(Self::Random),
            "plausible" => Ok(Self::Plausible),
            _ => Err("no such part; known: bounds, random, plausible".to_owned()),
        }
    }
}

/// Precisions of the grid.
pub const PRECISIONS: [f64; 4] = [0.95, 0.8, 0.65, 0.5];
/// Recalls of the grid.
pub const RECALLS: [f64; 3] = [0.3, 0.6, 0.9];

impl Arm {
    /// The baseline.
    pub const BASELINE: Arm = Arm { correction: Correction::None, by: By::Nobody, shuffled: false };

    /// The baseline, and every correction with a judge at hand and with its control.
    pub fn bounds() -> Vec<Self> {
        let arm = |correction, by, shuffled| Self { correction, by, shuffled };
        vec![
            Self::BASELINE,
            arm(Correction::Drop, By::Truth, false),
            arm(Correction::Relabel, By::Truth, false),
            arm(Correction::Drop, By::Truth, true),
            arm(Correction::Weight, By::Generator, false),
            arm(Correction::Weight, By::Generator, true),
            arm(Correction::SoftLabel, By::Generator, false),
        ]
    }

    /// `drop` by judges of each precision and recall, whose mistakes are drawn in this way.
    pub fn grid(mistakes: Mistakes) -> Vec<Self> {
        let set = |precision, recall| Self {
            correction: Correction::Drop,
            by: By::Set { precision, recall, mistakes },
            shuffled: false,
        };
        RECALLS.into_iter().flat_map(|recall| PRECISIONS.map(|precision| set(precision, recall))).collect()
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        let correction = match self.correction {
            Correction::None => return "none".to_owned(),
            Correction::Drop => "drop",
            Correction::Relabel => "relabel",
            Correction::Weight => "weight",
            Correction::SoftLabel => "soft label",
        };
        let by = match self.by {
            By::Nobody => "nobody".to_owned(),
            By::Truth => "the truth".to_owned(),
            By::Generator => "the generator".to_owned(),
            By::Set { precision, recall, mistakes } => {
                let mistakes = match mistakes {
                    Mistakes::Random => "random",
                    Mistakes::Plausible => "plausible",
                };
                format!("precision {precision:.2}, recall {recall:.2}, {mistakes} mistakes")
            }
        };
        format!("{correction} by {by}{}", if self.shuffled { ", shuffled" } else { "" })
    }

    /// The correction, for a configuration.
    pub(super) fn detection(&self) -> DetectionKind {
        match self.correction {
            Correction::None => DetectionKind::None,
            Correction::Drop => DetectionKind::Drop,
            Correction::Relabel => DetectionKind::Relabel,
            Correction::Weight => DetectionKind::Weight,
            Correction::SoftLabel => DetectionKind::SoftLabel,
        }
    }

    /// Its judge; `truth` is the complete lexicon of the language.
    ///
    /// # Errors
    /// A precision or recall out of range.
    pub(super) fn judge(&self, truth: &DeviceLexicon, seed: u64) -> Result<Box<dyn Judge>, CoreError> {
        let judge: Box<dyn Judge> = match self.by {
            By::Nobody => Box::new(NoJudge),
            By::Truth => Box::new(LexiconJudge::new(truth.clone())),
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
