//! Perturbed copies of labelled text: words are changed, labels are kept.
//!
//! [`Perturber`] applies one [`Perturbation`] to the examples of a task or the questions of a SQuAD file, [`mod@write`] writes
//! them in the file format of the task. Random choices are functions of the seed, the perturbation and the number of the
//! example.

mod contractions;
mod distractor;
mod entities;
mod letters;
mod punctuation;
pub mod squad;
mod synonyms;
mod text;
pub mod write;

use std::fmt;
use std::str::FromStr;

use fn_core::noise::{Stream, Use};

use crate::lexicon::wordnet::WordNet;
use crate::names::did_you_mean;
use crate::task::{Example, GlueTask, TaskKind};
use entities::Names;

/// Why data could not be perturbed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PerturbError {
    /// An unknown perturbation.
    #[error(
        "there is no perturbation {found:?}, expected one of {names}{meant}",
        names = Perturbation::names(),
        meant = did_you_mean(.found, &Perturbation::names().split(", ").collect::<Vec<_>>())
    )]
    Unknown {
        /// The name that was given.
        found: String,
    },
    /// A share of words outside of its range.
    #[error("the share of words to change is {found}, expected more than 0 and at most 1; choose e.g. 0.1")]
    Rate {
        /// The share that was given.
        found: f64,
    },
    /// Synonyms without WordNet.
    #[error("`synonyms` needs WordNet and found none; add --wordnet with its dict folder")]
    NoWordNet,
}

/// A kind of perturbation of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u64)]
pub enum Perturbation {
    /// Replaces a letter by one of an adjacent key of a QWERTY keyboard.
    Typos = 1,
    /// Swaps two adjacent letters of a word.
    Swaps = 2,
    /// A common OCR error: `l` and `1`, `rn` and `m`.
    Ocr = 3,
    /// A word in upper case.
    Case = 4,
    /// A punctuation mark is deleted or inserted.
    Punctuation = 5,
    /// *do not* becomes *don't*, and the other way round.
    Contractions = 6,
    /// A word is replaced by a synonym from WordNet.
    Synonyms = 7,
    /// A name is replaced by another name of the same file, in both sentences of an example.
    Entities = 8,
    /// SQuAD only: an adversarial sentence that resembles an answer is appended to the context.
    Distractor = 9,
}

impl Perturbation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Typos,
        Self::Swaps,
        Self::Ocr,
        Self::Case,
        Self::Punctuation,
        Self::Contractions,
        Self::Synonyms,
        Self::Entities,
        Self::Distractor,
    ];

    /// Name on the command line, and of the output folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typos => "typos",
            Self::Swaps => "swaps",
            Self::Ocr => "ocr",
            Self::Case => "case",
            Self::Punctuation => "punctuation",
            Self::Contractions => "contractions",
            Self::Synonyms => "synonyms",
            Self::Entities => "entities",
            Self::Distractor => "distractor",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether it can be applied to the questions of SQuAD. Names cannot: they also occur in the context, which is not changed.
    pub fn suits_squad(self) -> bool {
        self != Self::Entities
    }

    /// Whether it can be applied to a task of one or two sentences.
    pub fn suits_sentences(self) -> bool {
        self != Self::Distractor
    }

    /// Whether it can be applied to token classification, because it keeps the number of words.
    pub fn suits_tags(self) -> bool {
        !matches!(self, Self::Punctuation | Self::Contractions | Self::Distractor)
    }
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Perturbation {
    type Err = PerturbError;

    fn from_str(name: &str) -> Result<Self, PerturbError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name.trim().to_lowercase());
        found.ok_or_else(|| PerturbError::Unknown { found: name.chars().take(60).collect() })
    }
}

/// Whether the labels of a task stay correct. Misspelt English is not acceptable English (CoLA), and a near-synonym changes how
/// similar two sentences are (STS-B).
pub fn keeps_label(task: GlueTask, kind: Perturbation) -> bool {
    match task {
        _ if !kind.suits_sentences() => false,
        GlueTask::Cola => {
            matches!(kind, Perturbation::Case | Perturbation::Contractions | Perturbation::Entities)
        }
        GlueTask::Stsb => kind != Perturbation::Synonyms,
        _ => true,
    }
}

