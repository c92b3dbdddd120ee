//! Which judge a configuration asks for.

use std::path::{Path, PathBuf};

use fn_core::correct::registry::{JUDGES, Settings};
use fn_core::correct::tagged;
use fn_core::documented::KeyDoc;
use fn_core::judge::GeneratorConfig;
use fn_core::{CoreError, config_error, documented};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::VerifierConfig;

documented! {
    /// The judge that grades predictions: `kind` and the settings of that kind.
    #[derive(Debug, Clone, PartialEq)]
    pub enum JudgeKind {
        /// `none`: nothing is a false negative.
        None,
        /// `lexicon`: predictions in the look-up set of the original word are false negatives.
        Lexicon,
        /// `verifier`: the probabilities of another masked language model, or of a moving average of the trained one.
        Verifier(VerifierConfig),
        /// `encoder`: the meaning in context, by the hidden vectors of a frozen encoder.
        Encoder(EncoderJudgeConfig),
        /// `generator`: the probabilities of the masked language model that made the prediction (ELECTRA: the generator), at no further cost.
        Generator(GeneratorConfig),
        /// `all`: the lowest grade of `judges`.
        All(Vec<JudgeKind>),
        /// `any`: the highest grade of `judges`.
        Any(Vec<JudgeKind>),
        /// `mean`: the weighted mean of the grades; each of `judges` may have a `weight` beside its kind, 1 by default.
        Mean(Vec<(f64, JudgeKind)>),
        /// `shuffled`: the control of a judge; the grades of the one in `judges`, shuffled among the wrong predictions of a batch.
        Shuffled(Box<JudgeKind>),
        /// Or the name of one that another crate registered (`fn_core::correct::registry::JUDGES`).
        Registered(Settings),
    }
}

documented! {
    /// A frozen encoder that compares the masked place in the original row with the same place in the row filled with predictions.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct EncoderJudgeConfig {
        /// Hugging Face folder of a BERT or ELECTRA encoder with its tokenizer; heads are not needed. Its vocabulary may be another one:
        /// predictions that are no whole word of both vocabularies then have grade 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub model: Option<PathBuf>,
        /// Its first layers, 1 or more, that are read; the others are not computed. 3.
        pub layers: usize,
        /// WordNet 3.x dict folder. Its relations take part in the grade, and antonyms and other forms of the word have grade 0. Not set:
        /// they cannot be told.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub wordnet: Option<PathBuf>,
        /// How cosines become grades: a file that `fnlm probe judge --fit` wrote, for this encoder, these layers, and with WordNet or without.
        /// Must be set.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub calibration: Option<PathBuf>,
    }
}

impl Default for EncoderJudgeConfig {
    fn default() -> Self {
        Self { model: None, layers: 3, wordnet: None, calibration: None }
    }
}

impl EncoderJudgeConfig {
    /// The files and folders that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.model, &self.wordnet, &self.calibration].into_iter().filter_map(Option::as_deref)
    }
}

/// Judges within judges, at most.
const DEPTH: usize = 4;

/// The keys of a combination.
pub(super) const COMBINED: &[KeyDoc] = &[KeyDoc {
    name: "judges",
    doc: "The judges that are combined, a list of tables with `kind` and settings. In a `mean`, each may have a `weight`, 1 by \
          default; `shuffled` takes exactly one judge.",
}];

/// The settings of a combination.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Combined {
    judges: Vec<serde_json::Value>,
}

impl JudgeKind {
    /// Whether it looks anything up in the lexicon.
    pub fn reads_lexicon(&self) -> bool {
        self.any(&|judge| matches!(judge, Self::Lexicon))
    }

    /// Whether it reads the probabilities of the trained masked LM itself.
    pub fn reads_generator(&self) -> bool {
        self.any(&|judge| matches!(judge, Self::Generator(_)))
    }

