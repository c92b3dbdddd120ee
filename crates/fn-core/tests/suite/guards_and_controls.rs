//! The judge that reads the generator, and the control that shuffles grades.

use burn::tensor::Tensor;
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::Resources;
use fn_core::correct::detection::DetectionKind;
use fn_core::judge::{GeneratorConfig, Judge, Measure, Shuffled, THRESHOLD, Verdict};
use fn_core::loss::ReplacedTokenConfig;
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;

use crate::reference::{batch_of, bce, predicted, surprise};
use crate::tensors::{drawing, ids, matrix, seeded, to_bool, to_f32};

/// A judge that gives these grades.
struct Grades(Vec<f32>);

impl Judge for Grades {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        Tensor::from_floats(self.0.as_slice(), &predictions.batch.gold.device().inner())
    }
}

fn random(seed: u64, n: usize, scale: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, 2, 0, Use::Test);
    (0..n).map(|_| f64::from(((stream.unit() * 2.0 - 1.0) * scale) as f32)).collect()
}

#[test]
fn the_generator_judges_by_its_own_probabilities() {
    const V: usize = 5;
    let logits = random(1, 4 * V, 3.0);
    let (gold, r) = ([0, 1, 2, 3], [4, 0, 2, 1]);
    let batch = batch_of(&gold, &[1.0; 4]);
    let leaf = matrix(&logits, V).require_grad();
    let predictions = Predictions::sampled(&batch, &leaf, ids(&r));
    let p = |k: usize, id: u32| (-surprise(&logits[k * V..(k + 1) * V], id as usize)).exp();
    let judge = GeneratorConfig { half: 0.2, ..GeneratorConfig::default() }.init().unwrap();
    let grades = to_f32(&Verdict::of(&judge, &predictions, THRESHOLD).grade);
    for k in 0..4 {
        // The third prediction is right.
        let expected = if k == 2 { 0.0 } else { p(k, r[k]) / (p(k, r[k]) + 0.2) };
        assert!((f64::from(grades[k]) - expected).abs() < 1e-6, "{k}: {}, expected {expected}", grades[k]);
    }
    let ratio =
        GeneratorConfig { measure: Measure::Ratio, low: 0.1, high: 2.0, ..GeneratorConfig::default() };
    let verdict = Verdict::of(&ratio.init().unwrap(), &predictions, THRESHOLD);
    let (flags, grades) = (to_bool(&verdict.false_negative), to_f32(&verdict.grade));
    for k in [0, 1, 3] {
        let ratio = p(k, r[k]) / p(k, gold[k]);
        assert_eq!((flags[k], grades[k] == 1.0), (ratio >= 0.1, ratio >= 2.0), "{k}: {ratio}");
    }
}

#[test]
fn weighing_by_the_generators_probability_is_the_free_judge() {
    // half / (half + p): the weights of the formula, and no gradient through them.
    const V: usize = 10;
    let (logits, scores) = (random(2, 4 * V, 3.0), random(3, 4, 2.0));
    let batch = Batch::new(ids(&[1, 2, 3, 4]).reshape([1, 4]), ids(&[0, 1, 2, 3]));
    let sampled = ids(&[1, 9, 8, 7]);
    let leaf = matrix(&logits, V).require_grad();
    let replacements = Predictions::sampled(&batch, &leaf, sampled.clone());
    let judge = GeneratorConfig::default().init().unwrap();
    let verdict = Verdict::of(&judge, &replacements, THRESHOLD);
    let config = ReplacedTokenConfig { correction: DetectionKind::Weight, weight: 1.0, hard_negatives: 0.0 };
    let loss = config.init(&Resources::default()).unwrap();
    let detected = matrix(&scores, 4).require_grad();
    let out = loss.forward(&detected, &batch, &batch.filled(sampled), &verdict, &matrix(&[0.0; 10], 1));
    let weight = |k: usize, v: usize| 0.05 / (0.05 + (-surprise(&logits[k * V..(k + 1) * V], v)).exp());
    let replaced = [(1, 9), (2, 8), (3, 7)].map(|(k, v)| weight(k, v) * bce(scores[k], 1.0));
    let expected = (bce(scores[0], 0.0) + replaced.iter().sum::<f64>()) / 4.0;
    let total = out.parts.total();
    let found = f64::from(total.clone().into_scalar::<f32>());
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    assert!(leaf.grad(&total.backward()).is_none());
}

#[test]
fn settings_of_the_generator_out_of_range_are_refused() {
    for half in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(GeneratorConfig { half, ..GeneratorConfig::default() }.init().is_err(), "{half}");
    }
    assert!(GeneratorConfig { low: 2.0, high: 1.0, ..GeneratorConfig::default() }.init().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn shuffling_keeps_the_grades_of_the_wrong_predictions_and_touches_no_other(seed: u64, p in 1usize..40) {
        let _guard = drawing();
        let mut stream = Stream::new(seed, 0, 0, Use::Test);
        let mut draw = |n: u64| (0..p).map(|_| stream.below(n) as u32).collect::<Vec<_>>();
        let (gold, r) = (draw(3), draw(3));
        let weight: Vec<f32> = draw(4).iter().map(|&w| if w > 0 { 1.0 } else { 0.0 }).collect();
        // Every grade once, so that it can be followed.
        let grades: Vec<f32> = (0..p).map(|k| (k + 1) as f32 / 64.0).collect();
        let batch = batch_of(&gold, &weight);
        let predictions = predicted(&batch, &r);
        let plain = to_f32(&Verdict::of(&Grades(grades.clone()), &predictions, THRESHOLD).grade);
        let found = to_f32(&Verdict::of(&Shuffled(Grades(grades)), &predictions, THRESHOLD).grade);
        for k in 0..p {
            prop_assert_eq!(found[k] > 0.0, plain[k] > 0.0, "position {}", k);
        }
        let sorted = |mut grades: Vec<f32>| { grades.sort_by(f32::total_cmp); grades };
        prop_assert_eq!(sorted(found), sorted(plain));
    }
}

#[test]
fn shuffled_grades_repeat_with_the_seed_and_every_order_comes_up_equally_often() {
    let batch = batch_of(&[0; 5], &[1.0, 1.0, 1.0, 1.0, 0.0]);
    let predictions = predicted(&batch, &[1, 1, 0, 1, 1]);
    let judge = Shuffled(Grades(vec![0.25, 0.5, 0.75, 1.0, 0.125]));
    let draw = |seed| {
        let _guard = seeded(seed);
        to_f32(&Verdict::of(&judge, &predictions, THRESHOLD).grade)
    };
    assert_eq!(draw(1), draw(1));
    // Six orders of three wrong predictions, 600 draws: each 100 times, give or take 4 standard deviations (of 9.1).
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..600 {
        let grades: Vec<u32> = draw(seed).iter().map(|g| (g * 4.0) as u32).collect();
        *counts.entry(grades).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6, "{counts:?}");
    assert!(counts.values().all(|n| (64..=136).contains(n)), "{counts:?}");
}
