//! Verdicts on the device against look-ups on the host.

use burn::tensor::Tensor;
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::RandomShield;
use fn_core::judge::{
    All, Any, DeviceLexicon, Judge, LexiconJudge, NoJudge, THRESHOLD, Verdict, WeightedMean,
};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::MaskedLm;
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;

use crate::reference::{Fixed, Grades, batch_of, predicted};
use crate::tensors::{device, drawing, ids, matrix, seeded, to_bool, to_f32, to_ids};

/// Which predictions of the batch this judge calls false negatives.
fn flagged(judge: &dyn Judge, batch: &Batch, r: &[u32]) -> Vec<bool> {
    to_bool(&Verdict::of(judge, &predicted(batch, r), THRESHOLD).false_negative)
}

/// Which positions random shielding leaves out, seen from the gradient of the logits.
fn shielded(gold: &[u32], r: &[u32], weight: &[f32], verdict: &[bool]) -> Vec<bool> {
    const V: usize = 6;
    let _guard = drawing();
    let batch = batch_of(gold, weight);
    let logits = matrix(&vec![0.0; gold.len() * V], V).require_grad();
    let predictions = Predictions::sampled(&batch, &logits, ids(r));
    let verdict = Verdict::of(&Fixed(verdict.to_vec()), &predictions, THRESHOLD);
    let out = MaskedLm::new(RandomShield).forward(&logits, &predictions, &verdict, &matrix(&[0.0; V], 1));
    let gradient = to_f32(&logits.grad(&out.parts.total().backward()).unwrap());
    let left_out = gradient.chunks(V).map(|row| row.iter().all(|&g| g == 0.0));
    left_out.zip(weight).map(|(left_out, &weight)| left_out && weight > 0.0).collect()
}

fn lexicon(v: usize, rows: Vec<(u32, Vec<u32>)>) -> Lexicon {
    Lexicon::from_rows(v, rows, LexiconInfo::default()).unwrap()
}

