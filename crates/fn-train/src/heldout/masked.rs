//! Held-out metrics of the masked language model (BERT, or ELECTRA's generator).

use burn::tensor::{Int, Tensor};
use fn_core::judge::DeviceLexicon;
use fn_core::sample::argmax_ids;
use fn_data::loader::MaskedBatch;

use super::{Agreement, Evaluation, Truth, ratio};

/// Adds up the metrics of batch after batch.
pub struct MaskedMeter<'a> {
    lexicon: Option<DeviceLexicon>,
    truth: Option<&'a dyn Truth>,
    seen: usize,
    rows: f64,
    right: f64,
    fitting: f64,
    false_negatives: f64,
    loss: f64,
    agreement: Agreement,
}

impl<'a> MaskedMeter<'a> {
    /// A meter that judges with `lexicon` and, for generated text, compares with `truth`.
    pub fn new(lexicon: Option<DeviceLexicon>, truth: Option<&'a dyn Truth>) -> Self {
        Self {
            lexicon,
            truth,
            seen: 0,
            rows: 0.0,
            right: 0.0,
            fitting: 0.0,
            false_negatives: 0.0,
            loss: 0.0,
            agreement: Agreement::default(),
        }
    }

    /// Adds one batch; `logits` are `[P, V]` at its masked rows.
    pub fn add(&mut self, batch: &MaskedBatch, logits: Tensor<2>) {
        let device = logits.device();
        let gold = id_tensor(&batch.gold, &device);
        let predicted = argmax_ids(logits.clone());
        let loss = to_f32(fn_ops::cross_entropy_rows(logits, gold.clone()));
        let flags = flagged(self.lexicon.as_ref(), batch, gold, predicted.clone());
        let predicted = to_u32(predicted);
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
            }
        }
        self.seen += batch.batch;
    }

    /// The metrics of everything added.
    pub fn finish(self) -> Evaluation {
        let mut out = Evaluation::default();
        let wrong = self.rows - self.right;
        out.push("masked_loss", ratio(self.loss, self.rows));
        out.push("masked_accuracy", ratio(self.right, self.rows));
        out.push("wrong_share", ratio(wrong, self.rows));
        if self.lexicon.is_some() {
            out.push("false_negative_share", ratio(self.false_negatives, wrong));
            // Right, or excused.
            out.push("accepted_accuracy", ratio(self.right + self.false_negatives, self.rows));
        }
        if self.truth.is_some() {
            out.push("fitting_accuracy", ratio(self.fitting, self.rows));
            self.agreement.report("predicted", wrong, &mut out);
        }
        out
    }
}

/// Which predictions are wrong and in the look-up set of the original word, per masked position; all false without a lexicon.
pub(super) fn flagged(
    lexicon: Option<&DeviceLexicon>,
    batch: &MaskedBatch,
    gold: Tensor<1, Int>,
    predicted: Tensor<1, Int>,
) -> Vec<bool> {
    let Some(lexicon) = lexicon else {
        return vec![false; batch.gold.len()];
    };
    let inside = lexicon.contains(&gold, &predicted).into_data();
    let wrong = to_u32(predicted).into_iter().zip(&batch.gold).map(|(r, &w)| r != w);
    let real = batch.weight.iter().map(|&weight| weight > 0.0);
    inside
        .iter::<bool>()
        .zip(wrong)
        .zip(real)
        .map(|((inside, wrong), real)| inside && wrong && real)
        .collect()
}

/// Held-out row and position of masked row `p`, when `seen` rows came before this batch.
pub(super) fn place(seen: usize, batch: &MaskedBatch, p: usize) -> (usize, usize) {
    let flat = batch.rows[p] as usize;
    (seen + flat / batch.length, flat % batch.length)
}

pub(super) fn id_tensor(ids: &[u32], device: &burn::tensor::Device) -> Tensor<1, Int> {
    let ids: Vec<i32> = ids.iter().map(|&i| i as i32).collect();
    Tensor::from_ints(ids.as_slice(), device)
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
    use fn_core::lexicon::{Lexicon, LexiconInfo};

    use super::*;

    #[test]
    fn a_word_is_right_or_excused_or_wrong_and_filling_rows_count_nothing() {
        let device = Device::flex();
        // Gold 1, 1, 1, 2 and a row without weight; 1 and 3 may stand for one another.
        let lexicon = Lexicon::from_rows(5, [(1, vec![3]), (3, vec![1])], LexiconInfo::default()).unwrap();
        let batch = MaskedBatch {
            step: 0,
            batch: 1,
            length: 5,
            input: vec![4; 5],
            original: vec![1, 1, 1, 2, 0],
            token_type: vec![0; 5],
            attention: vec![1.0; 5],
            padded: false,
            rows: vec![0, 1, 2, 3, 0],
            gold: vec![1, 1, 1, 2, 0],
            weight: vec![1.0, 1.0, 1.0, 1.0, 0.0],
        };
        // Predicted 1 (right), 3 (excused), 2 (wrong), 3 (wrong), 0 (no row).
        let logits: [[f32; 5]; 5] =
            [1, 3, 2, 3, 0].map(|word| std::array::from_fn(|v| if v == word { 9.0 } else { 0.0 }));
        let found = |lexicon: Option<DeviceLexicon>| {
            let mut meter = MaskedMeter::new(lexicon, None);
            meter.add(&batch, Tensor::<2>::from_floats(logits, &device));
            let found = meter.finish();
            ["masked_accuracy", "wrong_share", "false_negative_share", "accepted_accuracy"]
                .map(|name| found.get(name))
        };
        let with = found(Some(DeviceLexicon::new(&lexicon, None, &device)));
        assert_eq!(with, [Some(0.25), Some(0.75), Some(1.0 / 3.0), Some(0.5)]);
        assert_eq!(found(None), [Some(0.25), Some(0.75), None, None]);
    }
}