    /// The decay of the moving average that it reads with, 0 if there is none.
    pub fn decay(&self) -> f64 {
        self.verifiers().into_iter().map(|verifier| verifier.decay).fold(0.0, f64::max)
    }

    /// The verifiers in it.
    pub fn verifiers(&self) -> Vec<&VerifierConfig> {
        match self {
            Self::Verifier(verifier) => vec![verifier],
            _ => self.inner().into_iter().flat_map(Self::verifiers).collect(),
        }
    }

    /// The encoders in it.
    pub fn encoders(&self) -> Vec<&EncoderJudgeConfig> {
        match self {
            Self::Encoder(encoder) => vec![encoder],
            _ => self.inner().into_iter().flat_map(Self::encoders).collect(),
        }
    }

    /// The model folders that it and its judges name.
    pub(super) fn models_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Verifier(verifier) => verifier.model.iter_mut().collect(),
            Self::Encoder(encoder) => encoder.model.iter_mut().collect(),
            Self::All(judges) | Self::Any(judges) => judges.iter_mut().flat_map(Self::models_mut).collect(),
            Self::Mean(judges) => judges.iter_mut().flat_map(|(_, judge)| judge.models_mut()).collect(),
            Self::Shuffled(judge) => judge.models_mut(),
            _ => Vec::new(),
        }
    }

    /// Whether its grades are more than 0 and 1, so that `banded` can tell what is as good as the original.
    pub fn is_graded(&self) -> bool {
        self.any(&|judge| {
            matches!(
                judge,
                Self::Verifier(_)
                    | Self::Encoder(_)
                    | Self::Generator(_)
                    | Self::Mean(_)
                    | Self::Registered(_)
            )
        })
    }

    /// Checks the settings; does not look at the disk.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn validate(&self) -> Result<(), CoreError> {
        let averages = self.verifiers().into_iter().filter(|verifier| verifier.decay > 0.0).count();
        if averages > 1 {
            return Err(config_error("judge", format!("{averages} moving averages"), "at most one of them"));
        }
        self.validate_within(DEPTH)
    }

    fn validate_within(&self, depth: usize) -> Result<(), CoreError> {
        if depth == 0 {
            return Err(config_error("judge", format!("more than {DEPTH} judges within judges"), "fewer"));
        }
        match self {
            Self::None | Self::Lexicon => Ok(()),
            Self::Registered(settings) => JUDGES.check(settings),
            Self::Generator(config) => config.init().map(|_| ()),
            Self::Verifier(verifier) => match verifier.is_none() {
                true => Err(config_error(
                    "judge.model",
                    "not set",
                    "a folder, or `decay` above 0 for a moving average",
                )),
                false if !(0.0..1.0).contains(&verifier.decay) => {
                    Err(config_error("judge.decay", verifier.decay, "0 or more, below 1"))
                }
                false if verifier.decay > 0.0 && verifier.model.is_some() => Err(config_error(
                    "judge.decay",
                    verifier.decay,
                    "0 beside a `model`: either that model judges, or an average of the trained one",
                )),
                false => verifier.bands().validate(),
            },
            Self::Encoder(EncoderJudgeConfig { model: None, .. }) => {
                Err(config_error("judge.model", "not set", "the folder of an encoder"))
            }
            Self::Encoder(EncoderJudgeConfig { layers: 0, .. }) => {
                Err(config_error("judge.layers", 0, "1 or more"))
            }
            Self::Encoder(_) => Ok(()),
            Self::All(_) | Self::Any(_) | Self::Mean(_) if self.inner().is_empty() => {
                Err(config_error("judge.judges", "empty", "a list of at least one judge"))
            }
            Self::Mean(judges) if !judges.iter().all(|(weight, _)| *weight > 0.0 && weight.is_finite()) => {
                Err(config_error("judge.judges.weight", "not above 0", "a finite number above 0"))
            }
            Self::All(_) | Self::Any(_) | Self::Mean(_) | Self::Shuffled(_) => {
                self.inner().into_iter().try_for_each(|judge| judge.validate_within(depth - 1))
            }
        }
    }

    /// Its name in a configuration.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Lexicon => "lexicon",
            Self::Verifier(_) => "verifier",
            Self::Encoder(_) => "encoder",
            Self::Generator(_) => "generator",
            Self::All(_) => "all",
            Self::Any(_) => "any",
            Self::Mean(_) => "mean",
            Self::Shuffled(_) => "shuffled",
            Self::Registered(settings) => &settings.kind,
        }
    }

    fn inner(&self) -> Vec<&Self> {
        match self {
            Self::All(judges) | Self::Any(judges) => judges.iter().collect(),
            Self::Mean(judges) => judges.iter().map(|(_, judge)| judge).collect(),
            Self::Shuffled(judge) => vec![judge],
            _ => Vec::new(),
        }
    }

    fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self) || self.inner().into_iter().any(|judge| judge.any(is))
    }
}

