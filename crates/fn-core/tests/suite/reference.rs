//! The formulas once more, in f64 and in the plainest way, as the yardstick of the golden tests.

use std::cell::Cell;
use std::rc::Rc;

use burn::tensor::Tensor;
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::{
    CorrectionKind, HardConfig, LabelSmoothingConfig, Level, Normalise, PredictionTargetConfig, Resources,
    Rows, SoftConfig, SynonymTargetConfig, VerifierTargetConfig, WeightConfig,
};
use fn_core::judge::{DeviceLexicon, Judge, THRESHOLD, Teacher, TeacherKind, Verdict};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::{MaskedLmConfig, MaskedLmOutput};
use fn_core::noise::{Stream, Use};
use fn_core::sample::Prediction;
use fn_core::student::Student;

use crate::tensors::{device, drawing, floats, ids, matrix};

pub fn log_sum_exp(z: &[f64]) -> f64 {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + z.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

/// `-ln p(v)`.
pub fn surprise(z: &[f64], v: usize) -> f64 {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    z.iter().map(|x| (x - max).exp()).sum::<f64>().ln() + (max - z[v])
}

pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    1.0 - dot(a, b) / (dot(a, a).max(1e-12).sqrt() * dot(b, b).max(1e-12).sqrt())
}

pub fn bce(z: f64, t: f64) -> f64 {
    // ln(1 + e^z) - z t, with the larger exponent taken out.
    z.max(0.0) + (-z.abs()).exp().ln_1p() - z * t
}

/// A small masked-language-model loss, all numbers exact in f32.
#[derive(Clone)]
pub struct Problem {
    pub v: usize,
    pub h: usize,
    /// `[P * V]`.
    pub logits: Vec<f64>,
    /// `[V * H]`.
    pub embedding: Vec<f64>,
    pub gold: Vec<u32>,
    pub predicted: Vec<u32>,
    pub weight: Vec<f64>,
    /// What the judge says of each prediction; a half and more is a false negative.
    pub grades: Vec<f64>,
    pub sets: Vec<(u32, Vec<u32>)>,
    /// `[B * H]`.
    pub sentences: [Vec<f64>; 2],
    /// Logits of another masked LM, `[P * V]`.
    pub teacher: Vec<f64>,
}

/// A judge that says what it is told.
pub struct Fixed(pub Vec<bool>);

impl Judge for Fixed {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let grades: Vec<f32> = self.0.iter().map(|&yes| f32::from(u8::from(yes))).collect();
        Tensor::from_floats(grades.as_slice(), &predictions.batch.gold.device().inner())
    }
}

/// A judge that gives these grades.
pub struct Grades(pub Vec<f32>);

impl Judge for Grades {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        Tensor::from_floats(self.0.as_slice(), &predictions.batch.gold.device().inner())
    }
}

/// A teacher with these logits, `[P, V]`.
pub struct Oracle(pub Tensor<2>);

impl Teacher for Oracle {
    fn logits(&self, _predictions: &Predictions<'_>) -> Option<Tensor<2>> {
        Some(self.0.clone().inner())
    }
}

/// A batch of one sequence without padding that is masked at each of its positions; `weight` may call some of them padding.
pub fn batch_of(gold: &[u32], weight: &[f32]) -> Batch {
    let positions: Vec<u32> = (0..gold.len() as u32).collect();
    let original = ids(gold).reshape([1, gold.len()]);
    Batch { weight: floats(weight), ..Batch::new(original, ids(&positions)) }
}

/// Predictions of which nobody needs the logits.
pub fn predicted<'a>(batch: &'a Batch, r: &[u32]) -> Predictions<'a> {
    Predictions::sampled(batch, &Tensor::zeros([r.len(), 1], &device()), ids(r))
}

/// A student whose sentences have these vectors: first those filled with predictions, then the original ones.
struct Sentences {
    embedding: Tensor<2>,
    vectors: [Tensor<2>; 2],
    asked: Cell<usize>,
}

impl Student for Sentences {
    fn embedding(&self) -> Tensor<2> {
        self.embedding.clone()
    }

    fn sentence_vectors(&self, _embeddings: Tensor<3>, _batch: &Batch) -> Tensor<2> {
        let asked = self.asked.replace(self.asked.get() + 1);
        self.vectors[asked].clone()
    }
}

impl Problem {
    /// Rows with different fates: right, wrong, false negative, padding; a gold word without synonyms.
    pub fn random(seed: u64, scale: f64) -> Self {
        let (p, v, h) = (6, 9, 4);
        let mut stream = Stream::new(seed, 0, 0, Use::Test);
        let mut draw = |n: usize, scale: f64| -> Vec<f64> {
            (0..n).map(|_| f64::from(((stream.unit() * 2.0 - 1.0) * scale) as f32)).collect()
        };
        Self {
            v,
            h,
            logits: draw(p * v, scale),
            embedding: draw(v * h, 1.0),
            gold: vec![0, 1, 2, 3, 4, 0],
            predicted: vec![0, 5, 3, 4, 1, 7],
            weight: vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
            grades: vec![0.9, 0.75, 0.25, 0.5, 0.0, 0.875],
            sets: vec![(1, vec![5, 6]), (3, vec![4]), (0, vec![1, 2, 8])],
            sentences: [draw(2 * h, 1.0), draw(2 * h, 1.0)],
            teacher: draw(p * v, 3.0),
        }
    }

