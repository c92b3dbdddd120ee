//! What can be examined.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_core::lexicon::Lexicon;
use fn_data::tokenise::TextTokenizer;
use fn_models::{Pretrained, params};

use super::{ExamError, Prepared};

/// Grades of the pairs of an exam.
#[derive(Debug, Clone, PartialEq)]
pub struct Grades {
    /// One for each pair, higher for better.
    pub values: Vec<f64>,
    /// The grade of what the judge knows nothing of, and never accepts; None where every grade means something.
    pub floor: Option<f64>,
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
}

impl Judge for LexiconTable {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn grade(&self, exam: &Prepared<'_>) -> Result<Grades, ExamError> {
        let source = |source| ExamError::Lexicon { path: self.path.clone(), source };
        self.lexicon.check_vocabulary(exam.vocabulary, &exam.vocabulary_sha256).map_err(source)?;
        let grade = |pair: &super::Pair| f64::from(self.lexicon.grade(pair.word, pair.substitute));
        Ok(Grades { values: exam.pairs.iter().map(grade).collect(), floor: Some(0.0) })
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
    pub fn open(path: &Path) -> Result<Self, ExamError> {
        let tokenizer = TextTokenizer::load(path)?;
        let (table, width) = token_table(path)?;
        Ok(Self {
            path: path.to_owned(),
            vocabulary: (tokenizer.size(), tokenizer.sha256().to_owned()),
            table,
            width,
        })
    }
}

/// The token table of a Hugging Face folder, `[V, H]` row by row, and H.
pub(super) fn token_table(path: &Path) -> Result<(Vec<f32>, usize), ExamError> {
    let (model, _) = Pretrained::open(path, &Device::flex())?;
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
        Ok(Grades { values: exam.pairs.iter().map(grade).collect(), floor: None })
    }
}