fn random_rows(seed: u64, v: usize, p: usize) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let mut stream = Stream::new(seed, 0, 0, Use::Test);
    let mut draw = |n: u64| (0..p).map(|_| stream.below(n) as u32).collect::<Vec<_>>();
    let (gold, predicted, weight) = (draw(v as u64), draw(v as u64), draw(4));
    (gold, predicted, weight.iter().map(|&w| if w > 0 { 1.0 } else { 0.0 }).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn device_and_host_agree(
        v in 1usize..30, seed: u64,
        sets in prop::collection::vec((0u32..30, prop::collection::vec(0u32..30, 0..10)), 0..25),
    ) {
        let id = |i: u32| i % v as u32;
        let sets = sets.into_iter().map(|(w, s)| (id(w), s.into_iter().map(id).collect())).collect();
        let host = lexicon(v, sets);
        let table = DeviceLexicon::new(&host, None, &device());
        prop_assert_eq!(table.width(), host.width().max(1));
        prop_assert_eq!(table.truncated_rows(), 0);
        let (gold, predicted, weight) = random_rows(seed, v, 50);
        let batch = batch_of(&gold, &weight);
        let found = flagged(&LexiconJudge::new(table.clone()), &batch, &predicted);
        for k in 0..50 {
            let expected = weight[k] > 0.0 && gold[k] != predicted[k] && host.contains(gold[k], predicted[k]);
            prop_assert_eq!(found[k], expected, "row {}: {} for {}", k, predicted[k], gold[k]);
        }
        let contains = to_bool(&table.contains(&batch.gold, &ids(&predicted)));
        prop_assert!((0..50).all(|k| contains[k] == host.contains(gold[k], predicted[k])));
    }

    #[test]
    fn grades_on_the_device_are_those_of_the_host(
        v in 1usize..30, seed: u64,
        sets in prop::collection::vec((0u32..30, prop::collection::vec((0u32..30, 1u32..=8), 0..10)), 0..25),
    ) {
        let id = |i: u32| i % v as u32;
        let row = |set: Vec<(u32, u32)>| set.into_iter().map(|(r, eighths)| (id(r), eighths as f32 / 8.0)).collect();
        let rows = sets.into_iter().map(|(w, set)| (id(w), row(set)));
        let host = Lexicon::from_graded_rows(v, rows, LexiconInfo::default()).unwrap();
        let (gold, predicted_ids, weight) = random_rows(seed, v, 50);
        let batch = batch_of(&gold, &weight);
        let judge = LexiconJudge::new(DeviceLexicon::new(&host, None, &device()));
        let verdict = Verdict::of(&judge, &predicted(&batch, &predicted_ids), 0.5);
        let (grades, flags) = (to_f32(&verdict.grade), to_bool(&verdict.false_negative));
        for k in 0..50 {
            let expected = if weight[k] > 0.0 { host.grade(gold[k], predicted_ids[k]) } else { 0.0 };
            prop_assert_eq!(grades[k], expected, "row {}: {} for {}", k, predicted_ids[k], gold[k]);
            prop_assert_eq!(flags[k], expected >= 0.5);
        }
    }

    #[test]
    fn random_shielding_takes_as_many_and_only_wrong_rows(seed: u64, p in 1usize..40) {
        let (gold, predicted, weight) = random_rows(seed, 5, p);
        let mut stream = Stream::new(seed, 1, 0, Use::Test);
        let wrong: Vec<bool> = (0..p).map(|k| weight[k] > 0.0 && gold[k] != predicted[k]).collect();
        let verdict: Vec<bool> = wrong.iter().map(|&w| w && stream.below(2) == 1).collect();
        let found = shielded(&gold, &predicted, &weight, &verdict);
        let count = |v: &[bool]| v.iter().filter(|&&x| x).count();
        prop_assert_eq!(count(&found), count(&verdict));
        prop_assert!(found.iter().zip(&wrong).all(|(&f, &w)| w || !f));
    }
}

