//! Held-out metrics of replaced-token detection.

use burn::tensor::Tensor;
use fn_core::batch::Predictions;
use fn_core::judge::Judge;
use fn_data::loader::MaskedBatch;

use super::masked::{flagged, place, to_f32, to_u32};
use super::{Agreement, Evaluation, Truth, auc, auc_without, ratio};

/// Accumulates the metrics over batches.
///
/// A token counts as replaced if the sampled id differs from the original. On generated text, `detector_true_auc` counts a
/// fitting replacement as original: the AUC of detecting *true* negatives. `detector_error_auc` compares errors
/// with originals alone and leaves replacements that fit out: no function of the row can tell these from originals, so whatever a
/// detector says of them is neither right nor wrong.
pub struct DetectionMeter<'a> {
    judge: Option<&'a dyn Judge>,
    threshold: f64,
    truth: Option<&'a dyn Truth>,
    seen: usize,
    scores: Vec<f32>,
    replaced: Vec<bool>,
    truly: Vec<bool>,
    sampled_false_negatives: f64,
    agreement: Agreement,
}

impl<'a> DetectionMeter<'a> {
    /// A meter that flags predictions with a grade of at least `threshold` by `judge` as false negatives and, for generated
    /// text, compares with the ground truth.
    pub fn new(judge: Option<&'a dyn Judge>, threshold: f64, truth: Option<&'a dyn Truth>) -> Self {
        Self {
            judge,
            threshold,
            truth,
            seen: 0,
            scores: Vec::new(),
            replaced: Vec::new(),
            truly: Vec::new(),
            sampled_false_negatives: 0.0,
            agreement: Agreement::default(),
        }
    }

    /// Adds one batch: the `replacements` sampled at its masked positions, `scores` of the discriminator `[B, L]`.
    pub fn add(&mut self, batch: &MaskedBatch, replacements: &Predictions<'_>, scores: Tensor<2>) {
        let flags = flagged(self.judge, self.threshold, replacements);
        let sampled = to_u32(replacements.ids.clone());
        let mut replaced = vec![false; batch.batch * batch.length];
        let mut truly = replaced.clone();
        for (p, &word) in sampled.iter().enumerate() {
            if batch.weight[p] == 0.0 || word == batch.gold[p] {
                continue;
            }
            let flat = batch.positions[p] as usize;
            let (row, position) = place(self.seen, batch, p);
            let fits = self.truth.is_some_and(|t| t.fits(row, position, word));
            replaced[flat] = true;
            truly[flat] = !fits;
            self.sampled_false_negatives += f64::from(u8::from(flags[p]));
            self.agreement.add(flags[p], fits);
        }
        for (flat, score) in to_f32(scores).into_iter().enumerate() {
            if batch.attention[flat] > 0.0 {
                self.scores.push(score);
                self.replaced.push(replaced[flat]);
                self.truly.push(truly[flat]);
            }
        }
        self.seen += batch.batch;
    }

    /// Which tokens are replacements that fit.
    fn excused(&self) -> Vec<bool> {
        self.replaced.iter().zip(&self.truly).map(|(replaced, truly)| *replaced && !truly).collect()
    }

    /// The metrics over all batches.
    pub fn finish(self) -> Evaluation {
        let mut out = Evaluation::default();
        let count = |f: &dyn Fn(f32, bool) -> bool| {
            self.scores.iter().zip(&self.replaced).filter(|&(&s, &r)| f(s, r)).count() as f64
        };
        let tokens = self.scores.len() as f64;
        let replaced = count(&|_, r| r);
        let called = count(&|s, _| s > 0.0);
        let caught = count(&|s, r| s > 0.0 && r);
        out.push("replaced_share", ratio(replaced, tokens));
        out.push("detector_accuracy", ratio(count(&|s, r| (s > 0.0) == r), tokens));
        out.push("detector_precision", ratio(caught, called));
        out.push("detector_recall", ratio(caught, replaced));
        out.push("detector_auc", auc(&self.scores, &self.replaced));
        if self.judge.is_some() {
            out.push("replaced_false_negative_share", ratio(self.sampled_false_negatives, replaced));
        }
        if self.truth.is_some() {
            out.push("detector_true_auc", auc(&self.scores, &self.truly));
            out.push("detector_error_auc", auc_without(&self.scores, &self.truly, &self.excused()));
            self.agreement.report("replaced", replaced, &mut out);
        }
        out
    }
}
