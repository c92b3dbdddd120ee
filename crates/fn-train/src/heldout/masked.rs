//! Held-out metrics of the masked language model (BERT, or ELECTRA's generator).

use burn::tensor::{Int, Tensor};
use fn_core::batch::Predictions;
use fn_core::judge::{Judge, Verdict};
use fn_data::loader::MaskedBatch;

use super::{Agreement, Evaluation, Truth, ratio};

/// Accumulates the metrics over batches.
///
/// Where the ground truth knows the distribution `q` of the words ([`Truth::conditional`]), `conditional_divergence` is the mean of
/// `KL(q || p) = sum_v q(v) ln(q(v) / p(v))` in nats over the masked positions, `p` the model's distribution.
pub struct MaskedMeter<'a> {
    judge: Option<&'a dyn Judge>,
    threshold: f64,
    truth: Option<&'a dyn Truth>,
    seen: usize,
    rows: f64,
    right: f64,
    fitting: f64,
    false_negatives: f64,
    loss: f64,
    /// Sum of the divergences from the true distribution, and of how many positions.
    divergence: [f64; 2],
    agreement: Agreement,
}

impl<'a> MaskedMeter<'a> {
    /// A meter that flags predictions with a grade of at least `threshold` by `judge` as false negatives and, for generated
    /// text, compares with the ground truth.
    pub fn new(judge: Option<&'a dyn Judge>, threshold: f64, truth: Option<&'a dyn Truth>) -> Self {
        Self {
            judge,
            threshold,
            truth,
            seen: 0,
            rows: 0.0,
            right: 0.0,
            fitting: 0.0,
            false_negatives: 0.0,
            loss: 0.0,
            divergence: [0.0; 2],
            agreement: Agreement::default(),
        }
    }

    /// Adds a batch with the most probable words at its masked positions.
    pub fn add(&mut self, batch: &MaskedBatch, predictions: &Predictions<'_>) {
        let loss = to_f32(fn_ops::cross_entropy_rows(predictions.logits(), predictions.batch.gold.clone()));
        let flags = flagged(self.judge, self.threshold, predictions);
        let predicted = to_u32(predictions.ids.clone());
        let mut log_p: Option<(usize, Vec<f32>)> = None;
        for (p, &word) in predicted.iter().enumerate() {
            if batch.weight[p] == 0.0 {
                continue;
            }
            let right = word == batch.gold[p];
            self.rows += 1.0;
            self.loss += f64::from(loss[p]);
            self.right += f64::from(u8::from(right));
            self.false_negatives += f64::from(u8::from(flags[p]));
            if let Some(truth) = self.truth {
                let (row, position) = place(self.seen, batch, p);
                let fits = truth.fits(row, position, word);
                self.fitting += f64::from(u8::from(right || fits));
                if !right {
                    self.agreement.add(flags[p], fits);
                }
                if let Some(known) = truth.conditional(row, position) {
                    let (width, log_p) = log_p.get_or_insert_with(|| log_softmax(predictions));
                    let of = |word: u32| f64::from(log_p[p * *width + word as usize]);
                    let possible = known.iter().filter(|(_, q)| *q > 0.0);
                    self.divergence[0] += possible.map(|(word, q)| q * (q.ln() - of(*word))).sum::<f64>();
                    self.divergence[1] += 1.0;
                }
            }
        }
        self.seen += batch.batch;
    }

    /// The metrics over all batches.
    pub fn finish(self) -> Evaluation {
        let mut out = Evaluation::default();
        let wrong = self.rows - self.right;
        out.push("masked_loss", ratio(self.loss, self.rows));
        out.push("masked_accuracy", ratio(self.right, self.rows));
        out.push("wrong_share", ratio(wrong, self.rows));
        if self.judge.is_some() {
            out.push("false_negative_share", ratio(self.false_negatives, wrong));
            // Correct or a false negative.
            out.push("accepted_accuracy", ratio(self.right + self.false_negatives, self.rows));
        }
        if self.truth.is_some() {
            out.push("fitting_accuracy", ratio(self.fitting, self.rows));
            self.agreement.report("predicted", wrong, &mut out);
        }
        let [divergence, positions] = self.divergence;
        if positions > 0.0 {
            out.push("conditional_divergence", divergence / positions);
        }
        out
    }
}

/// The size of the vocabulary, and the logarithms of the probabilities of all words, `[P, V]` row by row.
fn log_softmax(predictions: &Predictions<'_>) -> (usize, Vec<f32>) {
    let logits = predictions.logits();
    (logits.dims()[1], to_f32(burn::tensor::activation::log_softmax(logits, 1)))
}