    pub fn row(&self, k: usize) -> &[f64] {
        &self.logits[k * self.v..(k + 1) * self.v]
    }

    pub fn wrong(&self, k: usize) -> bool {
        self.weight[k] > 0.0 && self.gold[k] != self.predicted[k]
    }

    /// Grade of a wrong prediction.
    pub fn grade(&self, k: usize) -> f64 {
        if self.wrong(k) { self.grades[k] } else { 0.0 }
    }

    /// Whether it is a false negative.
    pub fn fits(&self, k: usize) -> bool {
        self.grade(k) >= 0.5
    }

    fn in_rows(&self, rows: Rows, k: usize) -> bool {
        match rows {
            Rows::Judged => self.fits(k),
            Rows::Wrong => self.wrong(k),
            Rows::All => true,
        }
    }

    /// Loss of row k under a target that the teacher's most probable words share.
    fn taught(&self, config: &VerifierTargetConfig, k: usize) -> f64 {
        let z = match config.teacher {
            TeacherKind::Generator => self.row(k),
            TeacherKind::Verifier => &self.teacher[k * self.v..(k + 1) * self.v],
        };
        let p: Vec<f64> = (0..self.v).map(|v| (-surprise(z, v)).exp()).collect();
        let mut best: Vec<usize> = (0..self.v).collect();
        best.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        best.truncate(config.top_k);
        let sum: f64 = best.iter().map(|&v| p[v]).sum();
        let entropy: f64 = (0..self.v).map(|v| p[v] * surprise(z, v)).sum();
        let scale = if config.entropy_scaled { 1.0 - entropy / (self.v as f64).ln() } else { 1.0 };
        let mass = if self.in_rows(config.rows, k) { config.mass * scale } else { 0.0 };
        self.soft_target(k, |v| {
            let hard = if v == self.gold[k] as usize { 1.0 - mass } else { 0.0 };
            hard + if best.contains(&v) { mass * p[v] / sum } else { 0.0 }
        })
    }

    fn vector(&self, v: u32) -> &[f64] {
        &self.embedding[v as usize * self.h..(v as usize + 1) * self.h]
    }

    /// Loss of one row under a soft target `q`.
    fn soft_target(&self, k: usize, q: impl Fn(usize) -> f64) -> f64 {
        (0..self.v).map(|v| q(v) * surprise(self.row(k), v)).sum()
    }

    fn row_distance(&self, k: usize, prediction: Prediction) -> f64 {
        let gold = self.vector(self.gold[k]);
        match prediction {
            Prediction::Argmax | Prediction::Sample => distance(self.vector(self.predicted[k]), gold),
            Prediction::Expected => {
                let mut mean = vec![0.0; self.h];
                for v in 0..self.v {
                    let p = (-surprise(self.row(k), v)).exp();
                    for (m, e) in mean.iter_mut().zip(self.vector(v as u32)) {
                        *m += p * e;
                    }
                }
                distance(&mean, gold)
            }
        }
    }

