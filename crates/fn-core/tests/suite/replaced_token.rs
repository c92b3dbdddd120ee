//! The discriminator's loss against the f64 reference.

use std::rc::Rc;

use burn::tensor::Tensor;
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::Resources;
use fn_core::correct::detection::{BandedConfig, DetectionKind, RaoBlackwellConfig, SoftDetectionConfig};
use fn_core::judge::{Teacher, TeacherKind, Verdict};
use fn_core::loss::{ReplacedTokenConfig, ReplacedTokenOutput, scatter_bool, scatter_floats, scatter_ids};
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;

use crate::reference::{Oracle, bce, distance, surprise};
use crate::tensors::{device, floats, ids, matrix, seeded, to_bool, to_f32, to_ids};

const L: usize = 4;
const H: usize = 3;

/// Two rows of four tokens; the last one is padding.
#[derive(Clone)]
pub struct Detection {
    pub logits: Vec<f64>,
    pub embedding: Vec<f64>,
    pub original: Vec<u32>,
    pub corrupted: Vec<u32>,
    pub attention: Vec<f64>,
    /// What the judge says of each token; a half and more is a false negative.
    pub grades: Vec<f64>,
    /// The generator's logits at each token, `[8 * 10]`.
    pub generator: Vec<f64>,
    /// Another masked LM's, `[8 * 10]`.
    pub verifier: Vec<f64>,
}

impl Detection {
    pub fn random(seed: u64, scale: f64) -> Self {
        let mut stream = Stream::new(seed, 1, 0, Use::Test);
        let mut draw = |n: usize, scale: f64| -> Vec<f64> {
            (0..n).map(|_| f64::from(((stream.unit() * 2.0 - 1.0) * scale) as f32)).collect()
        };
        Self {
            logits: draw(8, scale),
            embedding: draw(10 * H, 1.0),
            original: vec![1, 2, 3, 4, 5, 6, 7, 0],
            corrupted: vec![1, 9, 3, 8, 5, 3, 7, 2],
            attention: vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
            // Token 4 was not replaced and token 7 is padding: both must be ignored.
            generator: draw(80, 3.0),
            verifier: draw(80, 3.0),
            grades: vec![0.0, 0.75, 0.0, 0.25, 1.0, 0.5, 0.0, 0.875],
        }
    }

    fn replaced(&self, t: usize) -> bool {
        self.attention[t] > 0.0 && self.original[t] != self.corrupted[t]
    }

    fn fits(&self, t: usize) -> bool {
        self.replaced(t) && self.grades[t] >= 0.5
    }

    /// Every token is a masked position.
    fn batch(&self) -> Batch {
        let original = ids(&self.original).reshape([2, L]);
        let batch = Batch::new(original, ids(&(0..8).collect::<Vec<_>>()));
        Batch { attention: matrix(&self.attention, L), padded: true, ..batch }
    }

    pub fn total(&self, correction: &DetectionKind, weight: f64) -> f64 {
        let tokens: f64 = self.attention.iter().sum();
        let token = |t: usize| {
            let mut label = f64::from(u8::from(self.replaced(t)));
            let mut share = self.attention[t];
            match correction {
                DetectionKind::Drop if self.fits(t) => share = 0.0,
                DetectionKind::Relabel if self.fits(t) => label = 0.0,
                DetectionKind::Weight if self.replaced(t) => share *= 1.0 - self.grades[t],
                DetectionKind::SoftLabel if self.replaced(t) => label -= self.grades[t],
                DetectionKind::Banded(BandedConfig { relabel }) if self.fits(t) => {
                    match self.grades[t] >= *relabel {
                        true => label = 0.0,
                        false => share = 0.0,
                    }
                }
                DetectionKind::RaoBlackwell(RaoBlackwellConfig { alpha, teacher, .. }) => {
                    let logits = match teacher {
                        TeacherKind::Generator => &self.generator,
                        TeacherKind::Verifier => &self.verifier,
                    };
                    let p = (-surprise(&logits[t * 10..(t + 1) * 10], self.corrupted[t] as usize)).exp();
                    label = (1.0 - alpha) * label + alpha * (1.0 - p);
                }
                _ => {}
            }
            share * bce(self.logits[t], label)
        };
        let main = if tokens > 0.0 { weight * (0..8).map(token).sum::<f64>() / tokens } else { 0.0 };
        let DetectionKind::Soft(SoftDetectionConfig { lambda }) = correction else {
            return main;
        };
        let replaced: Vec<usize> = (0..8).filter(|&t| self.replaced(t)).collect();
        let vector = |id: u32| &self.embedding[id as usize * H..(id as usize + 1) * H];
        let sum: f64 =
            replaced.iter().map(|&t| distance(vector(self.corrupted[t]), vector(self.original[t]))).sum();
        main + lambda * sum / replaced.len().max(1) as f64
    }