/// Which predictions the judge flags as false negatives, for each masked position; all false without a judge.
pub(super) fn flagged(judge: Option<&dyn Judge>, threshold: f64, predictions: &Predictions<'_>) -> Vec<bool> {
    match judge {
        Some(judge) => {
            let verdict = Verdict::of(judge, predictions, threshold);
            verdict.false_negative.into_data().iter::<bool>().collect()
        }
        None => vec![false; predictions.ids.dims()[0]],
    }
}

/// Held-out sequence and position of masked position `p`, after `seen` sequences in earlier batches.
pub(super) fn place(seen: usize, batch: &MaskedBatch, p: usize) -> (usize, usize) {
    let flat = batch.positions[p] as usize;
    (seen + flat / batch.length, flat % batch.length)
}

pub(super) fn to_u32(ids: Tensor<1, Int>) -> Vec<u32> {
    ids.into_data().iter::<i64>().map(|i| i as u32).collect()
}

pub(super) fn to_f32<const D: usize>(values: Tensor<D>) -> Vec<f32> {
    values.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use fn_core::judge::{DeviceLexicon, LexiconJudge, THRESHOLD};
    use fn_core::lexicon::{Lexicon, LexiconInfo};
    use fn_core::sample::Prediction;

    use crate::objective::DeviceBatch;

    use super::*;

    #[test]
    fn predictions_are_correct_false_negative_or_wrong_and_padding_is_ignored() {
        let device = Device::flex();
        // Gold 1, 1, 1, 2 and a padding position; 1 and 3 are synonyms.
        let lexicon = Lexicon::from_rows(5, [(1, vec![3]), (3, vec![1])], LexiconInfo::default()).unwrap();
        let batch = MaskedBatch {
            micro_batch: 0,
            batch: 1,
            length: 5,
            input: vec![4; 5],
            original: vec![1, 1, 1, 2, 0],
            token_type: vec![0; 5],
            attention: vec![1.0; 5],
            padded: false,
            positions: vec![0, 1, 2, 3, 0],
            gold: vec![1, 1, 1, 2, 0],
            weight: vec![1.0, 1.0, 1.0, 1.0, 0.0],
            documents: None,
        };
        // Predicted 1 (correct), 3 (false negative), 2 (wrong), 3 (wrong), 0 (padding).
        let logits: [[f32; 5]; 5] =
            [1, 3, 2, 3, 0].map(|word| std::array::from_fn(|v| if v == word { 9.0 } else { 0.0 }));
        let on_device = DeviceBatch::new(&batch, &device).batch;
        let found = |judge: Option<&dyn Judge>| {
            let mut meter = MaskedMeter::new(judge, THRESHOLD, None);
            let logits = Tensor::<2>::from_floats(logits, &device);
            meter.add(&batch, &Predictions::new(&on_device, &logits, Prediction::Argmax));
            let found = meter.finish();
            ["masked_accuracy", "wrong_share", "false_negative_share", "accepted_accuracy"]
                .map(|name| found.get(name))
        };
        let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device));
        let with = found(Some(&judge));
        assert_eq!(with, [Some(0.25), Some(0.75), Some(1.0 / 3.0), Some(0.5)]);
        assert_eq!(found(None), [Some(0.25), Some(0.75), None, None]);
    }
    #[test]
    fn the_divergence_from_the_true_distribution_is_that_of_its_definition() {
        struct Known([(u32, f64); 2]);
        impl Truth for Known {
            fn fits(&self, _row: usize, _position: usize, _word: u32) -> bool {
                false
            }

            fn conditional(&self, _row: usize, position: usize) -> Option<&[(u32, f64)]> {
                (position == 1).then_some(&self.0)
            }
        }
        let device = Device::flex();
        let batch = MaskedBatch {
            micro_batch: 0,
            batch: 1,
            length: 3,
            input: vec![4; 3],
            original: vec![1, 2, 0],
            token_type: vec![0; 3],
            attention: vec![1.0; 3],
            padded: false,
            positions: vec![0, 1, 1],
            gold: vec![1, 2, 2],
            weight: vec![1.0, 1.0, 0.0],
            documents: None,
        };
        let on_device = DeviceBatch::new(&batch, &device).batch;
        let p = Tensor::<2>::from_floats([[0.2, 0.3, 0.5], [0.5, 0.25, 0.25], [1.0, 1.0, 1.0]], &device);
        let truth = Known([(1, 0.9), (2, 0.1)]);
        let mut meter = MaskedMeter::new(None, THRESHOLD, Some(&truth));
        meter.add(&batch, &Predictions::new(&on_device, &p.log(), Prediction::Argmax));
        // 0.9 ln(0.9 / 0.25) + 0.1 ln(0.1 / 0.25), of the one position where it is known and that is no padding.
        let found = meter.finish().get("conditional_divergence").unwrap();
        assert!((found - 1.061_211_387_728).abs() < 1e-6, "{found}");
    }
}