#[test]
fn random_shielding_repeats_with_the_seed_and_differs_without() {
    let verdict: Vec<bool> = (0..30).map(|k| k < 10).collect();
    let draw = |seed| {
        let _guard = seeded(seed);
        shielded(&[0; 30], &[1; 30], &[1.0; 30], &verdict)
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn padding_in_the_lexicon_matches_nothing() {
    // One long row makes the others padded; id 0 must not match the padding.
    let host = lexicon(6, vec![(1, vec![0, 2, 3, 4, 5]), (2, vec![3])]);
    let table = DeviceLexicon::new(&host, None, &device());
    let every: Vec<u32> = (0..6).collect();
    for w in 0..6 {
        let found = to_bool(&table.contains(&ids(&[w; 6]), &ids(&every)));
        let expected: Vec<bool> = every.iter().map(|&r| host.contains(w, r)).collect();
        assert_eq!(found, expected, "word {w}");
    }
}

#[test]
fn an_empty_lexicon_judges_nothing() {
    let table = DeviceLexicon::new(&lexicon(4, vec![]), None, &device());
    assert_eq!(table.width(), 1);
    let batch = batch_of(&[0, 1], &[1.0, 1.0]);
    assert_eq!(flagged(&LexiconJudge::new(table), &batch, &[1, 0]), [false, false]);
}

#[test]
fn a_width_limit_keeps_the_lowest_ids_and_is_reported() {
    let host = lexicon(9, vec![(0, vec![8, 3, 5]), (1, vec![2, 7]), (2, vec![4])]);
    let table = DeviceLexicon::new(&host, Some(2), &device());
    assert_eq!((table.width(), table.truncated_rows()), (2, 1));
    let members = to_ids(&table.members(&ids(&[0, 1, 2])).clamp_min(0));
    assert_eq!(members, [3, 5, 2, 7, 4, 0]);
    assert_eq!(to_bool(&table.contains(&ids(&[0, 0]), &ids(&[5, 8]))), [true, false]);
    let nothing = DeviceLexicon::new(&host, Some(0), &device());
    assert_eq!(nothing.truncated_rows(), 3);
    assert!(!to_bool(&nothing.contains(&ids(&[0, 0]), &ids(&[3, 0])))[0]);
}

#[test]
fn a_width_limit_keeps_the_highest_grades() {
    let rows = [(0, vec![(3, 0.25), (5, 0.5), (8, 1.0), (2, 0.5)])];
    let host = Lexicon::from_graded_rows(9, rows, LexiconInfo::default()).unwrap();
    let table = DeviceLexicon::new(&host, Some(2), &device());
    assert_eq!((table.truncated_rows(), to_ids(&table.members(&ids(&[0])))), (1, vec![2, 8]));
    assert_eq!(to_f32(&table.grade(&ids(&[0, 0, 0]), &ids(&[2, 8, 5]))), [0.5, 1.0, 0.0]);
}

#[test]
fn one_lexicon_serves_training_and_evaluation() {
    let host = lexicon(5, vec![(1, vec![2])]);
    for made_on in [device(), device().inner()] {
        let judge = LexiconJudge::new(DeviceLexicon::new(&host, None, &made_on));
        for used_on in [device(), device().inner()] {
            let batch = Batch::new(Tensor::from_ints([[1]], &used_on), Tensor::from_ints([0], &used_on));
            let logits = Tensor::zeros([1, 5], &used_on);
            let predictions = Predictions::sampled(&batch, &logits, Tensor::from_ints([2], &used_on));
            let verdict = Verdict::of(&judge, &predictions, THRESHOLD);
            assert!(verdict.false_negative.into_scalar::<bool>());
        }
    }
}

#[test]
fn no_judge_flags_nothing() {
    assert_eq!(flagged(&NoJudge, &batch_of(&[1, 1], &[1.0, 1.0]), &[1, 0]), [false, false]);
}

#[test]
fn random_shielding_keeps_right_predictions_even_if_the_judge_does_not() {
    assert_eq!(shielded(&[1, 1, 1], &[1, 2, 1], &[1.0; 3], &[true; 3]), [false, true, false]);
}

#[test]
fn only_wrong_predictions_have_a_grade_and_the_threshold_is_inclusive() {
    // Below the threshold, at it, above it, right, padding.
    let batch = batch_of(&[1, 1, 1, 1, 1], &[1.0, 1.0, 1.0, 1.0, 0.0]);
    let predictions = predicted(&batch, &[2, 2, 2, 1, 2]);
    let verdict = Verdict::of(&Grades(vec![0.69, 0.7, 1.0, 1.0, 1.0]), &predictions, 0.7);
    assert_eq!(to_f32(&verdict.grade), [0.69, 0.7, 1.0, 0.0, 0.0]);
    assert_eq!(to_bool(&verdict.false_negative), [false, true, true, false, false]);
}

#[test]
fn judges_combine() {
    let batch = batch_of(&[1, 1, 1], &[1.0; 3]);
    let two = || -> Vec<Box<dyn Judge>> {
        vec![Box::new(Grades(vec![0.25, 1.0, 0.5])), Box::new(Grades(vec![0.75, 0.0, 0.5]))]
    };
    let grades = |judge: &dyn Judge| to_f32(&judge.grade(&predicted(&batch, &[2, 2, 2])));
    assert_eq!(grades(&All(two())), [0.25, 0.0, 0.5]);
    assert_eq!(grades(&Any(two())), [0.75, 1.0, 0.5]);
    let weighted = WeightedMean([3.0, 1.0].into_iter().zip(two()).collect());
    assert_eq!(grades(&weighted), [0.375, 0.75, 0.5]);
    for empty in [&All::default() as &dyn Judge, &Any::default(), &WeightedMean::default()] {
        assert_eq!(grades(empty), [0.0; 3]);
    }
}
