//! A judge with given precision and recall for generated languages: the ground truth with random mistakes.

use burn::tensor::{Int, Tensor};
use fn_core::batch::Predictions;
use fn_core::correct::registry::{JUDGES, Resources, Settings};
use fn_core::judge::{DeviceLexicon, Judge};
use fn_core::noise::mix;
use fn_core::{CoreError, config_error};
use serde::{Deserialize, Serialize};

/// Its name in a configuration: `correction.judge.kind = "set-quality"`.
pub const KIND: &str = "set-quality";

/// How the mistakes of the judge are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistakes {
    /// Every error is flagged with the same probability.
    #[default]
    Random,
    /// An error is flagged with a probability proportional to the generator's probability of the replacement.
    Plausible,
}

/// Settings of [`SetQuality`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SetQualityConfig {
    /// Precision: share of the flagged replacements that fit, above 0 to 1. Default 1.
    pub precision: f64,
    /// Recall: share of the fitting replacements that are flagged, 0 to 1. Default 1.
    pub recall: f64,
    /// How its mistakes are distributed. Default at random.
    pub mistakes: Mistakes,
    /// Seed of the mistakes. Default 0.
    pub seed: u64,
}

impl Default for SetQualityConfig {
    fn default() -> Self {
        Self { precision: 1.0, recall: 1.0, mistakes: Mistakes::Random, seed: 0 }
    }
}

impl SetQualityConfig {
    /// Checks the ranges: precision 0.01 to 1, recall 0 to 1.
    ///
    /// # Errors
    /// [`CoreError`] with the name of the value.
    pub fn validate(&self) -> Result<(), CoreError> {
        if !(0.01..=1.0).contains(&self.precision) {
            return Err(config_error("precision", self.precision, "between 0.01 and 1"));
        }
        match (0.0..=1.0).contains(&self.recall) {
            true => Ok(()),
            false => Err(config_error("recall", self.recall, "between 0 and 1")),
        }
    }

    /// The settings for a configuration.
    ///
    /// # Errors
    /// Settings that cannot be written, which does not happen.
    pub fn settings(&self) -> Result<Settings, CoreError> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(values)) => Ok(Settings { kind: KIND.to_owned(), values }),
            _ => Err(config_error(KIND, "settings that cannot be written", "numbers")),
        }
    }
}

/// Flags a fitting replacement with probability `recall`, and as many errors as give the precision `precision`.
///
/// The ground truth is a lexicon: all pairs of a language without polysemous words (`polysemy = 0`), for which a table is
/// exact. With F fitting replacements in the batch and E errors, an error i is flagged with probability
///
/// ```text
/// m_i = min(1, c q_i)        sum_i m_i = recall F (1 - precision) / precision, or E if that is less
/// ```
/// where `q_i` is 1 ([`Mistakes::Random`]) or the generator's probability of that word ([`Mistakes::Plausible`]). If there are
/// not enough errors for the given precision and recall, all errors are flagged.
///
/// The verdict on an item is a function of the seed and the item (row, position, original word and prediction). In another row
/// the verdict on the same pair of words may differ; a table with a wrong pair, which is wrong everywhere, is not modelled.
pub struct SetQuality {
    truth: DeviceLexicon,
    config: SetQualityConfig,
}

