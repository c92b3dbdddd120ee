//! What can be examined.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_models::{Pretrained, params};
use fn_train::session::wordnet_lexicon;

use super::{ExamError, Prepared};

/// What a grade is, for a regression over grades.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Any number: a cosine.
    #[default]
    Plain,
    /// A probability, or a grade that is meant as one: its log-odds are compared.
    Probability,
    /// A number above 0: its logarithm is compared.
    Ratio,
}

impl Scale {
    /// The number that a regression adds up. Probabilities and ratios nearer to 0 or 1 than 1e-6 count as 1e-6 away.
    pub fn feature(self, grade: f64) -> f64 {
        const LEAST: f64 = 1e-6;
        match self {
            Self::Plain => grade,
            Self::Probability => {
                let p = grade.clamp(LEAST, 1.0 - LEAST);
                (p / (1.0 - p)).ln()
            }
            Self::Ratio => grade.max(LEAST).ln(),
        }
    }
}

/// Grades of the pairs of an exam.
#[derive(Debug, Clone, PartialEq)]
pub struct Grades {
    /// One for each pair, higher for better.
    pub values: Vec<f64>,
    /// The grade of what the judge knows nothing of, and never accepts; None where every grade means something.
    pub floor: Option<f64>,
    /// What they are.
    pub scale: Scale,
}

/// Grades substitutes in their contexts.
pub trait Judge {
    /// Its name in tables.
    fn name(&self) -> String;

    /// One grade for each pair.
    ///
    /// # Errors
    /// The judge was made for another vocabulary.
    fn grade(&self, exam: &Prepared<'_>) -> Result<Grades, ExamError>;
}

/// A lexicon: its grade where the substitute is in the target's set, else 0. Blind to context.
#[derive(Debug, Clone)]
pub struct LexiconTable {
    path: PathBuf,
    lexicon: Lexicon,
}

impl LexiconTable {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, ExamError> {
        let source = |source| ExamError::Lexicon { path: path.to_owned(), source };
        Ok(Self { path: path.to_owned(), lexicon: Lexicon::load(path).map_err(source)? })
    }

    /// The one that a run with `lexicon.wordnet` builds at its start, from the WordNet files in `dict`.
    ///
    /// # Errors
    /// Files that cannot be read; a vocabulary without any entry.
    pub fn at_start(dict: &Path, tokenizer: &TextTokenizer) -> Result<Self, ExamError> {
        Ok(Self { path: dict.to_owned(), lexicon: wordnet_lexicon(dict, tokenizer)? })
    }
}

impl Judge for LexiconTable {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn grade(&self, exam: &Prepared<'_>) -> Result<Grades, ExamError> {
        let source = |source| ExamError::Lexicon { path: self.path.clone(), source };
        self.lexicon.check_vocabulary(exam.vocabulary, &exam.vocabulary_sha256).map_err(source)?;
        let grade = |pair: &super::Pair| f64::from(self.lexicon.grade(pair.word, pair.substitute));
        Ok(Grades {
            values: exam.pairs.iter().map(grade).collect(),
            floor: Some(0.0),
            scale: Scale::Probability,
        })
    }
}

/// What the file of the exam records: probabilities of the model whose errors it holds, and scores by other models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// p(substitute).
    Probability,
    /// p(substitute) / p(word).
    Ratio,
    /// The score of this name.
    Score(String),
}

impl Judge for Recorded {
    fn name(&self) -> String {
        match self {
            Self::Probability => "p(prediction), recorded".to_owned(),
            Self::Ratio => "p(prediction) / p(word), recorded".to_owned(),
            Self::Score(name) => format!("{name}, recorded"),
        }
    }

