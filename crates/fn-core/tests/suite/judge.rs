//! Verdicts on the device against look-ups on the host.

use fn_core::ids::Rows;
use fn_core::judge::{DeviceLexicon, Judge, LexiconJudge, NoJudge, RandomShield};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;

use crate::reference::Fixed;
use crate::tensors::{device, floats, ids, seeded, to_bool, to_ids};

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
        let rows = Rows { gold: ids(&gold), predicted: ids(&predicted), weight: floats(&weight) };
        let found = to_bool(&LexiconJudge::new(table.clone()).judge(&rows));
        for k in 0..50 {
            let expected = weight[k] > 0.0 && gold[k] != predicted[k] && host.contains(gold[k], predicted[k]);
            prop_assert_eq!(found[k], expected, "row {}: {} for {}", k, predicted[k], gold[k]);
        }
        let contains = to_bool(&table.contains(&rows.gold, &rows.predicted));
        prop_assert!((0..50).all(|k| contains[k] == host.contains(gold[k], predicted[k])));
    }

    #[test]
    fn random_shielding_takes_as_many_and_only_wrong_rows(seed: u64, p in 1usize..40) {
        let (gold, predicted, weight) = random_rows(seed, 5, p);
        let mut stream = Stream::new(seed, 1, 0, Use::Test);
        let wrong: Vec<bool> = (0..p).map(|k| weight[k] > 0.0 && gold[k] != predicted[k]).collect();
        let verdict: Vec<bool> = wrong.iter().map(|&w| w && stream.below(2) == 1).collect();
        let rows = Rows { gold: ids(&gold), predicted: ids(&predicted), weight: floats(&weight) };
        let found = to_bool(&RandomShield::new(Box::new(Fixed(verdict.clone()))).judge(&rows));
        let count = |v: &[bool]| v.iter().filter(|&&x| x).count();
        prop_assert_eq!(count(&found), count(&verdict));
        prop_assert!(found.iter().zip(&wrong).all(|(&f, &w)| w || !f));
    }
}

#[test]
fn random_shielding_repeats_with_the_seed_and_differs_without() {
    let rows = Rows { gold: ids(&[0; 30]), predicted: ids(&[1; 30]), weight: floats(&[1.0; 30]) };
    let judge = RandomShield::new(Box::new(Fixed((0..30).map(|k| k < 10).collect())));
    let draw = |seed| {
        let _guard = seeded(seed);
        to_bool(&judge.judge(&rows))
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
    let rows = Rows { gold: ids(&[0, 1]), predicted: ids(&[1, 0]), weight: floats(&[1.0, 1.0]) };
    assert_eq!(to_bool(&LexiconJudge::new(table).judge(&rows)), [false, false]);
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
fn one_lexicon_serves_training_and_evaluation() {
    let host = lexicon(5, vec![(1, vec![2])]);
    for made_on in [device(), device().inner()] {
        let judge = LexiconJudge::new(DeviceLexicon::new(&host, None, &made_on));
        for used_on in [device(), device().inner()] {
            let one = |id: i32| burn::tensor::Tensor::from_ints([id], &used_on);
            let weight = burn::tensor::Tensor::from_floats([1.0], &used_on);
            let verdict = judge.judge(&Rows { gold: one(1), predicted: one(2), weight });
            assert!(verdict.into_scalar::<bool>());
        }
    }
}

#[test]
fn judges_have_names() {
    let table = DeviceLexicon::new(&lexicon(2, vec![]), None, &device());
    assert_eq!(LexiconJudge::new(table.clone()).name(), "lexicon");
    assert_eq!(LexiconJudge::new(table).lexicon().width(), 1);
    assert_eq!((NoJudge.name(), RandomShield::new(Box::new(NoJudge)).name()), ("none", "random"));
    let rows = Rows { gold: ids(&[1, 1]), predicted: ids(&[1, 0]), weight: floats(&[1.0, 1.0]) };
    assert_eq!(to_bool(&NoJudge.judge(&rows)), [false, false]);
}

#[test]
fn random_shielding_keeps_right_rows_even_if_the_judge_does_not() {
    let rows = Rows { gold: ids(&[1, 1, 1]), predicted: ids(&[1, 2, 1]), weight: floats(&[1.0; 3]) };
    let judge = RandomShield::new(Box::new(Fixed(vec![true; 3])));
    assert_eq!(to_bool(&judge.judge(&rows)), [false, true, false]);
}
