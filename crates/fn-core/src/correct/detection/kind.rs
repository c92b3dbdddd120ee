//! Which correction of the discriminator's loss a configuration asks for.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::registry::{DETECTION_CORRECTIONS, Resources, Settings};
use super::super::tagged;
use super::{
    BandedConfig, DetectionCorrection, Drop, RaoBlackwellConfig, Relabel, SoftDetectionConfig, SoftLabel,
    UncorrectedDetection, Weight,
};
use crate::documented;
use crate::error::{CoreError, check_lambda};

/// The built-in kinds.
pub(in super::super) const NAMES: &[&str] =
    &["none", "drop", "relabel", "banded", "weight", "soft-label", "rao-blackwell", "soft"];

documented! {
    /// How the discriminator's loss treats replacements that are false negatives: `kind` and the settings of that kind.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub enum DetectionKind {
        /// `none`: they are labelled as replaced, the baseline.
        #[default]
        None,
        /// `drop`: they are left out of the loss.
        Drop,
        /// `relabel`: they are labelled as original.
        Relabel,
        /// `banded`: those of grade `relabel` and more are labelled as original, the others are left out of the loss.
        Banded(BandedConfig),
        /// `weight`: every replacement weighs 1 - g, g its grade.
        Weight,
        /// `soft-label`: every replacement is to be called replaced with probability 1 - g, g its grade.
        SoftLabel,
        /// `rao-blackwell`: at the masked positions the label is the probability that the token is not the original.
        RaoBlackwell(RaoBlackwellConfig),
        /// `soft`: adds the distance between the embeddings of replacement and original.
        Soft(SoftDetectionConfig),
        /// Or the name of one that another crate registered (`fn_core::correct::registry::DETECTION_CORRECTIONS`).
        Registered(Settings),
    }
}

impl DetectionKind {
    /// The correction itself.
    ///
    /// # Errors
    /// A setting out of range, a kind that nobody registered.
    pub fn init(&self, resources: &Resources) -> Result<Box<dyn DetectionCorrection>, CoreError> {
        Ok(match self {
            Self::None => Box::new(UncorrectedDetection),
            Self::Drop => Box::new(Drop),
            Self::Relabel => Box::new(Relabel),
            Self::Banded(config) => Box::new(config.init()?),
            Self::Weight => Box::new(Weight),
            Self::SoftLabel => Box::new(SoftLabel),
            Self::RaoBlackwell(config) => Box::new(config.init(resources)?),
            Self::Soft(config) => Box::new(config.init()?),
            Self::Registered(settings) => DETECTION_CORRECTIONS.build(settings, resources)?,
        })
    }

    /// Checks the settings: lambda 0 to 1000, alpha 0 to 1, relabel above 0 to 1, those of a registered kind by its own builder.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn validate(&self) -> Result<(), CoreError> {
        match self {
            Self::Soft(config) => check_lambda(config.lambda),
            Self::Banded(config) => config.init().map(|_| ()),
            Self::RaoBlackwell(config) => config.validate(),
            Self::Registered(settings) => DETECTION_CORRECTIONS.check(settings),
            _ => Ok(()),
        }
    }

    /// Its name in a configuration.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Drop => "drop",
            Self::Relabel => "relabel",
            Self::Banded(_) => "banded",
            Self::Weight => "weight",
            Self::SoftLabel => "soft-label",
            Self::RaoBlackwell(_) => "rao-blackwell",
            Self::Soft(_) => "soft",
            Self::Registered(settings) => &settings.kind,
        }
    }
}

impl Serialize for DetectionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = match self {
            Self::Soft(config) => tagged::settings(config),
            Self::Banded(config) => tagged::settings(config),
            Self::RaoBlackwell(config) => tagged::settings(config),
            Self::Registered(settings) => Ok(settings.values.clone()),
            _ => Ok(Default::default()),
        };
        tagged::serialize(self.name(), settings, serializer)
    }
}

impl<'de> Deserialize<'de> for DetectionKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = tagged::read(deserializer)?;
        let plain = |value| tagged::without_settings(&settings, value);
        Ok(match settings.kind.as_str() {
            "none" => plain(Self::None)?,
            "drop" => plain(Self::Drop)?,
            "relabel" => plain(Self::Relabel)?,
            "banded" => Self::Banded(tagged::typed(&settings)?),
            "weight" => plain(Self::Weight)?,
            "soft-label" => plain(Self::SoftLabel)?,
            "rao-blackwell" => Self::RaoBlackwell(tagged::typed(&settings)?),
            "soft" => Self::Soft(tagged::typed(&settings)?),
            kind if DETECTION_CORRECTIONS.contains(kind) => Self::Registered(settings),
            kind => return Err(D::Error::custom(DETECTION_CORRECTIONS.unknown(kind))),
        })
    }
}