    fn grade(&self, exam: &Prepared<'_>) -> Result<Grades, ExamError> {
        let missing = || ExamError::NotRecorded { name: exam.exam.name.clone() };
        if let Self::Score(name) = self {
            let scores = exam.exam.scores.iter().find(|(known, _)| known == name).ok_or_else(missing)?;
            let of = |pair: &super::Pair| {
                pair.opinion.and_then(|at| scores.1.get(at).copied()).ok_or_else(missing)
            };
            let values = exam.pairs.iter().map(of).collect::<Result<Vec<f64>, ExamError>>()?;
            return Ok(Grades { values, floor: None, scale: Scale::Plain });
        }
        let recorded = exam.exam.recorded.as_ref().ok_or_else(missing)?;
        let grade = |pair: &super::Pair| {
            let of = pair.opinion.and_then(|opinion| recorded.get(opinion)).ok_or_else(missing)?;
            Ok(match self {
                Self::Probability | Self::Score(_) => of.substitute,
                // Probabilities are written with four digits; what is below them is not known.
                Self::Ratio => of.substitute / of.word.max(1e-4),
            })
        };
        let values = exam.pairs.iter().map(grade).collect::<Result<Vec<f64>, ExamError>>()?;
        let scale = match self {
            Self::Ratio => Scale::Ratio,
            Self::Probability | Self::Score(_) => Scale::Probability,
        };
        Ok(Grades { values, floor: None, scale })
    }
}

/// Cosine of the two words in the token table of an encoder. Blind to context.
#[derive(Debug, Clone)]
pub struct EmbeddingCosine {
    path: PathBuf,
    /// Pieces and checksum of its vocabulary.
    vocabulary: (usize, String),
    table: Vec<f32>,
    width: usize,
}

impl EmbeddingCosine {
    /// Reads the token table of a Hugging Face folder, and its tokenizer.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn open(path: &Path, device: &Device) -> Result<Self, ExamError> {
        let tokenizer = TextTokenizer::load(path)?;
        let (table, width) = token_table(path, device)?;
        Ok(Self {
            path: path.to_owned(),
            vocabulary: (tokenizer.size(), tokenizer.sha256().to_owned()),
            table,
            width,
        })
    }
}

/// Refuses a folder whose tokenizer is another one.
pub(super) fn same_vocabulary(path: &Path, tokenizer: &TextTokenizer) -> Result<(), ExamError> {
    let own = TextTokenizer::load(path)?;
    if own.sha256() == tokenizer.sha256() {
        return Ok(());
    }
    Err(ExamError::Vocabulary {
        path: path.to_owned(),
        found: own.size(),
        found_sha256: own.sha256().to_owned(),
        expected: tokenizer.size(),
        expected_sha256: tokenizer.sha256().to_owned(),
    })
}

/// The token table of a Hugging Face folder, `[V, H]` row by row, and H.
pub(super) fn token_table(path: &Path, device: &Device) -> Result<(Vec<f32>, usize), ExamError> {
    let (model, _) = Pretrained::open(path, device)?;
    let table = model.word_embedding();
    let width = table.dims()[1];
    Ok((params::host(table), width))
}

impl Judge for EmbeddingCosine {
    fn name(&self) -> String {
        format!("embedding cosine of {}", self.path.display())
    }

    fn grade(&self, exam: &Prepared<'_>) -> Result<Grades, ExamError> {
        let (found, found_sha256) = &self.vocabulary;
        if *found_sha256 != exam.vocabulary_sha256 || self.table.len() < exam.vocabulary * self.width {
            return Err(ExamError::Vocabulary {
                path: self.path.clone(),
                found: *found,
                found_sha256: found_sha256.clone(),
                expected: exam.vocabulary,
                expected_sha256: exam.vocabulary_sha256.clone(),
            });
        }
        let row = |id: u32| &self.table[id as usize * self.width..(id as usize + 1) * self.width];
        let grade = |pair: &super::Pair| crate::probe::pairs::cosine(row(pair.word), row(pair.substitute));
        Ok(Grades { values: exam.pairs.iter().map(grade).collect(), floor: None, scale: Scale::Plain })
    }
}
