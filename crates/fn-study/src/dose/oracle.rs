//! A teacher that knows the true conditional of the generated language.

use std::collections::HashMap;

use burn::tensor::{Int, Tensor, TensorData};
use fn_core::batch::{Batch, MemoKey, Predictions};
use fn_core::judge::Teacher;
use fn_data::language::{Language, PlannedRow};

/// Log-probability of what cannot stand at a place; finite, so that no difference is NaN.
const NEVER: f32 = -50.0;

/// The distribution of each masked word given everything else in its row ([`Language::conditional`]). It knows more than any model: the
/// other masked words of the row as well. It reads the batch back to the host, which only a small experiment on the CPU can afford.
pub(super) struct Oracle {
    language: Language,
    rows: HashMap<Vec<u32>, PlannedRow>,
    key: MemoKey,
}

impl Oracle {
    /// Knows these rows. The language must have no words with two meanings (`polysemy = 0`), so that the ids of a row say how it was made.
    pub fn new(language: &Language, rows: impl Iterator<Item = PlannedRow>) -> Self {
        let rows = rows.map(|row| (row.truth.ids.clone(), row)).collect();
        Self { language: language.clone(), rows, key: MemoKey::unique() }
    }

    /// ln p of every word at the masked positions, `[P, V]`; even at a position of an unknown row.
    fn log_probabilities(&self, batch: &Batch) -> Tensor<2> {
        let [_, length] = batch.shape();
        let host = |ids: Tensor<1, Int>| ids.inner().into_data().iter::<i64>().collect::<Vec<_>>();
        let flat = batch.original.clone().reshape([batch.shape().iter().product::<usize>()]);
        let ids: Vec<u32> = host(flat).into_iter().map(|id| id as u32).collect();
        let pad = self.language.special().pad;
        let (positions, words) = (host(batch.positions.clone()), self.language.size());
        let mut out = vec![NEVER; positions.len() * words];
        for (out, &flat) in out.chunks_exact_mut(words).zip(&positions) {
            let (row, position) = (flat as usize / length, flat as usize % length);
            let row = ids[row * length..(row + 1) * length].split(|id| *id == pad).next().unwrap_or_default();
            let Some(known) = self.rows.get(row) else { continue };
            for (word, p) in self.language.conditional(known, position) {
                out[word as usize] = (p.ln() as f32).max(NEVER);
            }
        }
        let device = batch.positions.clone().inner().device();
        Tensor::from_data(TensorData::new(out, [positions.len(), words]), &device)
    }
}

impl Teacher for Oracle {
    fn logits(&self, predictions: &Predictions<'_>) -> Option<Tensor<2>> {
        let batch = predictions.batch;
        batch.memo.get_or_try_compute(self.key, || Some(self.log_probabilities(batch)))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::dose::base_language;

    #[test]
    fn it_answers_with_the_conditional_of_each_row_and_with_nothing_for_an_unknown_one() {
        let language = Language::new(base_language(), 5).unwrap();
        let rows: Vec<PlannedRow> = (0..2).map(|i| language.planned_row(i, 24, 9)).collect();
        let device = Device::flex();
        let padded = |row: &PlannedRow| {
            let mut ids: Vec<i32> = row.truth.ids.iter().map(|id| *id as i32).collect();
            ids.resize(24, 0);
            ids
        };
        let mut ids: Vec<i32> = rows.iter().flat_map(padded).collect();
        ids.extend([7; 24]);
        let original = Tensor::<1, Int>::from_ints(ids.as_slice(), &device).reshape([3, 24]);
        let positions = [1, 2, 24 + 3, 48 + 5];
        let batch = Batch::new(original, Tensor::from_ints(positions, &device));
        let logits = Tensor::<2>::zeros([4, language.size()], &device);
        let predictions = Predictions::sampled(&batch, &logits, batch.gold.clone());
        let oracle = Oracle::new(&language, rows.iter().cloned());
        let found = burn::tensor::activation::softmax(oracle.logits(&predictions).unwrap(), 1);
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        for (p, (row, position)) in [(0, 1), (0, 2), (1, 3)].into_iter().enumerate() {
            let mut expected = vec![0.0; language.size()];
            for (word, q) in language.conditional(&rows[row], position) {
                expected[word as usize] = q as f32;
            }
            let found = &found[p * language.size()..(p + 1) * language.size()];
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        }
        let even = 1.0 / language.size() as f32;
        assert!(found[3 * language.size()..].iter().all(|p| (p - even).abs() < 1e-6));
    }
}
