//! How much of a vocabulary and of running text a lexicon covers.

use serde::{Deserialize, Serialize};

use super::Lexicon;

/// Coverage of a lexicon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LexiconStats {
    /// Size of the vocabulary.
    pub vocab_size: usize,
    /// Words with at least one member.
    pub words: usize,
    /// Share of the vocabulary with at least one member.
    pub vocabulary_share: f64,
    /// Members of all sets together.
    pub entries: usize,
    /// Mean size of the non-empty sets, 0 without any.
    pub mean_size: f64,
    /// Size of the largest set.
    pub max_size: usize,
    /// Share of the tokens of running text whose word has at least one member; unknown without counts.
    pub running_text_share: Option<f64>,
    /// Grades of all entries, where one is below 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grades: Option<GradeStats>,
}

/// How the grades of a lexicon are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GradeStats {
    /// Lowest grade.
    pub lowest: f64,
    /// Mean over all entries.
    pub mean: f64,
    /// Highest grade.
    pub highest: f64,
    /// Share of the entries with a grade of at least 0.5.
    pub half: f64,
}

impl Lexicon {
    /// Coverage. `token_counts[id]` says how often each token occurs in some text (missing ids count as 0); without it the
    /// share of running text stays unknown.
    pub fn stats(&self, token_counts: Option<&[u64]>) -> LexiconStats {
        let words = self.rows().count();
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        LexiconStats {
            vocab_size: self.vocab_size(),
            words,
            vocabulary_share: share(words as f64, self.vocab_size() as f64),
            entries: self.entries(),
            mean_size: share(self.entries() as f64, words as f64),
            max_size: self.width(),
            running_text_share: token_counts.map(|counts| {
                let count = |w: u32| counts.get(w as usize).copied().unwrap_or(0) as f64;
                let covered: f64 = self.rows().map(|(w, _)| count(w)).sum();
                share(covered, counts.iter().map(|&c| c as f64).sum())
            }),
            grades: self.is_graded().then(|| {
                let grades = || self.grades.iter().map(|&grade| f64::from(grade));
                let count = self.grades.len() as f64;
                GradeStats {
                    lowest: grades().fold(1.0, f64::min),
                    mean: grades().sum::<f64>() / count,
                    highest: grades().fold(0.0, f64::max),
                    half: grades().filter(|&grade| grade >= 0.5).count() as f64 / count,
                }
            }),
        }
    }
}
