//! Which correction a configuration asks for.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::registry::{CORRECTIONS, Settings};
use super::tagged;
use super::{
    Correction, HardConfig, LabelSmoothingConfig, PredictionTargetConfig, RandomShield, Resources,
    SoftConfig, SynonymTargetConfig, Uncorrected, VerifierTargetConfig, WeightConfig,
};
use crate::documented;
use crate::error::{CoreError, check_epsilon, check_lambda};

/// The built-in kinds.
pub(super) const NAMES: &[&str] = &[
    "none",
    "hard",
    "weight",
    "prediction-target",
    "verifier-target",
    "soft",
    "label-smoothing",
    "synonym-target",
    "random-shield",
];

documented! {
    /// How the masked-language-model loss treats false negatives: `kind` and the settings of that kind.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub enum CorrectionKind {
        /// `none`: as any other error, the baseline.
        #[default]
        None,
        /// `hard`: false negatives give no gradient.
        Hard(HardConfig),
        /// `weight`: every wrong prediction weighs 1 - g, g its grade.
        Weight(WeightConfig),
        /// `prediction-target`: a share of the target, in proportion to its grade, goes to the wrong prediction.
        PredictionTarget(PredictionTargetConfig),
        /// `verifier-target`: a share of the target of false negatives goes to the most probable words of another masked LM.
        VerifierTarget(VerifierTargetConfig),
        /// `soft`: adds the distance between prediction and original.
        Soft(SoftConfig),
        /// `label-smoothing`: spreads a share of the target over the vocabulary.
        LabelSmoothing(LabelSmoothingConfig),
        /// `synonym-target`: spreads a share of the target over the look-up set of the original word.
        SynonymTarget(SynonymTargetConfig),
        /// `random-shield`: the control of `hard`; as many wrong predictions, picked at random, give no gradient.
        RandomShield,
        /// Or the name of one that another crate registered (`fn_core::correct::registry::CORRECTIONS`).
        Registered(Settings),
    }
}

impl CorrectionKind {
    /// The correction itself.
    ///
    /// # Errors
    /// A setting out of range, a lexicon that is missing, a kind that nobody registered.
    pub fn init(&self, resources: &Resources) -> Result<Box<dyn Correction>, CoreError> {
        Ok(match self {
            Self::None => Box::new(Uncorrected),
            Self::Hard(config) => Box::new(config.init()),
            Self::Weight(config) => Box::new(config.init()),
            Self::PredictionTarget(config) => Box::new(config.init()?),
            Self::VerifierTarget(config) => Box::new(config.init(resources)?),
            Self::Soft(config) => Box::new(config.init()?),
            Self::LabelSmoothing(config) => Box::new(config.init()?),
            Self::SynonymTarget(config) => Box::new(config.init(resources)?),
            Self::RandomShield => Box::new(RandomShield),
            Self::Registered(settings) => CORRECTIONS.build(settings, resources)?,
        })
    }

    /// Checks the settings: lambda 0 to 1000, epsilon 0 to 0.999, those of a registered kind by its own builder.
    ///
    /// ```
    /// use fn_core::correct::{CorrectionKind, LabelSmoothingConfig};
    /// let e = CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon: 1.5 }).validate().unwrap_err();
    /// assert_eq!(e.to_string(), "`epsilon` is 1.5, but must be between 0 and 0.999");
    /// ```
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn validate(&self) -> Result<(), CoreError> {
        match self {
            Self::None | Self::Hard(_) | Self::Weight(_) | Self::RandomShield => Ok(()),
            Self::PredictionTarget(config) => config.init().map(|_| ()),
            Self::VerifierTarget(config) => config.validate(),
            Self::Soft(config) => check_lambda(config.lambda),
            Self::LabelSmoothing(LabelSmoothingConfig { epsilon })
            | Self::SynonymTarget(SynonymTargetConfig { epsilon }) => check_epsilon(*epsilon),
            Self::Registered(settings) => CORRECTIONS.check(settings),
        }
    }

    /// Its name in a configuration.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Hard(_) => "hard",
            Self::Weight(_) => "weight",
            Self::PredictionTarget(_) => "prediction-target",
            Self::VerifierTarget(_) => "verifier-target",
            Self::Soft(_) => "soft",
            Self::LabelSmoothing(_) => "label-smoothing",
            Self::SynonymTarget(_) => "synonym-target",
            Self::RandomShield => "random-shield",
            Self::Registered(settings) => &settings.kind,
        }
    }
}

impl Serialize for CorrectionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = match self {
            Self::None | Self::RandomShield => Ok(Default::default()),
            Self::Hard(config) => tagged::settings(config),
            Self::Weight(config) => tagged::settings(config),
            Self::PredictionTarget(config) => tagged::settings(config),
            Self::VerifierTarget(config) => tagged::settings(config),
            Self::Soft(config) => tagged::settings(config),
            Self::LabelSmoothing(config) => tagged::settings(config),
            Self::SynonymTarget(config) => tagged::settings(config),
            Self::Registered(settings) => Ok(settings.values.clone()),
        };
        tagged::serialize(self.name(), settings, serializer)
    }
}

impl<'de> Deserialize<'de> for CorrectionKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = tagged::read(deserializer)?;
        Ok(match settings.kind.as_str() {
            "none" => tagged::without_settings(&settings, Self::None)?,
            "hard" => Self::Hard(tagged::typed(&settings)?),
            "weight" => Self::Weight(tagged::typed(&settings)?),
            "prediction-target" => Self::PredictionTarget(tagged::typed(&settings)?),
            "verifier-target" => Self::VerifierTarget(tagged::typed(&settings)?),
            "soft" => Self::Soft(tagged::typed(&settings)?),
            "label-smoothing" => Self::LabelSmoothing(tagged::typed(&settings)?),
            "synonym-target" => Self::SynonymTarget(tagged::typed(&settings)?),
            "random-shield" => tagged::without_settings(&settings, Self::RandomShield)?,
            kind if CORRECTIONS.contains(kind) => Self::Registered(settings),
            kind => return Err(D::Error::custom(CORRECTIONS.unknown(kind))),
        })
    }
}
