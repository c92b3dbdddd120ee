//! What a verifier's bands and importance weights do to the losses, against sums on the host.

use std::cell::Cell;

use burn::tensor::{Int, Tensor};
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::detection::{BandedConfig, DetectionKind};
use fn_core::correct::{CorrectionKind, HardConfig, Resources};
use fn_core::judge::{Bands, Judge, MaskedModel, THRESHOLD, Verdict, Verifier};
use fn_core::loss::{MaskedLmConfig, ReplacedTokenConfig};
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;

use crate::reference::{Fixed, batch_of, bce, log_sum_exp, predicted};
use crate::replaced_token::verdict;
use crate::tensors::{device, ids, matrix, to_bool, to_f32, to_ids};

fn random(seed: u64, n: usize, scale: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, 0, 0, Use::Test);
    (0..n).map(|_| f64::from(((stream.unit() * 2.0 - 1.0) * scale) as f32)).collect()
}

const MASK: u32 = 6;

/// A masked LM with these logits, whatever it reads, which counts how often it was asked and insists on seeing nothing but masks.
struct Model {
    logits: Tensor<2>,
    read: Cell<usize>,
}

impl MaskedModel for Model {
    fn masked_logits(&self, seen: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        self.read.set(self.read.get() + 1);
        let weight = to_f32(&batch.weight);
        let seen = to_ids(&seen);
        assert!(seen.iter().zip(weight).all(|(&id, weight)| id == MASK || weight == 0.0), "{seen:?}");
        Some(self.logits.clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_verifier_compares_probabilities(seed: u64, low in 0.01f64..2.0, more in 1.0f64..5.0) {
        const V: usize = 7;
        let logits = random(seed, 20 * V, 4.0);
        let mut stream = Stream::new(seed, 1, 0, Use::Test);
        let mut draw = || (0..20).map(|_| stream.below(V as u64) as u32).collect::<Vec<_>>();
        let (gold, r) = (draw(), draw());
        let weight: Vec<f32> = (0..20).map(|k| if k % 5 == 4 { 0.0 } else { 1.0 }).collect();
        let batch = batch_of(&gold, &weight);
        let predictions = predicted(&batch, &r);
        let model = Model { logits: matrix(&logits, V), read: Cell::new(0) };
        let judge = Verifier::new(model, MASK, Bands { low, high: low * more });
        let verdict = Verdict::of(&judge, &predictions, THRESHOLD);
        let (found, grades) = (to_bool(&verdict.false_negative), to_f32(&verdict.grade));
        for k in 0..20 {
            let (r, w) = (r[k] as usize, gold[k] as usize);
            let ratio = (logits[k * V + r] - logits[k * V + w]).exp();
            let near = |limit: f64| (ratio / limit - 1.0).abs() < 1e-4;
            if near(low) || near(low * more) { continue; }
            let wrong = weight[k] > 0.0 && r != w;
            prop_assert_eq!(found[k], wrong && ratio >= low, "position {}: {}", k, ratio);
            prop_assert_eq!(grades[k] == 1.0, wrong && ratio >= low * more, "position {}: {}", k, ratio);
            prop_assert!((0.0..=1.0).contains(&grades[k]));
        }
    }
}

proptest! {
    #[test]
    fn grades_never_fall_and_meet_the_bands(low in 0.01f64..2.0, more in 1.0f64..5.0) {
        let bands = Bands { low, high: low * more };
        let ratios: Vec<f64> = (-60..60).map(|i| f64::from(i) * 0.1).collect();
        let grades = to_f32(&bands.grade(matrix(&ratios, 120).reshape([120])));
        prop_assert!(grades.windows(2).all(|g| g[0] <= g[1]), "{:?}", grades);
        for (ratio, grade) in ratios.iter().zip(grades) {
            let expected = (ratio.exp() / (2.0 * low)).min(0.5);
            if expected < 0.4999 {
                prop_assert!((f64::from(grade) - expected).abs() < 1e-5, "{}: {}, expected {}", ratio, grade, expected);
            }
        }
    }
}

#[test]
fn a_verifier_reads_a_batch_once_however_often_it_is_asked() {
    let batch = batch_of(&[1, 2], &[1.0, 1.0]);
    let judge =
        Verifier::new(Model { logits: matrix(&[0.0; 14], 7), read: Cell::new(0) }, MASK, Bands::default());
    let first = to_f32(&judge.grade(&predicted(&batch, &[3, 4])));
    assert_eq!(to_f32(&judge.grade(&predicted(&batch, &[3, 4]))), first);
    assert_eq!(judge.model().read.get(), 1);
    let other = batch_of(&[1, 2], &[1.0, 1.0]);
    judge.grade(&predicted(&other, &[3, 4]));
    assert_eq!(judge.model().read.get(), 2);
}

#[test]
fn bands_out_of_order_or_range_are_refused() {
    Bands::default().validate().unwrap();
    for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.5), (f64::NAN, 1.0), (0.5, f64::INFINITY)] {
        assert!(Bands { low, high }.validate().is_err(), "{low} {high}");
    }
}

