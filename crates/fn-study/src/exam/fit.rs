//! Fits the grades of a calibrated lexicon, and those of an encoder, to what people said.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use fn_core::batch::Predictions;
use fn_data::lexicon::calibrated::features;
use fn_data::lexicon::logistic::Logistic;
use fn_data::lexicon::{Calibration, Relations, WordVectors};
use fn_data::tokenise::TextTokenizer;
use fn_train::objective::{EncoderCalibration, EncoderJudge};

use super::judge::{same_vocabulary, token_table};
use super::{ExamError, InContext, Judge, Pair, Prepared, Scale};

/// Ridge penalty of the fit: next to nothing against thousands of pairs, and enough where a relation never occurs.
const PENALTY: f64 = 1.0;

/// The words of a vocabulary in the token table of a Hugging Face folder. Its tokenizer must be `tokenizer`.
///
/// # Errors
/// A folder that cannot be read, or of another vocabulary.
pub fn token_vectors(
    path: &Path,
    tokenizer: &TextTokenizer,
    device: &Device,
) -> Result<WordVectors, ExamError> {
    same_vocabulary(path, tokenizer)?;
    let (table, width) = token_table(path, device)?;
    Ok(WordVectors::from_table(path, &table, width, tokenizer.spelled())?)
}

/// Logistic regression of *good* on the cosine in a token table and on relations, over all pairs of an exam, traps included where it has
/// some. Without `relations`, on the cosine alone.
///
/// # Errors
/// Pairs that nothing can be fitted to.
pub fn fit(
    exam: &Prepared<'_>,
    vectors: &WordVectors,
    relations: Option<&Relations>,
) -> Result<Calibration, ExamError> {
    let cosine = |pair: &Pair| vectors.cosine(pair.word, pair.substitute).map(f64::from);
    regression(exam, exam.pairs.iter().map(cosine), relations)
}

/// [`fit`] for the vectors of an encoder after its first `layers` layers, in the contexts of the exam. `relations` are those of
/// `tokenizer`'s vocabulary.
///
/// # Errors
/// An encoder that cannot judge; pairs that nothing can be fitted to.
pub fn fit_encoder(
    exam: &Prepared<'_>,
    folder: &Path,
    layers: usize,
    relations: Option<&Relations>,
    tokenizer: &TextTokenizer,
    device: &Device,
) -> Result<EncoderCalibration, ExamError> {
    let regression_of = |regression| EncoderCalibration { layers, wordnet: relations.is_some(), regression };
    let unfitted = Calibration { intercept: 0.0, cosine: 1.0, relations: [0.0; 7], source: String::new() };
    let length = super::context::LONGEST;
    let judge = EncoderJudge::with(folder, regression_of(unfitted), None, tokenizer, length, device)?;
    let cosines = InContext {
        name: String::new(),
        judge: Box::new(Cosine(judge)),
        tokenizer,
        device: device.clone(),
        filled: None,
        scale: Scale::Plain,
    };
    let cosines = cosines.grade(exam)?.values;
    Ok(regression_of(regression(exam, cosines.into_iter().map(Some), relations)?))
}

/// The cosine itself as a grade.
struct Cosine(EncoderJudge);

impl fn_core::judge::Judge for Cosine {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        self.0.cosine(predictions)
    }
}

/// Pairs without a cosine (words without direction in the table) are left out.
fn regression(
    exam: &Prepared<'_>,
    cosines: impl Iterator<Item = Option<f64>>,
    relations: Option<&Relations>,
) -> Result<Calibration, ExamError> {
    let (mut rows, mut good) = (Vec::new(), Vec::new());
    for (pair, cosine) in exam.pairs.iter().zip(cosines) {
        if let Some(cosine) = cosine {
            let related = relations.map_or([false; 7], |all| all.between(pair.word, pair.substitute));
            rows.push(features(cosine, related));
            good.push(pair.good);
        }
    }
    let found = Logistic::fit(&rows, &good, PENALTY)
        .map_err(|source| ExamError::Fit { name: exam.exam.name.clone(), source })?;
    Ok(Calibration::of(&found, format!("fitted to {} pairs of {}", rows.len(), exam.exam.name)))
}
