//! The judge that reads the generator, the control that shuffles grades, the cap, and replacements that do not fit.

use fn_core::batch::{Batch, Predictions};
use fn_core::correct::Resources;
use fn_core::correct::detection::DetectionKind;
use fn_core::judge::{
    All, Any, Bands, DeviceLexicon, GeneratorConfig, Judge, LexiconJudge, Measure, NoJudge, Shuffled,
    THRESHOLD, Verdict, Verifier, WeightedMean, errors_only,
};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::ReplacedTokenConfig;
use fn_core::noise::{Stream, Use};
use fn_core::sample::{SampleConfig, gumbel_sample};
use proptest::prelude::*;

use crate::reference::{Grades, Oracle, batch_of, bce, predicted, surprise};
use crate::tensors::{device, drawing, ids, matrix, seeded, to_bool, to_f32, to_ids};

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
    let out =
        loss.forward(&detected, &replacements, &batch.filled(sampled), &verdict, &matrix(&[0.0; 10], 1));
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

#[test]
fn the_cap_keeps_the_highest_grades_and_scales_their_mean() {
    // Eight wrong predictions (the last two positions are right, or padding), five of them false negatives.
    let weight = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
    let batch = batch_of(&[0; 10], &weight);
    let predictions = predicted(&batch, &[1, 1, 1, 1, 1, 1, 1, 1, 0, 1]);
    let grades = [0.5, 1.0, 0.25, 0.75, 0.0, 1.0, 0.125, 0.75, 1.0, 1.0];
    let judge = Grades(grades.to_vec());
    let wrong = predictions.wrong();
    let capped = |cap| Verdict::of(&judge, &predictions, THRESHOLD).capped(&wrong, cap);
    let flags = |cap| {
        let flagged = to_bool(&capped(cap).false_negative);
        (0..10).filter(|&k| flagged[k]).collect::<Vec<_>>()
    };
    assert_eq!(flags(1.0), [0, 1, 3, 5, 7]);
    assert_eq!(flags(0.625), [0, 1, 3, 5, 7]);
    // Of equal grades the first stay.
    assert_eq!(flags(0.5), [1, 3, 5, 7]);
    assert_eq!(flags(0.374), [1, 5]);
    assert_eq!(flags(0.375), [1, 3, 5]);
    assert_eq!(flags(0.125), [1]);
    assert!(flags(0.1).is_empty());
    // The mean grade is 4.375 / 8.
    assert_eq!(to_f32(&capped(0.6).grade)[..8], grades[..8]);
    for (found, grade) in to_f32(&capped(0.25).grade).into_iter().zip(&grades[..8]) {
        let expected = grade * (0.25 / (4.375 / 8.0));
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}

#[test]
fn a_cap_over_a_batch_without_errors_or_grades_changes_nothing() {
    for (r, grade) in [([0, 0], 1.0), ([1, 1], 0.0)] {
        let batch = batch_of(&[0, 0], &[1.0; 2]);
        let predictions = predicted(&batch, &r);
        let verdict = Verdict::of(&Grades(vec![grade; 2]), &predictions, THRESHOLD);
        let verdict = verdict.capped(&predictions.wrong(), 0.5);
        assert_eq!(
            (to_f32(&verdict.grade), to_bool(&verdict.false_negative)),
            (vec![0.0; 2], vec![false; 2])
        );
    }
    let batch = batch_of(&[0, 0], &[1.0; 2]);
    let none = Verdict::none(&predicted(&batch, &[1, 1]));
    assert_eq!((to_f32(&none.grade), to_bool(&none.false_negative)), (vec![0.0; 2], vec![false; 2]));
}

/// Grades of each word at each position, `[P][V]`.
fn all_grades(judge: &dyn Judge, predictions: &Predictions<'_>, v: usize) -> Vec<Vec<f32>> {
    let grades = to_f32(&judge.vocabulary().unwrap().grade_all(predictions));
    grades.chunks(v).map(<[f32]>::to_vec).collect()
}

#[test]
fn grades_of_all_words_are_those_of_each_word_as_a_prediction() {
    const V: usize = 6;
    let rows = [(0, vec![(1, 0.25), (2, 1.0)]), (3, vec![(0, 0.5)])];
    let lexicon = Lexicon::from_graded_rows(V, rows, LexiconInfo::default()).unwrap();
    let plain = Lexicon::from_rows(V, [(0, vec![1, 5])], LexiconInfo::default()).unwrap();
    let by = |lexicon: &Lexicon| -> Box<dyn Judge> {
        Box::new(LexiconJudge::new(DeviceLexicon::new(lexicon, None, &device())))
    };
    let generator = |measure| -> Box<dyn Judge> {
        Box::new(GeneratorConfig { measure, ..GeneratorConfig::default() }.init().unwrap())
    };
    let gold = [0, 3, 2];
    let batch = batch_of(&gold, &[1.0; 3]);
    let logits = matrix(&random(5, 3 * V, 2.0), V);
    let verifier = || -> Box<dyn Judge> {
        let bands = Bands { low: 0.3, high: 2.0 };
        Box::new(Verifier::of(Oracle(matrix(&random(6, 3 * V, 2.0), V)), bands))
    };
    let judges: Vec<Box<dyn Judge>> = vec![
        by(&lexicon),
        by(&plain),
        generator(Measure::Probability),
        generator(Measure::Ratio),
        verifier(),
        Box::new(All(vec![by(&lexicon), verifier()])),
        Box::new(Any(vec![by(&plain), generator(Measure::Probability)])),
        Box::new(WeightedMean(vec![(3.0, by(&lexicon)), (1.0, verifier())])),
    ];
    for (n, judge) in judges.iter().enumerate() {
        let all = all_grades(&**judge, &Predictions::sampled(&batch, &logits, ids(&gold)), V);
        for v in 0..V {
            let one = to_f32(&judge.grade(&Predictions::sampled(&batch, &logits, ids(&[v as u32; 3]))));
            for ((all, one), w) in all.iter().zip(one).zip(gold) {
                assert!(v == w as usize || (all[v] - one).abs() < 1e-6, "judge {n}, {w}, {v}");
            }
        }
    }
    assert!(NoJudge.vocabulary().is_none() && Grades(vec![]).vocabulary().is_none());
    assert!(All(vec![by(&plain), Box::new(NoJudge)]).vocabulary().is_none());
    let _guard = seeded(3);
    let predictions = Predictions::sampled(&batch, &logits, ids(&gold));
    let sorted = |mut grades: Vec<Vec<f32>>| {
        grades.sort_by(|a, b| a.partial_cmp(b).unwrap());
        grades
    };
    let shuffled = all_grades(&Shuffled(by(&lexicon)), &predictions, V);
    assert_eq!(sorted(shuffled), sorted(all_grades(&*by(&lexicon), &predictions, V)));
}

#[test]
fn replacements_that_do_not_fit_are_drawn_in_proportion() {
    // p_G(v)^(1 / T) (1 - g(v)) at every word but the original, which keeps its probability.
    const V: usize = 5;
    let rows = [(4, vec![(0, 1.0), (1, 0.75), (2, 0.5)])];
    let lexicon = Lexicon::from_graded_rows(V, rows, LexiconInfo::default()).unwrap();
    let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device()));
    let logits = random(7, V, 2.0);
    let batch = batch_of(&[4], &[1.0]);
    let predictions = Predictions::sampled(&batch, &matrix(&logits, V), ids(&[4]));
    for temperature in [1.0, 2.0] {
        let found = to_f32(&errors_only(&judge, &predictions, temperature));
        let grades = [1.0f64, 0.75, 0.5, 0.0, 0.0];
        let weight = |v: usize| (logits[v] / temperature).exp() * (1.0 - grades[v]);
        let sum: f64 = (0..V).map(weight).sum();
        let all: f64 = found.iter().map(|&z| (f64::from(z) / temperature).exp()).sum();
        for (v, &z) in found.iter().enumerate() {
            let p = (f64::from(z) / temperature).exp() / all;
            assert!((p - weight(v) / sum).abs() < 1e-6, "{v}: {p}, expected {}", weight(v) / sum);
        }
    }
    // 2,000 draws: a word of grade 1 never comes, the others as often as they should, within 4 standard deviations.
    let _guard = seeded(9);
    let spared = errors_only(&judge, &predictions, 1.0).repeat(&[2000, 1]);
    let drawn = to_ids(&gumbel_sample(spared, &ids(&[4; 2000]), &SampleConfig::default()));
    let weights: Vec<f64> = (0..V).map(|v| logits[v].exp() * [0.0, 0.25, 0.5, 1.0, 1.0][v]).collect();
    for v in 0..V {
        let p = weights[v] / weights.iter().sum::<f64>();
        let count = drawn.iter().filter(|&&id| id == v as u32).count() as f64;
        assert!((count - 2000.0 * p).abs() <= 4.0 * (2000.0 * p * (1.0 - p)).sqrt(), "{v}: {count}, {p}");
    }
}