fn values(judges: &[JudgeKind]) -> serde_json::Result<Vec<serde_json::Value>> {
    judges.iter().map(serde_json::to_value).collect()
}

impl Serialize for JudgeKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let combined = |judges: serde_json::Result<Vec<serde_json::Value>>| {
            judges.and_then(|judges| tagged::settings(&Combined { judges }))
        };
        let settings = match self {
            Self::None | Self::Lexicon => Ok(Default::default()),
            Self::Verifier(config) => tagged::settings(config),
            Self::Encoder(config) => tagged::settings(config),
            Self::Generator(config) => tagged::settings(config),
            Self::All(judges) | Self::Any(judges) => combined(values(judges)),
            Self::Shuffled(judge) => combined(values(std::slice::from_ref(judge))),
            Self::Mean(judges) => combined(
                judges
                    .iter()
                    .map(|(weight, judge)| {
                        let mut value = serde_json::to_value(judge)?;
                        value["weight"] = (*weight).into();
                        Ok(value)
                    })
                    .collect(),
            ),
            Self::Registered(settings) => Ok(settings.values.clone()),
        };
        tagged::serialize(self.name(), settings, serializer)
    }
}

impl<'de> Deserialize<'de> for JudgeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = tagged::read(deserializer)?;
        let inner = || -> Result<Vec<Self>, D::Error> {
            let Combined { judges } = tagged::typed(&settings)?;
            judges.into_iter().map(|judge| serde_json::from_value(judge).map_err(D::Error::custom)).collect()
        };
        Ok(match settings.kind.as_str() {
            "none" => tagged::without_settings(&settings, Self::None)?,
            "lexicon" => tagged::without_settings(&settings, Self::Lexicon)?,
            "verifier" => Self::Verifier(tagged::typed(&settings)?),
            "encoder" => Self::Encoder(tagged::typed(&settings)?),
            "generator" => Self::Generator(tagged::typed(&settings)?),
            "all" => Self::All(inner()?),
            "any" => Self::Any(inner()?),
            "mean" => {
                let Combined { judges } = tagged::typed(&settings)?;
                let weighted = |mut judge: serde_json::Value| {
                    let weight = judge.as_object_mut().and_then(|judge| judge.remove("weight"));
                    let weight = weight.map_or(Ok(1.0), |weight| {
                        weight.as_f64().ok_or_else(|| {
                            D::Error::custom(format!("`weight` is {weight}, but must be a number"))
                        })
                    })?;
                    Ok((weight, serde_json::from_value(judge).map_err(D::Error::custom)?))
                };
                Self::Mean(judges.into_iter().map(weighted).collect::<Result<_, D::Error>>()?)
            }
            "shuffled" => match <[Self; 1]>::try_from(inner()?) {
                Ok([judge]) => Self::Shuffled(Box::new(judge)),
                Err(judges) => {
                    let found = judges.len();
                    return Err(D::Error::custom(format!(
                        "`judges` holds {found} judges, but must hold exactly one"
                    )));
                }
            },
            kind if JUDGES.contains(kind) => Self::Registered(settings),
            kind => return Err(D::Error::custom(JUDGES.unknown(kind))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<JudgeKind, String> {
        let judge: JudgeKind = serde_json::from_str(json).map_err(|e| e.to_string())?;
        judge.validate().map_err(|e| e.to_string())?;
        Ok(judge)
    }

    #[test]
    fn judges_combine_in_a_configuration_and_are_written_as_they_were_read() {
        let json = r#"{"kind":"mean","judges":[{"kind":"lexicon","weight":3.0},
            {"kind":"all","judges":[{"kind":"lexicon"},{"kind":"verifier","model":"bert","low":0.1,"high":0.9}],"weight":1.0}]}"#;
        let judge = read(json).unwrap();
        let JudgeKind::Mean(judges) = &judge else { panic!("{judge:?}") };
        assert_eq!((judges[0].0, judges[1].1.verifiers()[0].low), (3.0, 0.1));
        assert!(judge.reads_lexicon() && judge.is_graded());
        let encoder =
            read(r#"{"kind":"all","judges":[{"kind":"lexicon"},{"kind":"encoder","model":"m","layers":2}]}"#)
                .unwrap();
        assert!(encoder.is_graded() && encoder.encoders()[0].layers == 2);
        assert_eq!(read(&serde_json::to_string(&encoder).unwrap()).unwrap(), encoder);
        let shuffled = r#"{"kind":"shuffled","judges":[{"kind":"generator","half":0.1}]}"#;
        for judge in [judge, read(shuffled).unwrap()] {
            let written = serde_json::to_string(&judge).unwrap();
            assert_eq!(read(&written).unwrap(), judge, "{written}");
            assert!(judge.is_graded());
        }
        assert!(!read(r#"{"kind":"any","judges":[{"kind":"lexicon"}]}"#).unwrap().is_graded());
    }

    #[test]
    fn judges_that_cannot_work_are_refused() {
        for (json, message) in [
            (r#"{"kind":"oracle"}"#, "no judge of kind `oracle`"),
            (r#"{"kind":"lexicon","path":"x"}"#, "unknown field `path`"),
            (r#"{"kind":"all","judges":[]}"#, "at least one judge"),
            (r#"{"kind":"all"}"#, "missing field `judges`"),
            (r#"{"kind":"shuffled","judges":[]}"#, "exactly one"),
            (r#"{"kind":"shuffled","judges":[{"kind":"lexicon"},{"kind":"lexicon"}]}"#, "exactly one"),
            (r#"{"kind":"generator","half":0}"#, "`half` is 0, but must be"),
            (r#"{"kind":"generator","measure":"entropy"}"#, "unknown variant `entropy`"),
            (r#"{"kind":"verifier"}"#, "a folder, or `decay`"),
            (r#"{"kind":"encoder"}"#, "the folder of an encoder"),
            (r#"{"kind":"encoder","model":"x","layers":0}"#, "1 or more"),
            (r#"{"kind":"encoder","model":"x","layer":2}"#, "unknown field `layer`"),
            (r#"{"kind":"mean","judges":[{"kind":"lexicon","weight":0}]}"#, "above 0"),
            (r#"{"kind":"mean","judges":[{"kind":"lexicon","weight":"x"}]}"#, "must be a number"),
            (
                r#"{"kind":"any","judges":[{"kind":"verifier","decay":0.9},{"kind":"verifier","decay":0.99}]}"#,
                "at most one of them",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(message), "{json}: {error}");
        }
        let deep = (0..4).fold(r#"{"kind":"lexicon"}"#.to_owned(), |inner, _| {
            format!(r#"{{"kind":"all","judges":[{inner}]}}"#)
        });
        assert!(read(&deep).unwrap_err().contains("judges within judges"));
    }
}
