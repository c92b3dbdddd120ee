//! Held-out metrics of replaced-token detection.

use burn::tensor::{Int, Tensor};
use fn_core::judge::DeviceLexicon;
use fn_data::loader::MaskedBatch;

use super::masked::{flagged, id_tensor, place, to_f32, to_u32};
use super::{Agreement, Evaluation, Truth, auc, ratio};

/// Adds up the metrics of batch after batch.
///
/// A token counts as replaced when the sampled id differs from the original. On generated text, `detector_true_auc` calls a
/// replacement that fits "original": the area that a detector of *true* negatives should have.
pub struct DetectionMeter<'a> {
    lexicon: Option<DeviceLexicon>,
    truth: Option<&'a dyn Truth>,
    seen: usize,
    scores: Vec<f32>,
    replaced: Vec<bool>,
    truly: Vec<bool>,
    sampled_false_negatives: f64,
    agreement: Agreement,
}

impl<'a> DetectionMeter<'a> {
    /// A meter that judges with `lexicon` and, for generated text, compares with `truth`.
    pub fn new(lexicon: Option<DeviceLexicon>, truth: Option<&'a dyn Truth>) -> Self {
        Self {
            lexicon,
            truth,
            seen: 0,
            scores: Vec::new(),
            replaced: Vec::new(),
            truly: Vec::new(),
            sampled_false_negatives: 0.0,
            agreement: Agreement::default(),
        }
    }

    /// Adds one batch: `sampled` ids `[P]` at its masked rows, `logits` of the discriminator `[B, L]`.
    pub fn add(&mut self, batch: &MaskedBatch, sampled: Tensor<1, Int>, logits: Tensor<2>) {
        let gold = id_tensor(&batch.gold, &sampled.device());
        let flags = flagged(self.lexicon.as_ref(), batch, gold, sampled.clone());
        let sampled = to_u32(sampled);
        let mut replaced = vec![false; batch.batch * batch.length];
        let mut truly = replaced.clone();
        for (p, &word) in sampled.iter().enumerate() {
            if batch.weight[p] == 0.0 || word == batch.gold[p] {
                continue;
            }
            let flat = batch.rows[p] as usize;
            let (row, position) = place(self.seen, batch, p);
            let fits = self.truth.is_some_and(|t| t.fits(row, position, word));
            replaced[flat] = true;
            truly[flat] = !fits;
            self.sampled_false_negatives += f64::from(u8::from(flags[p]));
            self.agreement.add(flags[p], fits);
        }
        for (flat, score) in to_f32(logits).into_iter().enumerate() {
            if batch.attention[flat] > 0.0 {
                self.scores.push(score);
                self.replaced.push(replaced[flat]);
                self.truly.push(truly[flat]);
            }
        }
        self.seen += batch.batch;
    }

    /// The metrics of everything added.
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
        if self.lexicon.is_some() {
            out.push("replaced_false_negative_share", ratio(self.sampled_false_negatives, replaced));
        }
        if self.truth.is_some() {
            out.push("detector_true_auc", auc(&self.scores, &self.truly));
            self.agreement.report("replaced", replaced, &mut out);
        }
        out
    }
}