/// Four replaced tokens of six: one as good as the original, one false negative, two errors.
fn detection(correction: DetectionKind, as_good: bool, hard_negatives: f64) -> (f64, Vec<f64>) {
    let logits = vec![0.5, -1.0, 2.0, 0.25, -0.5, 1.5];
    let original = ids(&[1, 2, 3, 4, 5, 6]).reshape([1, 6]);
    let corrupted = ids(&[1, 9, 9, 9, 5, 9]).reshape([1, 6]);
    let batch = Batch::new(original, ids(&[0, 1, 2, 3, 4, 5]));
    let verdict = verdict(&[0.0, 0.6, if as_good { 1.0 } else { 0.9 }, 0.4, 0.0, 0.0]);
    let loss = ReplacedTokenConfig { correction, weight: 1.0, hard_negatives }.init(&Resources::default());
    let (scores, embedding) = (matrix(&logits, 6), matrix(&[0.0; 30], 3));
    let replacements =
        Predictions::sampled(&batch, &Tensor::zeros([6, 1], &device()), ids(&[1, 9, 9, 9, 5, 9]));
    let out = loss.unwrap().forward(&scores, &replacements, &corrupted, &verdict, &embedding);
    (f64::from(out.parts.total().into_scalar::<f32>()), logits)
}

#[test]
fn banded_calls_right_ones_original_and_leaves_the_others_out() {
    let (found, z) = detection(DetectionKind::Banded(BandedConfig::default()), true, 0.0);
    let expected = (bce(z[0], 0.0) + bce(z[2], 0.0) + bce(z[3], 1.0) + bce(z[4], 0.0) + bce(z[5], 1.0)) / 6.0;
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    // With no grade of 1 it is `drop`.
    assert_eq!(
        detection(DetectionKind::Banded(BandedConfig::default()), false, 0.0).0,
        detection(DetectionKind::Drop, true, 0.0).0
    );
}

#[test]
fn a_missed_replacement_weighs_more_than_one_that_was_caught() {
    let (found, z) = detection(DetectionKind::Drop, false, 2.0);
    // Tokens 3 and 5 are the true negatives; how original they look is 1 - sigmoid.
    let raw = [z[3], z[5]].map(|z| (2.0 / (1.0 + z.exp())).exp());
    let mean = (raw[0] + raw[1]) / 2.0;
    let others = bce(z[0], 0.0) + bce(z[4], 0.0);
    let expected = (others + raw[0] / mean * bce(z[3], 1.0) + raw[1] / mean * bce(z[5], 1.0)) / 6.0;
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}

#[test]
fn confident_errors_weigh_more_after_false_negatives_are_taken_out() {
    const V: usize = 5;
    let logits = random(3, 4 * V, 3.0);
    // Right, a false negative, two errors.
    let (gold, predicted) = ([0, 1, 2, 3], [0, 4, 0, 1]);
    let batch = batch_of(&gold, &[1.0; 4]);
    let leaf = matrix(&logits, V).require_grad();
    let predictions = Predictions::sampled(&batch, &leaf, ids(&predicted));
    let verdict = Verdict::of(&Fixed(vec![false, true, false, false]), &predictions, THRESHOLD);
    let correction = CorrectionKind::Hard(HardConfig::default());
    let masked = MaskedLmConfig { correction, hard_negatives: 1.5 }.init(&Resources::default()).unwrap();
    let out = masked.forward(&leaf, &predictions, &verdict, &matrix(&[0.0; V], 1));
    let row = |k: usize| &logits[k * V..(k + 1) * V];
    let surprise = |k: usize, id: u32| log_sum_exp(row(k)) - row(k)[id as usize];
    let raw = [2, 3].map(|k| (1.5 * (-surprise(k, predicted[k])).exp()).exp());
    let mean = (raw[0] + raw[1]) / 2.0;
    let share = [1.0, 0.0, raw[0] / mean, raw[1] / mean];
    let expected = (0..4).map(|k| share[k] * surprise(k, gold[k])).sum::<f64>() / 4.0;
    let total = out.parts.total();
    let found = f64::from(total.clone().into_scalar::<f32>());
    assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
    // The weights carry no gradient: row 2's is its share times softmax less one-hot.
    let gradient = to_f32(&leaf.grad(&total.backward()).unwrap());
    for v in 0..V {
        let p = (row(2)[v] - log_sum_exp(row(2))).exp() - f64::from(u8::from(v == 2));
        let (found, expected) = (f64::from(gradient[2 * V + v]), share[2] * p / 4.0);
        assert!((found - expected).abs() < 1e-5, "{v}: {found}, expected {expected}");
    }
}