impl SetQuality {
    /// A judge with the ground truth `truth` and mistakes by `config`.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(config: SetQualityConfig, truth: DeviceLexicon) -> Result<Self, CoreError> {
        config.validate()?;
        Ok(Self { truth, config })
    }

    /// Registers the kind [`KIND`] for configurations; repeated calls have no effect.
    pub fn register() {
        let build = |settings: &Settings, resources: &Resources| -> Result<Box<dyn Judge>, CoreError> {
            let config: SetQualityConfig = settings.read()?;
            config.validate()?;
            Ok(Box::new(Self::new(config, resources.lexicon(KIND)?.clone())?))
        };
        // The only possible error is that the name was registered by an earlier call.
        let _ = JUDGES.register(KIND, build);
    }

    /// Probability with which each error is flagged, `[P]`; `fits` and `error` are 0 or 1, `[P]`.
    fn mistakes(&self, predictions: &Predictions<'_>, fits: &Tensor<1>, error: &Tensor<1>) -> Tensor<1> {
        let SetQualityConfig { precision, recall, mistakes, .. } = self.config;
        let wanted = fits.clone().sum() * (recall * (1.0 - precision) / precision) as f32;
        let weight = match mistakes {
            Mistakes::Random => error.clone(),
            Mistakes::Plausible => {
                let p = burn::tensor::activation::softmax(predictions.logits(), 1);
                let p = p.gather(1, predictions.ids.clone().inner().unsqueeze_dim(1));
                p.squeeze_dim::<1>(1) * error.clone()
            }
        };
        // c is increased to compensate for probabilities that are clipped at 1.
        let shape = weight.dims();
        let share = |sum: Tensor<1>| (wanted.clone() / sum.clamp_min(f32::MIN_POSITIVE)).expand(shape);
        let mut found = (weight.clone() * share(weight.clone().sum())).clamp_max(1.0);
        for _ in 0..ROUNDS {
            found = (found.clone() * share(found.sum())).clamp_max(1.0);
        }
        found
    }
}

/// Number of iterations of this compensation.
const ROUNDS: usize = 12;

impl Judge for SetQuality {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let wrong = predictions.wrong().float();
        let known = self.truth.contains(&predictions.batch.gold, &predictions.ids).float();
        let fits = known.clone() * wrong.clone();
        let error = wrong - fits.clone();
        let excused = fits.clone() * self.config.recall as f32 + self.mistakes(predictions, &fits, &error);
        uniform(self.config.seed, predictions).lower(excused).float()
    }
}

/// A prime that is 2 modulo 3, so that cubing permutes the residues, and whose square fits 31 bits.
const PRIME: i64 = 46_337;
/// Rounds of cubing between two inputs.
const CUBES: usize = 3;

