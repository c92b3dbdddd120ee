//! The masked-language-model loss and its corrections against the f64 reference.

use fn_core::correct::{Correction, Level, Normalise};
use fn_core::ids::Rows;
use fn_core::judge::{DeviceLexicon, LexiconJudge};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::{MaskedLm, cosine_distance};
use fn_core::sample::Prediction;

use crate::reference::{Fixed, Problem, corrections, log_sum_exp, surprise};
use crate::tensors::{floats, ids, matrix, seeded, to_bool, to_f32};

fn close(found: f32, expected: f64, what: &str) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= 1e-6 * (1.0 + expected.abs()), "{what}: {found}, expected {expected}");
}

/// Logits that break losses which take the logarithm of a probability: confident, and wrong or right.
fn extreme(problem: &mut Problem, size: f64) {
    let v = problem.v;
    let gold = problem.gold.clone();
    for (k, row) in problem.logits.chunks_mut(v).enumerate() {
        row[gold[k] as usize] = if k % 2 == 0 { size } else { -size };
        row[(gold[k] as usize + 1) % v] = if k % 3 == 0 { -size } else { size };
    }
}

#[test]
fn every_correction_agrees_with_the_reference() {
    for seed in 0..5 {
        let problem = Problem::random(seed, 3.0);
        for correction in corrections() {
            let (out, _) = problem.run(&correction);
            let expected = problem.total(&correction);
            close(out.parts.total().into_scalar(), expected, &format!("seed {seed} {correction:?}"));
        }
    }
}

#[test]
fn extreme_logits_give_exact_losses_and_finite_gradients() {
    for size in [17.0, 40.0, 104.0, 1e4] {
        for correction in corrections() {
            let mut problem = Problem::random(1, 3.0);
            extreme(&mut problem, size);
            let (out, leaves) = problem.run(&correction);
            let total = out.parts.total();
            let what = format!("size {size} {correction:?}");
            close(total.clone().into_scalar(), problem.total(&correction), &what);
            let gradients = total.backward();
            for leaf in leaves {
                if let Some(gradient) = leaf.grad(&gradients) {
                    assert!(to_f32(&gradient).iter().all(|g| g.is_finite()), "{what}: {gradient}");
                }
            }
        }
    }
}

#[test]
fn small_differences_survive_a_large_common_shift() {
    // Logits of 1e4 and 1e4 - 5: the loss is about 0.007 and must not drown in 1e4.
    for correction in corrections() {
        let mut problem = Problem::random(2, 3.0);
        problem.logits = problem.logits.iter().map(|z| (z * 8.0).round() / 8.0 + 1e4).collect();
        let (out, _) = problem.run(&correction);
        close(out.parts.total().into_scalar(), problem.total(&correction), &format!("{correction:?}"));
    }
}

#[test]
fn a_confident_right_answer_costs_nothing_and_a_wrong_one_its_logit() {
    let cost = |z: [f64; 2]| {
        let problem = Problem {
            v: 2,
            h: 1,
            logits: z.to_vec(),
            embedding: vec![1.0, 1.0],
            gold: vec![0],
            predicted: vec![0],
            weight: vec![1.0],
            verdict: vec![false],
            sets: vec![],
            sentences: [vec![1.0], vec![1.0]],
        };
        problem.run(&Correction::None).0.parts.total().into_scalar::<f32>()
    };
    assert!((cost([17.0, 0.0]) - 4.14e-8).abs() < 8e-8);
    assert_eq!(cost([1e4, -1e4]), 0.0);
    assert_eq!(cost([-1e4, 1e4]), 2e4);
    assert_eq!(cost([0.0, 104.0]), 104.0);
}

#[test]
fn the_reference_itself_is_right() {
    let z = [1.0f64, 2.0, 3.0];
    let sum: f64 = z.iter().map(|x| x.exp()).sum();
    assert!((log_sum_exp(&z) - sum.ln()).abs() < 1e-14);
    assert!((surprise(&z, 0) - (sum.ln() - 1.0)).abs() < 1e-14);
}

