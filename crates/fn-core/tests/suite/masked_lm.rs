//! The masked-language-model loss and its corrections against the f64 reference.

use burn::tensor::Tensor;
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::Level;
use fn_core::correct::{
    Corrected, Correction, CorrectionKind, HardConfig, LabelSmoothingConfig, Masked, Normalise, Resources,
    Rows, SoftConfig, SynonymTargetConfig, TargetShift, VerifierTargetConfig,
};
use fn_core::judge::{DeviceLexicon, LexiconJudge, THRESHOLD, TeacherKind, Verdict};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::MaskedLmOutput;
use fn_core::loss::{MaskedLm, cosine_distance};
use fn_core::sample::Prediction;
use fn_ops::Documents;

use crate::reference::{Fixed, Problem, batch_of, corrections, distance, log_sum_exp, predicted, surprise};
use crate::tensors::{ids, matrix, seeded, to_f32};

fn close(found: f32, expected: f64, what: &str) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= 1e-6 * (1.0 + expected.abs()), "{what}: {found}, expected {expected}");
}

fn hard(normalise: Normalise) -> CorrectionKind {
    CorrectionKind::Hard(HardConfig { normalise })
}

/// A term of the loss by its name.
fn term(out: &MaskedLmOutput, name: &str) -> Tensor<1> {
    out.parts.terms.iter().find(|(n, _)| *n == name).unwrap().1.clone()
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
            grades: vec![0.0],
            sets: vec![],
            sentences: [vec![1.0], vec![1.0]],
            teacher: vec![0.0; 2],
        };
        problem.run(&CorrectionKind::None).0.parts.total().into_scalar::<f32>()
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
    let names = |correction: &CorrectionKind| {
        let (out, _) = problem.run(correction);
        let sum: f32 = out.parts.terms.iter().map(|(_, t)| t.clone().into_scalar::<f32>()).sum();
        assert!((sum - out.parts.total().into_scalar::<f32>()).abs() < 1e-5);
        out.parts.terms.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let names: Vec<_> = corrections().iter().map(names).collect();
    let two = |second| vec!["masked_lm", second];
    assert_eq!(names[..3], [["masked_lm"], ["masked_lm"], ["masked_lm"]]);
    assert_eq!(names[3..6], [two("word_distance"), two("word_distance"), two("word_distance")]);
    assert_eq!(names[6..9], [two("sentence_distance"), two("label_smoothing"), two("synonym_target")]);
    assert_eq!(names[9..11], [["masked_lm"], ["masked_lm"]]);
    assert!(names[11..15].iter().all(|names| *names == two("target_shift")), "{names:?}");
    assert_eq!(names[15..], [two("word_distance"), two("word_distance")]);
}

