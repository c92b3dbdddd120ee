//! What a detector's last hidden vectors know of the original word where it was replaced: a linear probe of its concept.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::sample::{SampleConfig, gumbel_sample};
use fn_data::loader::fixed_batches;
use fn_models::{Inputs, Pretrained};
use fn_ops::Noise;
use fn_train::objective::DeviceBatch;
use fn_train::pretraining::HELD_OUT_SEED;
use serde::{Deserialize, Serialize};

use super::or_nan;
use super::trial::Trial;

/// Rounds of the gradient descent.
const ROUNDS: usize = 200;
/// Its first step size.
const RATE: f64 = 0.1;
/// Weight of the squared norm: C = 1 of scikit-learn's `LogisticRegression`.
const PENALTY: f64 = 1.0;

/// Accuracies of a linear probe on places that it did not learn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Of the concept of the original word at places where an error stands.
    #[serde(deserialize_with = "or_nan")]
    pub errors: f64,
    /// The same where a replacement stands that fits: there the word itself says it.
    #[serde(deserialize_with = "or_nan")]
    pub fitting: f64,
    /// Of naming the most frequent concept at places of errors.
    #[serde(deserialize_with = "or_nan")]
    pub chance: f64,
    /// Places of errors that were tested.
    pub tested: usize,
}

/// Hidden vectors at replaced places, each with the concept of the original word.
#[derive(Default)]
struct Places {
    vectors: Vec<f32>,
    concepts: Vec<u32>,
}

/// Learns from the first half of the held-out rows, tests on the second. The words are sampled from the model's own generator.
pub(super) fn probe(trial: &Trial, model: &Pretrained, device: &Device) -> Probed {
    let model = model.valid();
    let (data, corruptor) = (trial.held_out.clone(), trial.corruptor.clone());
    let batches = fixed_batches(data, corruptor, trial.config.train.batch, HELD_OUT_SEED, usize::MAX);
    // [errors, fitting] of each half.
    let mut halves: [[Places; 2]; 2] = Default::default();
    let mut seen = 0;
    for (index, host) in batches.enumerate() {
        let DeviceBatch { inputs, batch } = DeviceBatch::new(&host, device);
        let logits = model.masked_logits(&inputs, batch.positions.clone(), &Noise::none());
        device.seed(fn_core::noise::mix(&[HELD_OUT_SEED, index as u64]));
        let sampled = gumbel_sample(logits, &batch.gold, &SampleConfig::default());
        let corrupted = Inputs { ids: batch.filled(sampled.clone()), ..inputs };
        let hidden = model.hidden(&corrupted, &Noise::none());
        let [rows, length, width] = hidden.dims();
        let hidden = hidden.reshape([rows * length, width]).select(0, batch.positions.clone());
        let hidden: Vec<f32> = hidden.into_data().iter::<f32>().collect();
        let sampled: Vec<u32> = sampled.into_data().iter::<i64>().map(|id| id as u32).collect();
        for (p, &word) in sampled.iter().enumerate() {
            let flat = host.positions[p] as usize;
            let row = seen + flat / length;
            let slot =
                trial.rows.get(row).and_then(|row| row.truth.slots.get(flat % length)).copied().flatten();
            let Some(slot) = slot.filter(|_| host.weight[p] > 0.0 && word != host.gold[p]) else { continue };
            let half = usize::from(row >= trial.rows.len() / 2);
            let places = &mut halves[half][usize::from(trial.language.truth_fits(slot, word))];
            places.vectors.extend(&hidden[p * width..(p + 1) * width]);
            places.concepts.push(slot.0);
        }
        seen += rows;
    }
    let [[errors, fitting], [test_errors, test_fitting]] = &halves;
    let classes = trial.language.concepts();
    let of = |learn: &Places, test: &Places| accuracy(learn, test, classes, device);
    Probed {
        errors: of(errors, test_errors),
        fitting: of(fitting, test_fitting),
        chance: most_frequent(test_errors),
        tested: test_errors.concepts.len(),
    }
}

fn most_frequent(places: &Places) -> f64 {
    let count = |concept: &u32| places.concepts.iter().filter(|c| *c == concept).count();
    let most = places.concepts.iter().map(count).max().unwrap_or(0);
    fn_train::heldout::ratio(most as f64, places.concepts.len() as f64)
}

/// Accuracy on `test` of a classifier learnt from `learn`; NaN if either is empty.
fn accuracy(learn: &Places, test: &Places, classes: usize, device: &Device) -> f64 {
    let (learnt, tested) = (learn.concepts.len(), test.concepts.len());
    if learnt == 0 || tested == 0 {
        return f64::NAN;
    }
    let named = classify(learn, test, classes, device).argmax(1);
    let named: Vec<u32> = named.into_data().iter::<i64>().map(|c| c as u32).collect();
    let right = named.iter().zip(&test.concepts).filter(|(a, b)| a == b).count();
    right as f64 / tested as f64
}