#[test]
fn terms_are_named_and_add_up() {
    let problem = Problem::random(3, 3.0);
    let names = |correction: &Correction| {
        let (out, _) = problem.run(correction);
        let sum: f32 = out.parts.detached().into_iter().map(|(_, t)| t.into_scalar::<f32>()).sum();
        assert!((sum - out.parts.total().into_scalar::<f32>()).abs() < 1e-5);
        assert!(out.parts.get("masked_lm").is_some() && out.parts.get("other").is_none());
        out.parts.terms.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let names: Vec<_> = corrections().iter().map(names).collect();
    let two = |second| vec!["masked_lm", second];
    assert_eq!(names[..3], [["masked_lm"], ["masked_lm"], ["masked_lm"]]);
    assert_eq!(names[3..6], [two("word_distance"), two("word_distance"), two("word_distance")]);
    assert_eq!(names[6..], [two("sentence_distance"), two("label_smoothing"), two("synonym_target")]);
}

#[test]
fn hard_correction_shields_where_the_judge_says_so_and_nowhere_else() {
    let problem = Problem::random(4, 3.0);
    let (out, [logits, ..]) = problem.run(&Correction::Hard { normalise: Normalise::All });
    assert_eq!(to_bool(&out.verdict), problem.verdict);
    let gradient = to_f32(&logits.grad(&out.parts.total().backward()).unwrap());
    let (base, [logits, ..]) = problem.run(&Correction::None);
    let baseline = to_f32(&logits.grad(&base.parts.total().backward()).unwrap());
    for (k, (row, full)) in gradient.chunks(problem.v).zip(baseline.chunks(problem.v)).enumerate() {
        if problem.verdict[k] || problem.weight[k] == 0.0 {
            assert!(row.iter().all(|&g| g == 0.0), "row {k} must teach nothing: {row:?}");
        } else {
            // Divided by all rows: the others teach what they teach in the baseline.
            assert_eq!(row, full, "row {k}");
        }
    }
    let stats = out.counts.read();
    assert_eq!((stats.rows, stats.wrong, stats.false_negative, stats.shielded), (5.0, 4.0, 2.0, 2.0));
    assert_eq!(base.counts.read().shielded, 0.0);
}

#[test]
fn a_batch_with_every_row_shielded_has_loss_zero_and_finite_gradients() {
    for normalise in [Normalise::All, Normalise::Kept] {
        let mut problem = Problem::random(5, 3.0);
        problem.verdict = vec![true, true, true, true, true, false];
        let (out, [logits, ..]) = problem.run(&Correction::Hard { normalise });
        let total = out.parts.total();
        assert_eq!(total.clone().into_scalar::<f32>(), 0.0, "{normalise:?}");
        let gradient = logits.grad(&total.backward()).unwrap();
        assert!(to_f32(&gradient).iter().all(|&g| g == 0.0), "{normalise:?}");
    }
}

#[test]
fn a_batch_without_a_real_row_has_loss_zero_and_finite_gradients() {
    let _guard = seeded(1);
    let mut all = corrections();
    all.push(Correction::RandomShield {});
    for correction in all {
        if matches!(correction, Correction::Soft { level: Level::Sentence, .. }) {
            continue; // its sentences are not rows
        }
        let mut problem = Problem::random(6, 3.0);
        problem.weight = vec![0.0; 6];
        problem.verdict = vec![false; 6];
        let (out, leaves) = problem.run(&correction);
        let total = out.parts.total();
        assert_eq!(total.clone().into_scalar::<f32>(), 0.0, "{correction:?}");
        let gradients = total.backward();
        for leaf in leaves {
            if let Some(gradient) = leaf.grad(&gradients) {
                assert!(to_f32(&gradient).iter().all(|&g| g == 0.0), "{correction:?}");
            }
        }
    }
}

#[test]
fn padding_rows_change_nothing_whatever_they_hold() {
    for correction in corrections() {
        let mut problem = Problem::random(7, 3.0);
        let before = problem.run(&correction).0.parts.total().into_scalar::<f32>();
        let start = 5 * problem.v;
        problem.logits[start..].fill(77.0);
        problem.gold[5] = 8;
        problem.predicted[5] = 2;
        assert_eq!(problem.run(&correction).0.parts.total().into_scalar::<f32>(), before, "{correction:?}");
    }
}

#[test]
fn hard_ids_reach_the_embedding_only_and_expected_ones_the_logits_too() {
    let problem = Problem::random(8, 3.0);
    let distance_gradient = |prediction| {
        let (out, [logits, embedding, _]) =
            problem.run(&Correction::Soft { level: Level::Word, prediction, lambda: 1.0 });
        let gradients = out.parts.get("word_distance").unwrap().clone().backward();
        let sum = |g: Option<burn::tensor::Tensor<2>>| {
            g.map_or(0.0, |g| to_f32(&g).iter().map(|x| x.abs()).sum::<f32>())
        };
        (sum(logits.grad(&gradients)), sum(embedding.grad(&gradients)))
    };
    for prediction in [Prediction::Argmax, Prediction::Sample] {
        let (logits, embedding) = distance_gradient(prediction);
        assert!(logits == 0.0 && embedding > 0.01, "{prediction:?}: {logits} {embedding}");
    }
    let (logits, embedding) = distance_gradient(Prediction::Expected);
    assert!(logits > 0.01 && embedding > 0.01, "{logits} {embedding}");
}

#[test]
fn no_gradient_passes_through_the_original_sentence() {
    use fn_core::loss::SentenceDistance;
    let original = matrix(&[1.0, 2.0, 3.0, 4.0], 2).require_grad();
    let predicted = matrix(&[2.0, 2.0, -3.0, 4.0], 2).require_grad();
    let mean = SentenceDistance { predicted: predicted.clone(), original: original.clone() }.mean();
    let gradients = mean.backward();
    assert!(original.grad(&gradients).is_none());
    assert!(predicted.grad(&gradients).is_some());
}

#[test]
fn a_vector_of_zeros_has_distance_one_and_a_finite_gradient() {
    let zero = matrix(&[0.0, 0.0], 2).require_grad();
    let distance = cosine_distance(zero.clone(), matrix(&[1.0, 2.0], 2));
    assert_eq!(to_f32(&distance), [1.0]);
    let gradient = zero.grad(&distance.sum().backward()).unwrap();
    assert!(to_f32(&gradient).iter().all(|g| g.is_finite()));
}

#[test]
fn random_shielding_takes_as_many_wrong_rows_as_the_judge() {
    let _guard = seeded(3);
    let problem = Problem::random(9, 3.0);
    let mut taken = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let (out, [logits, ..]) = problem.run(&Correction::RandomShield {});
        assert_eq!(to_bool(&out.verdict), problem.verdict, "the verdict stays the judge's");
        assert_eq!(out.counts.clone().read().shielded, 2.0);
        let gradient = to_f32(&logits.grad(&out.parts.total().backward()).unwrap());
        let shielded = |k: &usize| gradient[k * problem.v..(k + 1) * problem.v].iter().all(|&g| g == 0.0);
        let shielded: Vec<usize> = (0..5).filter(shielded).collect();
        assert_eq!(shielded.len(), 2);
        assert!(!shielded.contains(&0), "row 0 is right and must be kept");
        taken.insert(shielded);
    }
    assert_eq!(taken.len(), 6, "all pairs out of four wrong rows: {taken:?}");
}