    pub fn run(&self, correction: &DetectionKind, weight: f64) -> (ReplacedTokenOutput, [Tensor<2>; 2]) {
        let logits = matrix(&self.logits, L).require_grad();
        let embedding = matrix(&self.embedding, H).require_grad();
        let verdict = verdict(&self.grades.iter().map(|&grade| grade as f32).collect::<Vec<_>>());
        let config = ReplacedTokenConfig { correction: correction.clone(), weight, hard_negatives: 0.0 };
        let generator = matrix(&self.generator, 10);
        let verifier: Rc<dyn Teacher> = Rc::new(Oracle(matrix(&self.verifier, 10)));
        let resources = Resources { verifier: Some(verifier), ..Resources::default() };
        let loss = config.init(&resources).unwrap();
        let corrupted = ids(&self.corrupted).reshape([2, L]);
        let batch = self.batch();
        let replacements = Predictions::sampled(&batch, &generator, ids(&self.corrupted));
        let out = loss.forward(&logits, &replacements, &corrupted, &verdict, &embedding);
        (out, [logits, embedding])
    }
}

/// What a judge says of each position: these grades, with a threshold of one half.
pub fn verdict(grades: &[f32]) -> Verdict {
    let grade = floats(grades).inner();
    Verdict { false_negative: grade.clone().greater_equal_scalar(0.5), grade }
}

/// Every correction.
pub fn all() -> [DetectionKind; 9] {
    let rao_blackwell =
        |alpha, teacher| DetectionKind::RaoBlackwell(RaoBlackwellConfig { alpha, teacher, shuffled: false });
    [
        DetectionKind::None,
        DetectionKind::Drop,
        DetectionKind::Relabel,
        DetectionKind::Soft(SoftDetectionConfig { lambda: 2.0 }),
        DetectionKind::Weight,
        DetectionKind::SoftLabel,
        DetectionKind::Banded(BandedConfig { relabel: 0.625 }),
        rao_blackwell(1.0, TeacherKind::Generator),
        rao_blackwell(0.25, TeacherKind::Verifier),
    ]
}

#[test]
fn every_correction_agrees_with_the_reference_for_ordinary_and_extreme_logits() {
    for correction in all() {
        for scale in [3.0, 17.0, 40.0, 104.0, 1e4] {
            let mut problem = Detection::random(1, scale);
            if scale > 3.0 {
                problem.logits = [scale, -scale, -scale, scale, 0.0, 90.0, -90.0, scale].to_vec();
            }
            let (out, leaves) = problem.run(&correction, 50.0);
            let total = out.parts.total();
            let (found, expected) =
                (f64::from(total.clone().into_scalar::<f32>()), problem.total(&correction, 50.0));
            assert!(
                (found - expected).abs() < 1e-6 * (1.0 + expected),
                "{correction:?}: {found}, {expected}"
            );
            let gradients = total.backward();
            for gradient in leaves.iter().filter_map(|leaf| leaf.grad(&gradients)) {
                assert!(to_f32(&gradient).iter().all(|g| g.is_finite()), "{correction:?} {scale}");
            }
        }
    }
}