/// Logits of the classes at the places of `test`, `[N, C]`, by a classifier learnt from `learn`.
fn classify(learn: &Places, test: &Places, classes: usize, device: &Device) -> Tensor<2> {
    let (learnt, tested) = (learn.concepts.len(), test.concepts.len());
    let width = learn.vectors.len() / learnt.max(1);
    let tensor = |places: &Places, rows: usize| {
        Tensor::<2>::from_data(TensorData::new(places.vectors.clone(), [rows, width]), device)
    };
    let (x, x_test) = (tensor(learn, learnt), tensor(test, tested));
    // Each dimension with mean 0 and deviation 1, as learnt.
    let mean = x.clone().mean_dim(0);
    let deviation = x.clone().var_bias(0).sqrt().clamp_min(1e-6);
    let scaled = |x: Tensor<2>| {
        let rows = x.dims()[0];
        let x = (x - mean.clone()) / deviation.clone();
        Tensor::cat(vec![x, Tensor::ones([rows, 1], device)], 1)
    };
    let concepts: Vec<i32> = learn.concepts.iter().map(|c| *c as i32).collect();
    let concepts = Tensor::<1, Int>::from_data(TensorData::new(concepts, [learnt]), device);
    let weights = logistic(scaled(x), concepts, classes);
    scaled(x_test).matmul(weights)
}

/// Multinomial logistic regression: `x` `[N, D + 1]` with ones in its last column, classes `[N]` -> weights `[D + 1, C]`. Minimises
/// `sum_n -ln p(y_n | x_n) + |w|^2 / 2` without the last row of `w`, by Adam with a falling step size on all rows at once.
fn logistic(x: Tensor<2>, y: Tensor<1, Int>, classes: usize) -> Tensor<2> {
    let (device, [rows, width]) = (x.device(), x.dims());
    let wanted = y.one_hot::<2>(classes).float();
    let mut weights = Tensor::<2>::zeros([width, classes], &device);
    let (mut first, mut second) = (weights.clone(), weights.clone());
    let bias = Tensor::<2>::zeros([1, classes], &device);
    let penalised = Tensor::cat(vec![Tensor::<2>::ones([width - 1, classes], &device), bias], 0);
    let transposed = x.clone().transpose();
    for round in 0..ROUNDS {
        let p = softmax(x.clone().matmul(weights.clone()), 1);
        let gradient = transposed.clone().matmul(p - wanted.clone());
        let gradient = (gradient + weights.clone() * penalised.clone() * PENALTY as f32) / rows as f32;
        first = first * 0.9 + gradient.clone() * 0.1;
        second = second * 0.999 + gradient.clone() * gradient * 0.001;
        let power = round as i32 + 1;
        let (m, v) = (1.0 - 0.9f32.powi(power), 1.0 - 0.999f32.powi(power));
        let rate = (RATE * (1.0 - round as f64 / ROUNDS as f64)) as f32;
        weights = weights - first.clone() / m / ((second.clone() / v).sqrt() + 1e-8) * rate;
    }
    weights
}

#[cfg(test)]
mod tests {
    use fn_train::heldout::{auc, auc_without};
    use serde_json::Value;

    use super::*;

    fn golden() -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dose.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn numbers<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn areas_without_what_is_left_out_match_scikit_learn() {
        for case in golden()["areas"].as_array().unwrap() {
            let (scores, kind): (Vec<f32>, Vec<u8>) = (numbers(&case["scores"]), numbers(&case["kind"]));
            let is = |wanted: u8| kind.iter().map(|k| *k == wanted).collect::<Vec<_>>();
            let area = auc_without(&scores, &is(1), &is(2));
            assert!((area - case["auc"].as_f64().unwrap()).abs() < 1e-9, "{area}");
            let replaced: Vec<bool> = kind.iter().map(|k| *k > 0).collect();
            let area = auc(&scores, &replaced);
            assert!((area - case["label_auc"].as_f64().unwrap()).abs() < 1e-9, "{area}");
        }
    }

    #[test]
    fn the_probe_matches_the_logistic_regression_of_scikit_learn() {
        let case = &golden()["regression"];
        let (x, y): (Vec<Vec<f32>>, Vec<u32>) = (numbers(&case["x"]), numbers(&case["y"]));
        let learnt = case["learnt"].as_u64().unwrap() as usize;
        let places = |range: std::ops::Range<usize>| Places {
            vectors: x[range.clone()].concat(),
            concepts: y[range].to_vec(),
        };
        let (learn, test) = (places(0..learnt), places(learnt..x.len()));
        let (classes, device) = (case["classes"].as_u64().unwrap() as usize, Device::flex());
        let found = softmax(classify(&learn, &test, classes, &device), 1);
        let expected: Vec<Vec<f64>> = numbers(&case["probabilities"]);
        for (found, expected) in found.into_data().iter::<f64>().zip(expected.concat()) {
            assert!((found - expected).abs() < 2e-3, "{found} for {expected}");
        }
        let share = accuracy(&learn, &test, classes, &device);
        assert!((share - case["accuracy"].as_f64().unwrap()).abs() < 1e-12, "{share}");
        assert!(accuracy(&Places::default(), &test, classes, &device).is_nan());
    }
}
