//! From the name in a configuration to a judge or a correction, those of other crates included.
//!
//! ```
//! use fn_core::correct::registry::CORRECTIONS;
//! use fn_core::correct::{Correction, CorrectionKind, Corrected, Masked, Resources};
//!
//! struct Scaled(f64);
//! impl Correction for Scaled {
//!     fn correct(&self, masked: &Masked) -> Corrected {
//!         let mut corrected = Corrected::unchanged(masked.predictions);
//!         corrected.weight = corrected.weight * self.0 as f32;
//!         corrected
//!     }
//! }
//!
//! CORRECTIONS.register("scaled", |settings, _| Ok(Box::new(Scaled(settings.number("factor", 1.0)?))))?;
//! let kind: CorrectionKind = serde_json::from_str(r#"{"kind": "scaled", "factor": 0.5}"#)?;
//! let correction = kind.init(&Resources::default())?;
//! # let _ = correction;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::Correction;
use super::detection::DetectionCorrection;
use crate::error::CoreError;
use crate::judge::{DeviceLexicon, Judge, Own, Teacher, TeacherKind};

/// Corrections of the masked-language-model loss.
pub static CORRECTIONS: Registry<dyn Correction> = Registry::new("correction", super::kind::NAMES);

/// Corrections of the discriminator's loss.
pub static DETECTION_CORRECTIONS: Registry<dyn DetectionCorrection> =
    Registry::new("discriminator correction", super::detection::NAMES);

/// Judges. `verifier` and `encoder` belong to whoever can load models.
pub static JUDGES: Registry<dyn Judge> = Registry::new(
    "judge",
    &["none", "lexicon", "verifier", "encoder", "generator", "all", "any", "mean", "shuffled"],
);

/// What judges and corrections may need beside their settings.
#[derive(Clone, Default)]
pub struct Resources {
    /// The look-up sets.
    pub lexicon: Option<DeviceLexicon>,
    /// The masked LM of `correction.verifier`.
    pub verifier: Option<Rc<dyn Teacher>>,
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources")
            .field("lexicon", &self.lexicon)
            .field("verifier", &self.verifier.is_some())
            .finish()
    }
}

impl Resources {
    /// The distributions that `wanted` names.
    ///
    /// # Errors
    /// [`CoreError::Needs`] in the name of `kind` if it is the verifier and there is none.
    pub fn teacher(&self, kind: &str, wanted: TeacherKind) -> Result<Rc<dyn Teacher>, CoreError> {
        match (wanted, &self.verifier) {
            (TeacherKind::Generator, _) => Ok(Rc::new(Own)),
            (TeacherKind::Verifier, Some(verifier)) => Ok(verifier.clone()),
            (TeacherKind::Verifier, None) => Err(CoreError::Needs {
                kind: kind.to_owned(),
                what: "a verifier to learn from",
                remedy: "set `correction.verifier.model` or `correction.verifier.decay`",
            }),
        }
    }

    /// The lexicon.
    ///
    /// # Errors
    /// [`CoreError::Needs`] in the name of `kind` if there is none.
    pub fn lexicon(&self, kind: &str) -> Result<&DeviceLexicon, CoreError> {
        self.lexicon.as_ref().ok_or_else(|| CoreError::Needs {
            kind: kind.to_owned(),
            what: "a lexicon",
            remedy: "name one (`lexicon.path` or `lexicon.wordnet`)",
        })
    }
}

/// The settings that stand beside `kind` in a configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The kind, for messages.
    pub kind: String,
    /// What stands beside it.
    pub values: Map<String, Value>,
}

impl Settings {
    /// A number, or `default` where it is not set.
    ///
    /// # Errors
    /// [`CoreError::Settings`] for anything but a number.
    pub fn number(&self, key: &str, default: f64) -> Result<f64, CoreError> {
        match self.values.get(key) {
            None => Ok(default),
            Some(value) => {
                value.as_f64().ok_or_else(|| self.error(format!("`{key}` is {value}, but must be a number")))
            }
        }
    }

    /// The settings as a type of your own.
    ///
    /// # Errors
    /// [`CoreError::Settings`] with what serde says.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, CoreError> {
        serde_json::from_value(Value::Object(self.values.clone())).map_err(|e| self.error(e.to_string()))
    }

    fn error(&self, message: String) -> CoreError {
        CoreError::Settings { kind: self.kind.clone(), message }
    }
}

type Build<T> = Arc<dyn Fn(&Settings, &Resources) -> Result<Box<T>, CoreError> + Send + Sync>;

/// Builders by name, for the whole process.
pub struct Registry<T: ?Sized + 'static> {
    what: &'static str,
    builtin: &'static [&'static str],
    others: RwLock<BTreeMap<String, Build<T>>>,
}

impl<T: ?Sized + 'static> Registry<T> {
    const fn new(what: &'static str, builtin: &'static [&'static str]) -> Self {
        Self { what, builtin, others: RwLock::new(BTreeMap::new()) }
    }

    /// Makes `kind` known to configurations that are read from now on. Settings are handed to `build` as they stand beside the kind,
    /// once when the configuration is checked (with empty [`Resources`]; an error [`CoreError::Needs`] counts as fine there) and once
    /// when the run starts.
    ///
    /// # Errors
    /// [`CoreError::KindTaken`] if the name is taken.
    pub fn register(
        &self,
        kind: &str,
        build: impl Fn(&Settings, &Resources) -> Result<Box<T>, CoreError> + Send + Sync + 'static,
    ) -> Result<(), CoreError> {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if self.builtin.contains(&kind) || others.contains_key(kind) {
            return Err(CoreError::KindTaken { what: self.what, kind: kind.to_owned() });
        }
        others.insert(kind.to_owned(), Arc::new(build));
        Ok(())
    }

    /// Builds what `settings.kind` was registered with.
    ///
    /// # Errors
    /// [`CoreError::UnknownKind`]; whatever the builder refuses.
    pub fn build(&self, settings: &Settings, resources: &Resources) -> Result<Box<T>, CoreError> {
        let found = self.find(&settings.kind);
        found.ok_or_else(|| self.unknown(&settings.kind))?(settings, resources)
    }

    /// Checks settings without building anything for good.
    ///
    /// # Errors
    /// As [`build`](Self::build), except what is missing only because there are no [`Resources`] yet.
    pub fn check(&self, settings: &Settings) -> Result<(), CoreError> {
        match self.build(settings, &Resources::default()) {
            Ok(_) | Err(CoreError::Needs { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether `kind` was registered (built-in names are not).
    pub fn contains(&self, kind: &str) -> bool {
        self.find(kind).is_some()
    }

    /// Whether nothing was registered.
    pub fn is_empty(&self) -> bool {
        self.others.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The error about a kind that nobody knows.
    pub fn unknown(&self, kind: &str) -> CoreError {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<&str> =
            self.builtin.iter().copied().chain(others.keys().map(String::as_str)).collect();
        CoreError::UnknownKind { what: self.what, kind: kind.to_owned(), known: known.join(", ") }
    }

    fn find(&self, kind: &str) -> Option<Build<T>> {
        self.others.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }
}