#[test]
fn the_three_logits_that_break_a_naive_loss() {
    // sigmoid, then log: NaN, NaN and infinity in f32.
    for (logit, label, expected) in [(17.0, 1.0, 4.14e-8), (-104.0, 0.0, 0.0), (-90.0, 1.0, 90.0)] {
        let mut problem = Detection::random(1, 1.0);
        problem.attention = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        problem.logits[0] = logit;
        problem.corrupted[0] = if label > 0.0 { 9 } else { problem.original[0] };
        let found = problem.run(&DetectionKind::None, 1.0).0.parts.total().into_scalar::<f32>();
        assert!((found - expected).abs() < 1e-8, "{logit}: {found}, expected {expected}");
    }
}

#[test]
fn drop_and_relabel_change_the_false_negatives_and_nothing_else() {
    let problem = Detection::random(2, 1.0);
    let [none, drop, relabel, ..] = all().map(|c| problem.run(&c, 50.0).0);
    assert_eq!(to_f32(&none.labels), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(to_f32(&none.weights), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(to_f32(&drop.labels), to_f32(&none.labels));
    assert_eq!(to_f32(&drop.weights), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(to_f32(&relabel.labels), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(to_f32(&relabel.weights), to_f32(&none.weights));
    let counts = |out: ReplacedTokenOutput| {
        let s = out.counts.read();
        [s.rows, s.wrong, s.false_negative, s.shielded]
    };
    assert_eq!(counts(none), [7.0, 3.0, 2.0, 0.0]);
    assert_eq!(counts(drop), [7.0, 3.0, 2.0, 2.0]);
    assert_eq!(counts(relabel), [7.0, 3.0, 2.0, 2.0]);
}

#[test]
fn grades_weigh_replacements_or_soften_their_labels() {
    let problem = Detection::random(2, 1.0);
    let [_, _, _, _, weight, soft_label, ..] = all().map(|c| problem.run(&c, 50.0).0);
    assert_eq!(to_f32(&weight.labels), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(to_f32(&weight.weights), [1.0, 0.25, 1.0, 0.75, 1.0, 0.5, 1.0, 0.0]);
    assert_eq!(to_f32(&soft_label.labels), [0.0, 0.25, 0.0, 0.75, 0.0, 0.5, 0.0, 0.0]);
    assert_eq!(to_f32(&soft_label.weights), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    // Three replaced tokens, all of them with a grade.
    assert_eq!(weight.counts.read().shielded, 3.0);
}

#[test]
fn labels_in_expectation_change_where_the_replacement_is_the_original_too_and_nowhere_else() {
    let mut problem = Detection::random(2, 1.0);
    problem.generator = vec![0.0; 80]; // every word has probability a tenth
    let config = RaoBlackwellConfig::default();
    let label = |config| to_f32(&problem.run(&DetectionKind::RaoBlackwell(config), 1.0).0.labels);
    for (t, label) in label(config).into_iter().enumerate().take(7) {
        assert!((label - 0.9).abs() < 1e-6, "{t}: {label}");
    }
    for (t, label) in label(RaoBlackwellConfig { alpha: 0.5, ..config }).into_iter().enumerate().take(7) {
        let expected = if problem.replaced(t) { 0.95 } else { 0.45 };
        assert!((label - expected).abs() < 1e-6, "{t}: {label}");
    }
    // Positions 0 and 1 alone are masked.
    let batch = Batch {
        weight: floats(&[1.0, 1.0, 0.0]),
        ..Batch::new(ids(&[1, 2, 3]).reshape([1, 3]), ids(&[0, 1, 0]))
    };
    let replacements = Predictions::sampled(&batch, &Tensor::zeros([3, 4], &device()), ids(&[0, 2, 3]));
    let config =
        ReplacedTokenConfig { correction: DetectionKind::RaoBlackwell(config), ..Default::default() };
    let loss = config.init(&Resources::default()).unwrap();
    let corrupted = batch.filled(replacements.ids.clone());
    let scores = Tensor::<2>::zeros([1, 3], &device());
    let out = loss.forward(&scores, &replacements, &corrupted, &verdict(&[0.0; 3]), &matrix(&[0.0; 4], 1));
    assert_eq!(to_f32(&out.labels), [0.75, 0.75, 0.0]);
}

#[test]
fn expected_labels_need_a_verifier_where_they_name_one_and_shuffle_for_the_control() {
    let verifier = RaoBlackwellConfig { teacher: TeacherKind::Verifier, ..RaoBlackwellConfig::default() };
    let error = verifier.init(&Resources::default()).err().unwrap().to_string();
    assert!(error.contains("`rao-blackwell` needs a verifier to learn from"), "{error}");
    let problem = Detection::random(3, 1.0);
    let labels = |shuffled| {
        let _guard = seeded(5);
        let config = RaoBlackwellConfig { shuffled, ..RaoBlackwellConfig::default() };
        let mut labels = to_f32(&problem.run(&DetectionKind::RaoBlackwell(config), 1.0).0.labels);
        // The padding token has a label too, less what it counts as replaced.
        labels[7] += 1.0;
        labels
    };
    let (plain, shuffled) = (labels(false), labels(true));
    assert_ne!(plain, shuffled);
    assert_eq!(labels(true), shuffled);
    let sorted = |mut labels: Vec<f32>| {
        labels.sort_by(f32::total_cmp);
        labels
    };
    for (a, b) in sorted(plain).into_iter().zip(sorted(shuffled)) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn dropping_leaves_the_weight_of_the_other_tokens_as_it_was() {
    let problem = Detection::random(2, 1.0);
    let gradient = |correction| {
        let (out, [logits, _]) = problem.run(&correction, 50.0);
        to_f32(&logits.grad(&out.parts.total().backward()).unwrap())
    };
    let (none, drop) = (gradient(DetectionKind::None), gradient(DetectionKind::Drop));
    for t in 0..8 {
        assert_eq!(drop[t], if problem.fits(t) { 0.0 } else { none[t] }, "token {t}");
    }
}

#[test]
fn a_batch_of_padding_has_loss_zero_and_finite_gradients() {
    for correction in all() {
        let mut problem = Detection::random(2, 1.0);
        problem.attention = vec![0.0; 8];
        let (out, leaves) = problem.run(&correction, 50.0);
        let total = out.parts.total();
        assert_eq!(total.clone().into_scalar::<f32>(), 0.0);
        let gradients = total.backward();
        for gradient in leaves.iter().filter_map(|leaf| leaf.grad(&gradients)) {
            assert!(to_f32(&gradient).iter().all(|&g| g == 0.0), "{correction:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn scattering_equals_a_loop(
        places in prop::collection::btree_set(0u32..12, 0..10), padding in 1usize..6, seed: u64,
    ) {
        let mut stream = Stream::new(seed, 0, 0, Use::Test);
        let base: Vec<u32> = (0..12).map(|_| stream.below(100) as u32).collect();
        let mut index: Vec<u32> = places.iter().copied().collect();
        let mut weight = vec![1.0; index.len()];
        // Padding rows point at flat place 0, which may be a real row's as well.
        index.extend(std::iter::repeat_n(0, padding));
        weight.extend(std::iter::repeat_n(0.0, padding));
        let values: Vec<u32> = index.iter().map(|_| stream.below(100) as u32).collect();
        let verdict: Vec<bool> = weight.iter().map(|&w| w > 0.0 && stream.below(2) == 1).collect();

        let mut filled = base.clone();
        let mut flags = vec![false; 12];
        for (k, &place) in index.iter().enumerate() {
            if weight[k] > 0.0 {
                filled[place as usize] = values[k];
                flags[place as usize] |= verdict[k];
            }
        }
        let found = scatter_ids(ids(&base).reshape([3, 4]), ids(&index), &floats(&weight), ids(&values));
        prop_assert_eq!(to_ids(&found), filled);
        let grades: Vec<f32> = verdict.iter().map(|&yes| if yes { 0.75 } else { 0.0 }).collect();
        let expected: Vec<f32> = flags.iter().map(|&yes| if yes { 0.75 } else { 0.0 }).collect();
        prop_assert_eq!(to_f32(&scatter_floats([3, 4], ids(&index), floats(&grades))), expected);
        let verdict = Tensor::from_bool(verdict.as_slice(), &device());
        prop_assert_eq!(to_bool(&scatter_bool([3, 4], ids(&index), verdict)), flags);
    }
}