#[test]
fn a_word_without_synonyms_keeps_its_hard_target() {
    let mut problem = Problem::random(10, 3.0);
    problem.sets.clear();
    let (soft, _) = problem.run(&Correction::SynonymTarget { epsilon: 0.5 });
    assert_eq!(soft.parts.get("synonym_target").unwrap().clone().into_scalar::<f32>(), 0.0);
}

#[test]
#[should_panic(expected = "need a lexicon")]
fn synonym_targets_without_a_lexicon_are_a_programming_error() {
    let rows = Rows { gold: ids(&[0]), predicted: ids(&[0]), weight: floats(&[1.0]) };
    let correction = Correction::SynonymTarget { epsilon: 0.1 };
    let masked =
        MaskedLm { correction: &correction, judge: &Fixed(vec![false]), lexicon: None, hard_negatives: 0.0 };
    masked.loss(matrix(&[0.0, 1.0], 2), rows, matrix(&[0.0, 1.0], 1), None);
}

/// One row each: gold, predicted, weight, and whether Hard Correction with `V(7) = {9, 12}`, `V(0) = {3}` lets it teach.
const CASES: &[(&str, u32, u32, f32, bool)] = &[
    ("a right prediction teaches", 7, 7, 1.0, true),
    ("a synonym teaches nothing", 7, 9, 1.0, false),
    ("the other synonym teaches nothing", 7, 12, 1.0, false),
    ("another word is an error", 7, 8, 1.0, true),
    ("membership has a direction", 9, 7, 1.0, true),
    ("a word without a set has no false negatives", 5, 9, 1.0, true),
    ("padding of the table does not match id 0", 7, 0, 1.0, true),
    ("id 0 has synonyms like any other", 0, 3, 1.0, false),
    ("a padding row teaches nothing", 7, 8, 0.0, false),
];

#[test]
fn hard_correction_cases() {
    let lexicon = Lexicon::from_rows(13, [(7, vec![9, 12]), (0, vec![3])], LexiconInfo::default()).unwrap();
    let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &crate::tensors::device()));
    let correction = Correction::Hard { normalise: Normalise::All };
    for &(name, gold, predicted, weight, teaches) in CASES {
        let rows = Rows { gold: ids(&[gold]), predicted: ids(&[predicted]), weight: floats(&[weight]) };
        let logits = matrix(&[0.0; 13], 13).require_grad();
        let masked = MaskedLm { correction: &correction, judge: &judge, lexicon: None, hard_negatives: 0.0 };
        let out = masked.loss(logits.clone(), rows, matrix(&[0.0; 13], 1), None);
        let gradient = to_f32(&logits.grad(&out.parts.total().backward()).unwrap());
        assert_eq!(gradient.iter().any(|&g| g != 0.0), teaches, "{name}");
    }
}

#[test]
fn label_smoothing_keeps_its_decimals_over_many_large_logits() {
    let v = 5_000;
    let logits: Vec<f64> = (0..v).map(|i| f64::from(1e4f32 + (i * 37 % 101) as f32 * 0.05)).collect();
    let problem = Problem {
        v,
        h: 1,
        logits,
        embedding: vec![1.0; v],
        gold: vec![17],
        predicted: vec![0],
        weight: vec![1.0],
        verdict: vec![false],
        sets: vec![],
        sentences: [vec![1.0], vec![1.0]],
    };
    let (out, _) = problem.run(&Correction::LabelSmoothing { epsilon: 0.5 });
    let excess = out.parts.get("label_smoothing").unwrap().clone().into_scalar::<f32>();
    let expected =
        problem.total(&Correction::LabelSmoothing { epsilon: 0.5 }) - problem.total(&Correction::None);
    assert!((f64::from(excess) - expected).abs() < 1e-5, "{excess}, expected {expected}");
}