/// A number in 0..1 for each item, `[P]`: a hash of seed, row, position, original word and prediction, in integers that no backend
/// rounds, and without waiting for the device.
///
/// Each number is added to the state, which is then cubed modulo a prime after a constant of that round was added, three times (the
/// permutation of MiMC: Albrecht et al., 2016, with few rounds, because it need not be cryptographically secure).
fn uniform(seed: u64, predictions: &Predictions<'_>) -> Tensor<1> {
    let batch = predictions.batch;
    let [rows, length] = batch.shape();
    let constant = |i: usize| (mix(&[seed, i as u64]) % PRIME as u64) as i64;
    let device = predictions.ids.clone().inner().device();
    // A row is a sum of its words, each times the factor of its place.
    let factors: Vec<i32> = (0..length).map(|l| constant(1_000 + l) as i32).collect();
    let factors = Tensor::<1, Int>::from_ints(factors.as_slice(), &device).unsqueeze_dim::<2>(0);
    let words = batch.original.clone().inner().remainder_scalar(PRIME);
    let products = (words * factors.expand([rows, length])).remainder_scalar(PRIME);
    let row = products.sum_dim(1).squeeze_dim::<1>(1);
    let positions = batch.positions.clone().inner();
    let row = row.select(0, positions.clone().div_scalar(length as i64));
    let taken = [
        row,
        positions.remainder_scalar(length as i64),
        batch.gold.clone().inner(),
        predictions.ids.clone().inner(),
    ];
    let mut state = Tensor::<1, Int>::zeros(predictions.ids.dims(), &device);
    let mut round = 0;
    for number in taken {
        state = (state + number.remainder_scalar(PRIME)).remainder_scalar(PRIME);
        for _ in 0..CUBES {
            let base = (state + constant(round)).remainder_scalar(PRIME);
            let square = (base.clone() * base.clone()).remainder_scalar(PRIME);
            state = (square * base).remainder_scalar(PRIME);
            round += 1;
        }
    }
    // Centred in its interval, so that a probability of 0 flags nothing and one of 1 flags everything.
    (state.float() + 0.5) / PRIME as f32
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use fn_core::batch::Batch;
    use fn_core::judge::Verdict;
    use fn_core::lexicon::{Lexicon, LexiconInfo};
    use fn_core::noise::{Stream, Use};

    use super::*;

    const ROWS: usize = 64;
    const LENGTH: usize = 24;
    const WORDS: u32 = 40;

    /// Words 0 to 39, ten sets of four; all places are masked.
    fn truth(device: &Device) -> DeviceLexicon {
        let set = |w: u32| (w / 4 * 4..w / 4 * 4 + 4).filter(|r| *r != w).collect();
        let rows = (0..WORDS).map(|w| (w, set(w)));
        DeviceLexicon::new(
            &Lexicon::from_rows(WORDS as usize, rows, LexiconInfo::default()).unwrap(),
            None,
            device,
        )
    }

    /// What a judge says of some batches: whether it fits, the probability of the prediction, whether it is excused; errors and fits only.
    fn verdicts(config: SetQualityConfig, batches: u64) -> Vec<(bool, f32, bool)> {
        let device = Device::flex();
        let judge = SetQuality::new(config, truth(&device)).unwrap();
        let mut out = Vec::new();
        for step in 0..batches {
            let mut stream = Stream::new(7, step, 0, Use::Test);
            let n = ROWS * LENGTH;
            let gold: Vec<i32> = (0..n).map(|_| stream.below(u64::from(WORDS)) as i32).collect();
            // A third fits, the rest is anything.
            let ids: Vec<i32> = gold
                .iter()
                .map(|g| match stream.below(3) {
                    0 => g / 4 * 4 + stream.below(4) as i32,
                    _ => stream.below(u64::from(WORDS)) as i32,
                })
                .collect();
            let logits: Vec<f32> = (0..n * WORDS as usize).map(|_| 4.0 * stream.unit() as f32).collect();
            let ints = |v: &[i32]| Tensor::<1, Int>::from_ints(v, &device);
            let all: Vec<i32> = (0..n as i32).collect();
            let batch = Batch::new(ints(&gold).reshape([ROWS, LENGTH]), ints(&all));
            let logits = Tensor::<2>::from_data(TensorData::new(logits, [n, WORDS as usize]), &device);
            let predictions = Predictions::sampled(&batch, &logits, ints(&ids));
            let again = Verdict::of(&judge, &predictions, 0.5)
                .false_negative
                .into_data()
                .iter::<bool>()
                .collect::<Vec<_>>();
            let p = burn::tensor::activation::softmax(logits.clone(), 1);
            let p = p.gather(1, ints(&ids).unsqueeze_dim(1)).into_data().iter::<f32>().collect::<Vec<_>>();
            let excused = Verdict::of(&judge, &predictions, 0.5).false_negative;
            let excused: Vec<bool> = excused.into_data().iter::<bool>().collect();
            assert_eq!(excused, again, "asked again, it says the same");
            out.extend(
                (0..n).filter(|i| ids[*i] != gold[*i]).map(|i| (ids[i] / 4 == gold[i] / 4, p[i], excused[i])),
            );
        }
        out
    }

    /// Whether a share of `n` draws is within five standard deviations of `p`.
    fn near(share: f64, p: f64, n: f64) -> bool {
        (share - p).abs() < 5.0 * (p * (1.0 - p) / n).sqrt() + 1e-9
    }

    #[test]
    fn precision_and_recall_are_as_set() {
        for mistakes in [Mistakes::Random, Mistakes::Plausible] {
            for (precision, recall) in
                [(1.0, 1.0), (1.0, 0.5), (0.9, 0.9), (0.66, 0.3), (0.5, 0.6), (0.3, 0.3), (0.8, 0.0)]
            {
                let config = SetQualityConfig { precision, recall, mistakes, seed: 3 };
                let found = verdicts(config, 12);
                let count =
                    |f: &dyn Fn(&(bool, f32, bool)) -> bool| found.iter().filter(|v| f(v)).count() as f64;
                let (fits, excused) = (count(&|v| v.0), count(&|v| v.2));
                let both = count(&|v| v.0 && v.2);
                assert!(
                    fits > 3000.0 && near(both / fits, recall, fits),
                    "recall {} for {recall}",
                    both / fits
                );
                if recall == 0.0 {
                    assert_eq!(excused, 0.0);
                    continue;
                }
                // Both the excused that fit and the mistakes vary.
                assert!(
                    near(both / excused, precision, excused / 2.0),
                    "precision {} for {precision}",
                    both / excused
                );
            }
        }
    }

    #[test]
    fn plausible_mistakes_are_those_that_the_generator_believes_in_and_random_ones_are_not() {
        let mean = |mistakes, excused: bool| {
            let config = SetQualityConfig { precision: 0.5, recall: 0.6, mistakes, seed: 1 };
            let of =
                verdicts(config, 6).into_iter().filter(|v| !v.0 && v.2 == excused).map(|v| f64::from(v.1));
            let of: Vec<f64> = of.collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        let [random, plausible] =
            [Mistakes::Random, Mistakes::Plausible].map(|m| mean(m, true) / mean(m, false));
        assert!((0.9..1.1).contains(&random) && plausible > 1.5, "{random} {plausible}");
    }

    #[test]
    fn a_precision_that_cannot_be_had_excuses_every_error() {
        let config =
            SetQualityConfig { precision: 0.05, recall: 1.0, mistakes: Mistakes::Plausible, seed: 1 };
        assert!(verdicts(config, 2).iter().all(|v| v.2));
    }

    #[test]
    fn the_hash_is_even_and_depends_on_every_part() {
        let device = Device::flex();
        let n = ROWS * LENGTH;
        let ask = |seed: u64, shift: i32| -> Vec<f32> {
            let ints = |v: Vec<i32>| Tensor::<1, Int>::from_ints(v.as_slice(), &device);
            let words = |f: &dyn Fn(i32) -> i32| ints((0..n as i32).map(f).collect());
            let batch = Batch::new(words(&|i| (i * 7919) % 30_000).reshape([ROWS, LENGTH]), words(&|i| i));
            let logits = Tensor::<2>::zeros([n, 1], &device);
            let predictions = Predictions::sampled(&batch, &logits, words(&|i| (i + shift) % 30_000));
            uniform(seed, &predictions).into_data().iter::<f32>().collect()
        };
        let found = ask(1, 0);
        for bin in 0..10 {
            let within = found.iter().filter(|u| (**u * 10.0) as usize == bin).count() as f64;
            assert!(near(within / n as f64, 0.1, n as f64), "{bin}: {within}");
        }
        for other in [ask(2, 0), ask(1, 1)] {
            let mean = |v: &[f32]| v.iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64;
            let (a, b) = (mean(&found), mean(&other));
            let product: f64 =
                found.iter().zip(&other).map(|(x, y)| (f64::from(*x) - a) * (f64::from(*y) - b)).sum();
            // The covariance of independent uniforms: standard deviation 1/12 / sqrt(n).
            assert!((product / n as f64).abs() < 5.0 / 12.0 / (n as f64).sqrt(), "{product}");
        }
    }

    #[test]
    fn a_configuration_names_it_once_it_is_registered() {
        SetQuality::register();
        SetQuality::register();
        let json =
            r#"{"kind": "set-quality", "precision": 0.8, "recall": 0.6, "mistakes": "plausible", "seed": 4}"#;
        let kind: fn_train::config::JudgeKind = serde_json::from_str(json).unwrap();
        kind.validate().unwrap();
        let fn_train::config::JudgeKind::Registered(settings) = &kind else { panic!("{kind:?}") };
        let config: SetQualityConfig = settings.read().unwrap();
        assert_eq!(
            config,
            SetQualityConfig { precision: 0.8, recall: 0.6, mistakes: Mistakes::Plausible, seed: 4 }
        );
        assert_eq!(&config.settings().unwrap(), settings);
        let device = Device::flex();
        assert!(
            JUDGES
                .build(settings, &Resources { lexicon: Some(truth(&device)), ..Resources::default() })
                .is_ok()
        );
        for wrong in [
            r#"{"kind":"set-quality","precision":0}"#,
            r#"{"kind":"set-quality","recall":1.5}"#,
            r#"{"kind":"set-quality","x":1}"#,
        ] {
            let kind: fn_train::config::JudgeKind = serde_json::from_str(wrong).unwrap();
            assert!(kind.validate().is_err(), "{wrong}");
        }
    }
}