    /// The total loss in f64.
    pub fn total(&self, correction: &CorrectionKind) -> f64 {
        let rows = 0..self.gold.len();
        let count: f64 = self.weight.iter().sum();
        let mean = |f: &dyn Fn(usize) -> f64| -> f64 {
            let sum: f64 = rows.clone().map(|k| self.weight[k] * f(k)).sum();
            if count > 0.0 { sum / count } else { 0.0 }
        };
        let gold = |k: usize| self.gold[k] as usize;
        let plain = |k: usize| surprise(self.row(k), gold(k));
        match correction {
            CorrectionKind::None => mean(&plain),
            CorrectionKind::RandomShield | CorrectionKind::Registered(_) => panic!("has no fixed value"),
            CorrectionKind::Hard(HardConfig { normalise })
            | CorrectionKind::Weight(WeightConfig { normalise }) => {
                let kept = |k: usize| match correction {
                    CorrectionKind::Weight(_) => 1.0 - self.grade(k),
                    _ if self.fits(k) => 0.0,
                    _ => 1.0,
                };
                let all = mean(&|k| kept(k) * plain(k));
                match normalise {
                    Normalise::All => all,
                    Normalise::Kept => {
                        let share = mean(&kept);
                        if share > 0.0 { all / share } else { 0.0 }
                    }
                }
            }
            CorrectionKind::PredictionTarget(PredictionTargetConfig { share }) => mean(&|k| {
                let mass = share * self.grade(k);
                (1.0 - mass) * plain(k) + mass * surprise(self.row(k), self.predicted[k] as usize)
            }),
            CorrectionKind::VerifierTarget(config) => mean(&|k| self.taught(config, k)),
            CorrectionKind::Soft(SoftConfig { level: Level::Word, prediction, lambda, rows }) => {
                let distance = |k: usize| match self.in_rows(*rows, k) {
                    true => self.row_distance(k, *prediction),
                    false => 0.0,
                };
                mean(&plain) + lambda * mean(&distance)
            }
            CorrectionKind::Soft(SoftConfig { level: Level::Sentence, lambda, .. }) => {
                let [a, b] = &self.sentences;
                let pairs = a.chunks(self.h).zip(b.chunks(self.h));
                mean(&plain)
                    + lambda * pairs.map(|(a, b)| distance(a, b)).sum::<f64>() / (a.len() / self.h) as f64
            }
            CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon }) => mean(&|k| {
                let hard = |v: usize| if v == gold(k) { 1.0 - epsilon } else { 0.0 };
                self.soft_target(k, |v| hard(v) + epsilon / self.v as f64)
            }),
            CorrectionKind::SynonymTarget(SynonymTargetConfig { epsilon }) => {
                mean(&|k| match self.sets.iter().find(|(w, _)| *w == self.gold[k]) {
                    None => plain(k),
                    Some((_, set)) => self.soft_target(k, |v| match v {
                        v if v == gold(k) => 1.0 - epsilon,
                        v if set.contains(&(v as u32)) => epsilon / set.len() as f64,
                        _ => 0.0,
                    }),
                })
            }
        }
    }

    /// The same with this crate: output, logits and embedding (leaves).
    pub fn run(&self, correction: &CorrectionKind) -> (MaskedLmOutput, [Tensor<2>; 3]) {
        let _guard = drawing();
        let lexicon = Lexicon::from_rows(self.v, self.sets.clone(), LexiconInfo::default()).unwrap();
        let resources = Resources {
            lexicon: Some(DeviceLexicon::new(&lexicon, None, &device())),
            verifier: Some(Rc::new(Oracle(matrix(&self.teacher, self.v)))),
        };
        let logits = matrix(&self.logits, self.v).require_grad();
        let embedding = matrix(&self.embedding, self.h).require_grad();
        let sentence = matrix(&self.sentences[0], self.h).require_grad();
        let weight: Vec<f32> = self.weight.iter().map(|&w| w as f32).collect();
        let batch = batch_of(&self.gold, &weight);
        let mut predictions = Predictions::sampled(&batch, &logits, ids(&self.predicted));
        if let CorrectionKind::Soft(SoftConfig { prediction, .. }) = correction {
            predictions.chosen = *prediction;
        }
        let grades = self.grades.iter().map(|&grade| grade as f32).collect();
        let verdict = Verdict::of(&Grades(grades), &predictions, THRESHOLD);
        let student = Sentences {
            embedding: embedding.clone(),
            vectors: [sentence.clone(), matrix(&self.sentences[1], self.h)],
            asked: Cell::new(0),
        };
        let config = MaskedLmConfig { correction: correction.clone(), hard_negatives: 0.0 };
        let out = config.init(&resources).unwrap().forward(&logits, &predictions, &verdict, &student);
        (out, [logits, embedding, sentence])
    }
}

/// Every correction with a fixed value.
pub fn corrections() -> Vec<CorrectionKind> {
    let soft = |level, prediction| {
        CorrectionKind::Soft(SoftConfig { level, prediction, lambda: 0.75, rows: Rows::All })
    };
    let judged = |rows, prediction| {
        CorrectionKind::Soft(SoftConfig { level: Level::Word, prediction, lambda: 0.75, rows })
    };
    let taught = |rows, teacher, entropy_scaled| {
        CorrectionKind::VerifierTarget(VerifierTargetConfig {
            mass: 0.75,
            top_k: 3,
            entropy_scaled,
            rows,
            teacher,
        })
    };
    let hard = |normalise| CorrectionKind::Hard(HardConfig { normalise });
    vec![
        CorrectionKind::None,
        hard(Normalise::All),
        hard(Normalise::Kept),
        soft(Level::Word, Prediction::Argmax),
        soft(Level::Word, Prediction::Sample),
        soft(Level::Word, Prediction::Expected),
        soft(Level::Sentence, Prediction::Argmax),
        CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon: 0.1 }),
        CorrectionKind::SynonymTarget(SynonymTargetConfig { epsilon: 0.3 }),
        CorrectionKind::Weight(WeightConfig { normalise: Normalise::All }),
        CorrectionKind::Weight(WeightConfig { normalise: Normalise::Kept }),
        CorrectionKind::PredictionTarget(PredictionTargetConfig { share: 0.5 }),
        taught(Rows::Judged, TeacherKind::Verifier, true),
        taught(Rows::Wrong, TeacherKind::Verifier, false),
        taught(Rows::All, TeacherKind::Verifier, true),
        judged(Rows::Judged, Prediction::Argmax),
        judged(Rows::Wrong, Prediction::Expected),
    ]
}