#[test]
fn hard_correction_shields_where_the_judge_says_so_and_nowhere_else() {
    let problem = Problem::random(4, 3.0);
    let (out, [logits, ..]) = problem.run(&hard(Normalise::All));
    let gradient = to_f32(&logits.grad(&out.parts.total().backward()).unwrap());
    let (base, [logits, ..]) = problem.run(&CorrectionKind::None);
    let baseline = to_f32(&logits.grad(&base.parts.total().backward()).unwrap());
    for (k, (row, full)) in gradient.chunks(problem.v).zip(baseline.chunks(problem.v)).enumerate() {
        if problem.fits(k) || problem.weight[k] == 0.0 {
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
        problem.grades = vec![1.0; 6];
        problem.predicted[0] = 8;
        let (out, [logits, ..]) = problem.run(&hard(normalise));
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
    all.push(CorrectionKind::RandomShield);
    for correction in all {
        if matches!(correction, CorrectionKind::Soft(SoftConfig { level: Level::Sentence, .. })) {
            continue; // its sentences are not rows
        }
        let mut problem = Problem::random(6, 3.0);
        problem.weight = vec![0.0; 6];
        problem.grades = vec![0.0; 6];
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
            problem.run(&CorrectionKind::Soft(SoftConfig { prediction, ..SoftConfig::default() }));
        let gradients = term(&out, "word_distance").backward();
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
    // The mean of the word vectors stands for the sentence: row 5 is in the original sentence alone.
    let config =
        SoftConfig { level: Level::Sentence, prediction: Prediction::Sample, ..SoftConfig::default() };
    let correction = config.init().unwrap();
    let embedding =
        matrix(&(0..14).map(|i| f64::from(i * i % 5) - 1.5).collect::<Vec<_>>(), 2).require_grad();
    let batch = batch_of(&[5, 3], &[1.0, 0.0]);
    let predictions = predicted(&batch, &[6, 3]);
    let verdict = Verdict::of(&Fixed(vec![false, false]), &predictions, THRESHOLD);
    let logits = matrix(&[0.0; 14], 7);
    let out = MaskedLm::new(correction).forward(&logits, &predictions, &verdict, &embedding);
    let gradient = embedding.grad(&term(&out, "sentence_distance").backward()).unwrap();
    let size = |word: usize| to_f32(&gradient)[2 * word..2 * word + 2].iter().map(|g| g.abs()).sum::<f32>();
    assert_eq!(size(5), 0.0);
    assert!(size(6) > 1e-3 && size(3) > 1e-3, "{gradient}");
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
        let (out, [logits, ..]) = problem.run(&CorrectionKind::RandomShield);
        let counts = out.counts.clone().read();
        assert_eq!((counts.false_negative, counts.shielded), (2.0, 2.0), "the verdict stays the judge's");
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
    let (soft, _) = problem.run(&CorrectionKind::SynonymTarget(SynonymTargetConfig { epsilon: 0.5 }));
    assert_eq!(term(&soft, "synonym_target").into_scalar::<f32>(), 0.0);
}

#[test]
fn synonym_targets_without_a_lexicon_are_an_error_when_they_are_made() {
    let config = SynonymTargetConfig { epsilon: 0.1 };
    let error = config.init(&Resources::default()).unwrap_err().to_string();
    assert!(error.contains("`synonym-target` needs a lexicon") && error.contains("lexicon.path"), "{error}");
}

#[test]
fn a_sentence_is_filled_where_the_judge_says_so_and_keeps_its_words_elsewhere() {
    // The mean of the word vectors stands for the sentence. Position 0 is a false negative, 1 an error, 2 right.
    let embedding = matrix(&(0..14).map(|i| f64::from(i * i % 5) - 1.5).collect::<Vec<_>>(), 2);
    let logits = matrix(&(0..21).map(|i| f64::from(i * 5 % 7)).collect::<Vec<_>>(), 7);
    let batch = batch_of(&[5, 3, 1], &[1.0; 3]);
    let distance = |rows, prediction, r: &[u32]| {
        let config = SoftConfig { level: Level::Sentence, prediction, rows, ..SoftConfig::default() };
        let mut predictions = Predictions::sampled(&batch, &logits, ids(r));
        predictions.chosen = prediction;
        let verdict = Verdict::of(&Fixed(vec![true, false, false]), &predictions, THRESHOLD);
        let loss = MaskedLm::new(config.init().unwrap());
        let out = loss.forward(&logits, &predictions, &verdict, &embedding);
        term(&out, "sentence_distance").into_scalar::<f32>()
    };
    let (judged, wrong, all) = (Rows::Judged, Rows::Wrong, Rows::All);
    let r = [6, 4, 1];
    assert_eq!(distance(judged, Prediction::Argmax, &r), distance(all, Prediction::Argmax, &[6, 3, 1]));
    assert_eq!(distance(wrong, Prediction::Argmax, &r), distance(all, Prediction::Argmax, &r));
    let expected = [judged, wrong, all].map(|rows| distance(rows, Prediction::Expected, &r));
    assert!(expected[0] != expected[1] && expected[1] != expected[2], "{expected:?}");
}

#[test]
fn documents_of_a_packed_row_are_sentences_of_their_own() {
    // The mean of the word vectors stands for the sentence. Two rows of four tokens with two documents each; the last token is padding.
    const H: usize = 3;
    let table: Vec<f64> = (0..21).map(|i| f64::from(i * i % 11) / 4.0 - 1.25).collect();
    let (original, filled) = ([5, 3, 1, 6, 2, 4, 5, 0], [6, 3, 1, 2, 2, 1, 5, 0]);
    let documents = [0..2, 2..4, 4..5, 5..7];
    let mean = |table: &[f64], ids: &[u32]| -> Vec<f64> {
        let of = |h: usize| ids.iter().map(|&id| table[id as usize * H + h]).sum::<f64>() / ids.len() as f64;
        (0..H).map(of).collect()
    };
    // No gradient passes through the original sentence: it keeps its table.
    let reference = |changed: &[f64]| -> f64 {
        let each = documents
            .iter()
            .map(|at| distance(&mean(changed, &filled[at.clone()]), &mean(&table, &original[at.clone()])));
        each.sum::<f64>() / 4.0
    };
    let batch = Batch {
        attention: matrix(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0], 4),
        padded: true,
        documents: Some(Documents::new(vec![vec![0, 2], vec![0, 1]], 4)),
        ..Batch::new(ids(&original).reshape([2, 4]), ids(&[0, 3, 5]))
    };
    let config =
        SoftConfig { level: Level::Sentence, prediction: Prediction::Sample, ..SoftConfig::default() };
    let embedding = matrix(&table, H).require_grad();
    let predictions = predicted(&batch, &[6, 2, 1]);
    let verdict = Verdict::of(&Fixed(vec![false; 3]), &predictions, THRESHOLD);
    let logits = matrix(&[0.0; 21], 7);
    let loss = MaskedLm::new(config.init().unwrap());
    let found = term(&loss.forward(&logits, &predictions, &verdict, &embedding), "sentence_distance");
    close(found.clone().into_scalar::<f32>(), reference(&table), "distance");
    let gradient = to_f32(&embedding.grad(&found.backward()).unwrap());
    for (at, gradient) in gradient.into_iter().enumerate() {
        let moved = |by: f64| {
            let mut table = table.clone();
            table[at] += by;
            reference(&table)
        };
        let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((f64::from(gradient) - expected).abs() < 2e-6, "[{at}]: {gradient}, expected {expected}");
    }
}

#[test]
fn the_trained_model_teaches_as_another_one_with_its_logits_would() {
    let mut problem = Problem::random(12, 3.0);
    problem.teacher = problem.logits.clone();
    let run = |teacher| {
        let config =
            VerifierTargetConfig { mass: 0.75, top_k: 3, entropy_scaled: true, rows: Rows::Judged, teacher };
        let correction = CorrectionKind::VerifierTarget(config);
        let (out, [logits, ..]) = problem.run(&correction);
        let total = out.parts.total();
        close(total.clone().into_scalar::<f32>(), problem.total(&correction), "loss");
        to_f32(&logits.grad(&total.backward()).unwrap())
    };
    // No gradient passes through the target, whoever gives it: that of the other model is checked against differences.
    assert_eq!(run(TeacherKind::Generator), run(TeacherKind::Verifier));
}

/// Moves a share of the target to the prediction.
struct Share(f32);

impl Correction for Share {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let words = masked.predictions.ids.clone().unsqueeze_dim::<2>(1);
        let mass = masked.verdict.grade.clone().unsqueeze_dim(1) * self.0;
        Corrected { targets: Some(TargetShift { words, mass }), ..Corrected::unchanged(masked.predictions) }
    }
}

#[test]
fn mass_of_the_target_that_moves_to_another_word_is_the_cross_entropy_with_it() {
    let problem = Problem::random(11, 3.0);
    let weight: Vec<f32> = problem.weight.iter().map(|&w| w as f32).collect();
    let batch = batch_of(&problem.gold, &weight);
    let logits = matrix(&problem.logits, problem.v).require_grad();
    let predictions = Predictions::sampled(&batch, &logits, ids(&problem.predicted));
    let verdict = Verdict::of(&Fixed((0..6).map(|k| problem.fits(k)).collect()), &predictions, THRESHOLD);
    let embedding = matrix(&problem.embedding, problem.h);
    let out = MaskedLm::new(Share(0.3)).forward(&logits, &predictions, &verdict, &embedding);
    let row = |k: usize| {
        let (w, r) = (problem.gold[k] as usize, problem.predicted[k] as usize);
        let mass = if problem.fits(k) { f64::from(0.3f32) } else { 0.0 };
        problem.weight[k] * ((1.0 - mass) * surprise(problem.row(k), w) + mass * surprise(problem.row(k), r))
    };
    let expected = (0..6).map(row).sum::<f64>() / 5.0;
    close(out.parts.total().into_scalar(), expected, "a third of the mass moves");
    // The gradient of row 1 is softmax less the target.
    let gradient = to_f32(&logits.grad(&out.parts.total().backward()).unwrap());
    for v in 0..problem.v {
        let target = [(problem.gold[1], 0.7), (problem.predicted[1], 0.3)];
        let q = target.iter().find(|(word, _)| *word as usize == v).map_or(0.0, |(_, q)| *q);
        let expected = ((-surprise(problem.row(1), v)).exp() - q) / 5.0;
        close(gradient[problem.v + v], expected, "gradient");
    }
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
    let hard = MaskedLm::new(HardConfig::default().init());
    for &(name, gold, r, weight, teaches) in CASES {
        let batch = batch_of(&[gold], &[weight]);
        let predictions = predicted(&batch, &[r]);
        let verdict = Verdict::of(&judge, &predictions, THRESHOLD);
        let logits = matrix(&[0.0; 13], 13).require_grad();
        let out = hard.forward(&logits, &predictions, &verdict, &matrix(&[0.0; 13], 1));
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
        grades: vec![0.0],
        sets: vec![],
        sentences: [vec![1.0], vec![1.0]],
        teacher: vec![0.0; v],
    };
    let (out, _) = problem.run(&CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon: 0.5 }));
    let excess = term(&out, "label_smoothing").into_scalar::<f32>();
    let expected = problem.total(&CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon: 0.5 }))
        - problem.total(&CorrectionKind::None);
    assert!((f64::from(excess) - expected).abs() < 1e-5, "{excess}, expected {expected}");
}
