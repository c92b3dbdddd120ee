//! Fits the grades of a calibrated lexicon to what people said.

use std::path::Path;

use fn_data::lexicon::calibrated::features;
use fn_data::lexicon::logistic::Logistic;
use fn_data::lexicon::{Calibration, Relations, WordVectors};
use fn_data::tokenise::TextTokenizer;

use super::judge::token_table;
use super::{ExamError, Prepared};

/// Ridge penalty of the fit: next to nothing against thousands of pairs, and enough where a relation never occurs.
const PENALTY: f64 = 1.0;

/// The words of a vocabulary in the token table of a Hugging Face folder. Its tokenizer must be `tokenizer`.
///
/// # Errors
/// A folder that cannot be read, or of another vocabulary.
pub fn token_vectors(path: &Path, tokenizer: &TextTokenizer) -> Result<WordVectors, ExamError> {
    let own = TextTokenizer::load(path)?;
    if own.sha256() != tokenizer.sha256() {
        return Err(ExamError::Vocabulary {
            path: path.to_owned(),
            found: own.size(),
            found_sha256: own.sha256().to_owned(),
            expected: tokenizer.size(),
            expected_sha256: tokenizer.sha256().to_owned(),
        });
    }
    let (table, width) = token_table(path)?;
    Ok(WordVectors::from_table(path, &table, width, tokenizer.pieces())?)
}

/// Logistic regression of *good* on cosine and relations over all pairs of an exam, traps included where it has some. Without
/// `relations`, on the cosine alone.
///
/// # Errors
/// Pairs that nothing can be fitted to.
pub fn fit(
    exam: &Prepared<'_>,
    vectors: &WordVectors,
    relations: Option<&Relations>,
) -> Result<Calibration, ExamError> {
    let (mut rows, mut good) = (Vec::new(), Vec::new());
    for pair in &exam.pairs {
        // Words without direction in the table are no neighbours of any.
        if let Some(cosine) = vectors.cosine(pair.word, pair.substitute) {
            let related = relations.map_or([false; 7], |all| all.between(pair.word, pair.substitute));
            rows.push(features(f64::from(cosine), related));
            good.push(pair.good);
        }
    }
    let found = Logistic::fit(&rows, &good, PENALTY)
        .map_err(|source| ExamError::Fit { name: exam.exam.name.clone(), source })?;
    Ok(Calibration::of(&found, format!("fitted to {} pairs of {}", rows.len(), exam.exam.name)))
}