/// As [`keeps_label`], for a task description, of which only the kind is known.
pub fn keeps_label_of_kind(task: TaskKind, kind: Perturbation) -> bool {
    match task {
        TaskKind::Tag => kind.suits_tags(),
        TaskKind::Regress => kind.suits_sentences() && kind != Perturbation::Synonyms,
        TaskKind::Classify | TaskKind::Pair => kind.suits_sentences(),
    }
}

/// Settings of all perturbations.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Share of the words of a sentence that are changed; at least one word if possible.
    pub rate: f64,
    /// Seed; the same seed gives the same text on every machine.
    pub seed: u64,
    /// Source of synonyms.
    pub wordnet: Option<&'a WordNet>,
}

/// Applies one kind of perturbation.
#[derive(Debug)]
pub struct Perturber<'a> {
    kind: Perturbation,
    options: Options<'a>,
}

impl<'a> Perturber<'a> {
    /// Checks the options for this kind of perturbation.
    ///
    /// # Errors
    /// A rate outside of its range; synonyms without WordNet.
    pub fn new(kind: Perturbation, options: Options<'a>) -> Result<Self, PerturbError> {
        if !(options.rate > 0.0 && options.rate <= 1.0) {
            return Err(PerturbError::Rate { found: options.rate });
        }
        if kind == Perturbation::Synonyms && options.wordnet.is_none() {
            return Err(PerturbError::NoWordNet);
        }
        Ok(Self { kind, options })
    }

    /// The kind.
    pub fn kind(&self) -> Perturbation {
        self.kind
    }

    fn stream(&self, row: usize) -> Stream {
        Stream::new(self.options.seed, self.kind as u64, row as u64, Use::Perturb)
    }

    /// Perturbed copies of the examples, in the same order and with the same ids and labels. Examples that cannot be perturbed
    /// stay unchanged.
    pub fn examples(&self, examples: &[Example]) -> Vec<Example> {
        let texts = examples.iter().flat_map(|e| std::iter::once(&e.first).chain(&e.second));
        let names = match self.kind {
            Perturbation::Entities => Names::collect(texts.map(String::as_str)),
            _ => Names::default(),
        };
        let change = |example: &Example| {
            let mut stream = self.stream(example.index);
            let mut example = example.clone();
            if self.kind == Perturbation::Entities {
                let mut both = vec![example.first.as_str()];
                both.extend(example.second.as_deref());
                let mut both = names.replace(&both, self.options.rate, &mut stream).into_iter();
                example.first = both.next().unwrap_or_default();
                example.second = both.next();
            } else {
                example.first = self.sentence(&example.first, &mut stream);
                example.second = example.second.map(|text| self.sentence(&text, &mut stream));
            }
            example
        };
        examples.iter().map(change).collect()
    }

    /// A perturbed sentence, for the kinds that need nothing else than the sentence.
    fn sentence(&self, text: &str, stream: &mut Stream) -> String {
        let rate = self.options.rate;
        match (self.kind, self.options.wordnet) {
            (Perturbation::Typos, _) => text::change_words(text, rate, stream, letters::typo),
            (Perturbation::Swaps, _) => text::change_words(text, rate, stream, letters::swap),
            (Perturbation::Ocr, _) => text::change_words(text, rate, stream, letters::ocr),
            (Perturbation::Case, _) => text::change_words(text, rate, stream, letters::upper),
            (Perturbation::Punctuation, _) => punctuation::change(text, rate, stream),
            (Perturbation::Contractions, _) => contractions::change(text, rate, stream),
            (Perturbation::Synonyms, Some(net)) => {
                text::change_places(text, rate, stream, |at, stream| synonyms::synonym(net, text, at, stream))
            }
            (Perturbation::Synonyms | Perturbation::Entities | Perturbation::Distractor, _) => {
                text.to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
