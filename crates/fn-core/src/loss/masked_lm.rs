//! The masked-language-model loss (BERT, and ELECTRA's generator), corrected.

use burn::tensor::{Bool, Tensor};

use super::{LossParts, SentenceDistance};
use crate::correct::{
    Correction, Level, Normalise, denominator, importance, kept_weight, smoothing_excess, spread_excess,
    word_distance,
};
use crate::ids::Rows;
use crate::judge::{DeviceLexicon, Judge, random_like};
use crate::stats::FalseNegativeCounts;
use fn_ops as ops;

/// The loss of masked rows.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::correct::{Correction, Normalise};
/// use fn_core::judge::{DeviceLexicon, LexiconJudge};
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// use fn_core::{ids::Rows, loss::MaskedLm, sample::argmax_ids};
///
/// let device = Device::flex().autodiff();
/// let lexicon = Lexicon::from_rows(4, [(0, vec![1])], LexiconInfo::default())?;
/// let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device));
/// let logits = Tensor::<2>::from_floats([[0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]], &device).require_grad();
/// let rows = Rows {
///     gold: Tensor::from_ints([0, 0], &device),
///     predicted: argmax_ids(logits.clone()), // 1, a synonym of 0, and 3, an error
///     weight: Tensor::from_floats([1.0, 1.0], &device),
/// };
/// let embedding = Tensor::<2>::zeros([4, 2], &device);
/// let hard = MaskedLm { correction: &Correction::Hard { normalise: Normalise::All }, judge: &judge, lexicon: None, hard_negatives: 0.0 };
/// let out = hard.loss(logits.clone(), rows, embedding, None);
/// let gradient = logits.grad(&out.parts.total().backward()).unwrap();
/// assert_eq!(gradient.slice([0..1]).abs().sum().into_scalar::<f32>(), 0.0); // the synonym is not pushed down
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
pub struct MaskedLm<'a> {
    /// What to do about false negatives.
    pub correction: &'a Correction,
    /// Says which rows they are.
    pub judge: &'a dyn Judge,
    /// The look-up sets; only [`Correction::SynonymTarget`] reads them.
    pub lexicon: Option<&'a DeviceLexicon>,
    /// beta of the importance weights of true negatives: errors of which the model is sure weigh more. 0: all weigh the same.
    pub hard_negatives: f64,
}

/// A loss and what was found on the way.
#[derive(Debug, Clone)]
pub struct MaskedLmOutput {
    /// `masked_lm`, and one more term where the correction adds one: `word_distance`, `sentence_distance`,
    /// `label_smoothing` or `synonym_target`.
    pub parts: LossParts,
    /// The judge's verdict, `[P]`, whatever the correction does with it.
    pub verdict: Tensor<1, Bool>,
    /// Counts of this batch, on the device.
    pub counts: FalseNegativeCounts,
}

impl MaskedLm<'_> {
    /// Means are taken over all real rows: `sum of weights`, and 0 where there are none (see [`Normalise`] for the one
    /// exception).
    ///
    /// # Shapes
    /// - logits: `[P, V]` at the masked rows only; rows: `[P]`; embedding: `[V, H]`, read by soft regularisation only.
    /// - sentence: pooled vectors `[B, H]`, for soft regularisation at sentence level only.
    ///
    /// # Panics
    /// If the correction needs `sentence` (soft, sentence level) or the lexicon (synonym targets) and it is missing.
    pub fn loss(
        &self,
        logits: Tensor<2>,
        rows: Rows,
        embedding: Tensor<2>,
        sentence: Option<SentenceDistance>,
    ) -> MaskedLmOutput {
        let verdict = self.judge.judge(&rows);
        let weight = rows.weight.clone();
        let (shielded, normalise) = match self.correction {
            Correction::Hard { normalise } => (Some(verdict.clone()), *normalise),
            Correction::RandomShield {} => (Some(random_like(&rows, &verdict)), Normalise::All),
            _ => (None, Normalise::All),
        };
        let counts = FalseNegativeCounts::of(&rows, &verdict, shielded.as_ref());
        let kept = match shielded {
            Some(shielded) => kept_weight(weight.clone(), shielded),
            None => weight.clone(),
        };
        let count = denominator(normalise, weight.clone(), kept.clone());
        let kept = self.weigh(kept, &logits, &rows);
        let mean = |per_row: Tensor<1>, weight: Tensor<1>| (per_row * weight).sum() / count.clone();

        let cross_entropy = ops::cross_entropy_rows(logits.clone(), rows.gold.clone());
        let mut terms = vec![("masked_lm", mean(cross_entropy, kept))];
        match self.correction {
            Correction::None | Correction::Hard { .. } | Correction::RandomShield {} => {}
            Correction::Soft { level: Level::Word, prediction, lambda } => {
                let distance = word_distance(*prediction, logits, &rows, embedding);
                terms.push(("word_distance", mean(distance, weight) * *lambda as f32));
            }
            Correction::Soft { level: Level::Sentence, lambda, .. } => {
                #[allow(clippy::expect_used)] // documented
                let sentence =
                    sentence.expect("soft regularisation at sentence level needs pooled sentences");
                terms.push(("sentence_distance", sentence.mean() * *lambda as f32));
            }
            Correction::LabelSmoothing { epsilon } => {
                let excess = smoothing_excess(*epsilon, logits, rows.gold);
                terms.push(("label_smoothing", mean(excess, weight)));
            }
            Correction::SynonymTarget { epsilon } => {
                #[allow(clippy::expect_used)] // documented
                let lexicon = self.lexicon.expect("synonym targets need a lexicon");
                let excess = spread_excess(*epsilon, logits, rows.gold, lexicon);
                terms.push(("synonym_target", mean(excess, weight)));
            }
        }
        MaskedLmOutput { parts: LossParts { terms }, verdict, counts }
    }

    /// Importance weights of the true negatives among the rows that are kept.
    fn weigh(&self, kept: Tensor<1>, logits: &Tensor<2>, rows: &Rows) -> Tensor<1> {
        if self.hard_negatives == 0.0 {
            return kept;
        }
        let loss = ops::cross_entropy_rows(logits.clone().inner(), rows.predicted.clone().inner());
        let negatives = rows.wrong().bool_and(kept.clone().inner().greater_scalar(0.0));
        let weights = importance(self.hard_negatives, loss.neg().exp(), negatives);
        kept.inner() * weights
    }
}
