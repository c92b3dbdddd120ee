//! What a verifier's bands and importance weights do to the losses, against sums on the host.

use burn::tensor::{Bool, Tensor, TensorData};
use fn_core::correct::{Correction, DiscriminatorCorrection, Normalise};
use fn_core::ids::Rows;
use fn_core::judge::{Bands, Judge, VerifierJudge};
use fn_core::loss::{MaskedLm, ReplacedToken, ReplacedTokenInput};
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;

use crate::reference::{Fixed, bce, log_sum_exp};
use crate::tensors::{device, floats, ids, matrix, to_bool, to_f32};

fn random(seed: u64, n: usize, scale: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, 0, 0, Use::Test);
    (0..n).map(|_| f64::from(((stream.unit() * 2.0 - 1.0) * scale) as f32)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_verifier_compares_probabilities(seed: u64, low in 0.01f64..2.0, more in 1.0f64..5.0) {
        const V: usize = 7;
        let logits = random(seed, 20 * V, 4.0);
        let mut stream = Stream::new(seed, 1, 0, Use::Test);
        let mut draw = || (0..20).map(|_| stream.below(V as u64) as u32).collect::<Vec<_>>();
        let (gold, predicted) = (draw(), draw());
        let weight: Vec<f32> = (0..20).map(|k| if k % 5 == 4 { 0.0 } else { 1.0 }).collect();
        let rows = Rows { gold: ids(&gold), predicted: ids(&predicted), weight: floats(&weight) };
        let judge = VerifierJudge::new(matrix(&logits, V), Bands { low, high: low * more });
        let (found, right) = (to_bool(&judge.judge(&rows)), to_bool(&judge.right(&rows).unwrap()));
        for k in 0..20 {
            let (r, w) = (predicted[k] as usize, gold[k] as usize);
            let ratio = (logits[k * V + r] - logits[k * V + w]).exp();
            let near = |limit: f64| (ratio / limit - 1.0).abs() < 1e-4;
            if near(low) || near(low * more) { continue; }
            let wrong = weight[k] > 0.0 && r != w;
            prop_assert_eq!(found[k], wrong && ratio >= low, "row {}: {}", k, ratio);
            prop_assert_eq!(right[k], wrong && ratio >= low * more, "row {}: {}", k, ratio);
        }
    }
}

#[test]
fn bands_out_of_order_or_range_are_refused() {
    Bands::default().validate().unwrap();
    for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.5), (f64::NAN, 1.0), (0.5, f64::INFINITY)] {
        assert!(Bands { low, high }.validate().is_err(), "{low} {high}");
    }
}

/// Four replaced tokens of six: one right, one false negative, two errors.
fn detection(correction: &DiscriminatorCorrection, right: bool, hard_negatives: f64) -> (f64, Vec<f64>) {
    let logits = vec![0.5, -1.0, 2.0, 0.25, -0.5, 1.5];
    let flags = |places: &[usize]| -> Tensor<2, Bool> {
        let flags: Vec<bool> = (0..6).map(|t| places.contains(&t)).collect();
        Tensor::from_bool(TensorData::new(flags, [1, 6]), &device().inner())
    };
    let input = ReplacedTokenInput {
        logits: matrix(&logits, 6),
        original: ids(&[1, 2, 3, 4, 5, 6]).reshape([1, 6]),
        corrupted: ids(&[1, 9, 9, 9, 5, 9]).reshape([1, 6]),
        attention: Tensor::ones([1, 6], &device()),
        false_negative: flags(&[1, 2]),
        right: right.then(|| flags(&[2])),
    };
    let out = ReplacedToken { correction, weight: 1.0, hard_negatives }.loss(input, matrix(&[0.0; 30], 3));
    (f64::from(out.parts.total().into_scalar::<f32>()), logits)
}

#[test]
fn banded_calls_right_ones_original_and_leaves_the_others_out() {
    let (found, z) = detection(&DiscriminatorCorrection::Banded, true, 0.0);
    let expected = (bce(z[0], 0.0) + bce(z[2], 0.0) + bce(z[3], 1.0) + bce(z[4], 0.0) + bce(z[5], 1.0)) / 6.0;
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    // A judge that does not tell: as `drop`.
    let (banded, drop) = (&DiscriminatorCorrection::Banded, &DiscriminatorCorrection::Drop);
    assert_eq!(detection(banded, false, 0.0).0, detection(drop, true, 0.0).0);
}

#[test]
fn a_missed_replacement_weighs_more_than_one_that_was_caught() {
    let (found, z) = detection(&DiscriminatorCorrection::Drop, false, 2.0);
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
    let rows = Rows { gold: ids(&gold), predicted: ids(&predicted), weight: floats(&[1.0; 4]) };
    let judge = Fixed(vec![false, true, false, false]);
    let correction = Correction::Hard { normalise: Normalise::All };
    let masked = MaskedLm { correction: &correction, judge: &judge, lexicon: None, hard_negatives: 1.5 };
    let leaf = matrix(&logits, V).require_grad();
    let out = masked.loss(leaf.clone(), rows, matrix(&[0.0; V], 1), None);
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
