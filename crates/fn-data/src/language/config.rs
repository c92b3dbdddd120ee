//! Configuration of a generated language, with ranges and defaults.

use super::template::{self, Part};
use serde::{Deserialize, Serialize};

/// The size and shape of a generated language. The default has about 430 pieces and can be learnt by a model of two
/// small layers within a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageConfig {
    /// Number of document topics, 1 to 64. Default 4.
    pub topics: usize,
    /// Noun concepts of each topic, 4 to 256. Default 14.
    pub nouns_per_topic: usize,
    /// Adjective concepts, shared by all topics, 4 to 1024. Default 48.
    pub adjectives: usize,
    /// Verb concepts, 4 to 1024; each topic uses about half of them, in its own way. Default 40.
    pub verbs: usize,
    /// Adverb concepts, 4 to 1024. Default 20.
    pub adverbs: usize,
    /// Noun classes that determiners agree with, 1 to 16; each has a subject form and another form. Default 3.
    pub noun_classes: usize,
    /// Prepositions, 1 to 64; each verb governs one. Default 6.
    pub prepositions: usize,
    /// Weight of concepts with 1, 2, 3, ... interchangeable words; 1 to 8 numbers. Default `[1, 3, 3, 2, 1]`.
    pub set_sizes: Vec<f64>,
    /// Exponent of the word choice within a concept: probability of rank `i` ~ `i^-zipf`, 0 to 8. Default 1.
    pub zipf: f64,
    /// Share of the content words that realise two concepts, 0 to 0.5. Default 0.1.
    pub polysemy: f64,
    /// Number of concepts that a head likes in each dependent slot, 1 to 4. Default 3.
    pub favourites: usize,
    /// The next favourite is this much less likely than the one before, above 0 to 1. Default 0.35.
    pub decay: f64,
    /// Probability that a sentence begins with the last noun of the sentence before, 0 to 1. Default 0.5.
    pub thread: f64,
    /// Sentences of a document, from and to, 1 to 10,000. Default 6 to 14.
    pub sentences: (usize, usize),
    /// Sentence templates, each chosen equally often. Parts: `D`eterminer, `A`djective, `N`oun of the `s`ubject,
    /// `o`bject or `p`lace, `V`erb, adver`B`, `P`reposition, `,` and `.`.
    pub templates: Vec<String>,
}

impl Default for LanguageConfig {
    fn default() -> Self {
        LanguageConfig {
            topics: 4,
            nouns_per_topic: 14,
            adjectives: 48,
            verbs: 40,
            adverbs: 20,
            noun_classes: 3,
            prepositions: 6,
            set_sizes: vec![1.0, 3.0, 3.0, 2.0, 1.0],
            zipf: 1.0,
            polysemy: 0.1,
            favourites: 3,
            decay: 0.35,
            thread: 0.5,
            sentences: (6, 14),
            templates: [
                "Ds Ns V Do No .",
                "Ds As Ns V Do No .",
                "Ds Ns V Do Ao No .",
                "Ds As Ns V Do Ao No .",
                "Ds Ns B V Do No .",
                "Ds As Ns V B P Dp Np .",
                "Ds Ns V P Dp Ap Np .",
                "Ds Ns V Do No P Dp Np .",
                "B , Ds Ns V Do Ao No .",
            ]
            .map(String::from)
            .to_vec(),
        }
    }
}

/// Why a language cannot be generated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageError {
    /// A number is outside its range.
    #[error("language.{field} is {found}; it must be {expected}")]
    OutOfRange {
        /// The field of [`LanguageConfig`].
        field: &'static str,
        /// Its value.
        found: String,
        /// The allowed range.
        expected: &'static str,
    },
    /// No choice within the sets makes this share of the replacements fit.
    #[error(
        "with these sets and {knowledge} of the language known, {least:.3} to {most:.3} of the sampled replacements can fit, not {share}; \
         larger `language.set_sizes` reach more"
    )]
    Share {
        /// The share asked for.
        share: f64,
        /// What the guesser that samples knows, 0 to 1.
        knowledge: f64,
        /// The smallest share that can be had.
        least: f64,
        /// The largest one.
        most: f64,
    },
    /// A sentence template cannot be read.
    #[error("language.templates[{index}] = \"{template}\": {problem}; a good one is \"Ds As Ns V Do No .\"")]
    Template {
        /// Index of the template, counted from 0.
        index: usize,
        /// Its text.
        template: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl LanguageConfig {
    /// Checks every field and parses the templates.
    pub(super) fn validate(&self) -> Result<Vec<Vec<Part>>, LanguageError> {
        let range = |field, found: usize, low: usize, high: usize, expected| {
            if (low..=high).contains(&found) {
                Ok(())
            } else {
                Err(LanguageError::OutOfRange { field, found: found.to_string(), expected })
            }
        };
        let share = |field, found: f64, good: bool, expected| {
            if good {
                Ok(())
            } else {
                Err(LanguageError::OutOfRange { field, found: found.to_string(), expected })
            }
        };
        range("topics", self.topics, 1, 64, "1 to 64")?;
        range("nouns_per_topic", self.nouns_per_topic, 4, 256, "4 to 256")?;
        range("adjectives", self.adjectives, 4, 1024, "4 to 1024")?;
        range("verbs", self.verbs, 4, 1024, "4 to 1024")?;
        range("adverbs", self.adverbs, 4, 1024, "4 to 1024")?;
        range("noun_classes", self.noun_classes, 1, 16, "1 to 16")?;
        range("prepositions", self.prepositions, 1, 64, "1 to 64")?;
        range("set_sizes", self.set_sizes.len(), 1, 8, "1 to 8 weights")?;
        let total: f64 = self.set_sizes.iter().sum();
        let good = self.set_sizes.iter().all(|w| *w >= 0.0) && total > 0.0 && total.is_finite();
        share("set_sizes", total, good, "weights of at least 0 with a positive sum")?;
        share("zipf", self.zipf, (0.0..=8.0).contains(&self.zipf), "0 to 8")?;
        share("polysemy", self.polysemy, (0.0..=0.5).contains(&self.polysemy), "0 to 0.5")?;
        range("favourites", self.favourites, 1, 4, "1 to 4")?;
        share("decay", self.decay, self.decay > 0.0 && self.decay <= 1.0, "above 0, at most 1")?;
        share("thread", self.thread, (0.0..=1.0).contains(&self.thread), "0 to 1")?;
        range("sentences", self.sentences.0, 1, self.sentences.1, "from at least 1, not above to")?;
        range("sentences", self.sentences.1, 1, 10_000, "at most 10,000")?;
        range("templates", self.templates.len(), 1, 1000, "1 to 1000 templates")?;
        self.templates
            .iter()
            .enumerate()
            .map(|(index, template)| {
                template::parse(template).map_err(|problem| LanguageError::Template {
                    index,
                    template: template.clone(),
                    problem,
                })
            })
            .collect()
    }

    /// Number of determiners and prepositions.
    pub(super) fn function_words(&self) -> usize {
        2 * self.noun_classes + self.prepositions
    }
}
