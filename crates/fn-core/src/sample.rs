//! What the generator puts at the masked positions: the most probable word or a sampled one. No gradient passes here.

use burn::tensor::activation::softmax;
use burn::tensor::{Distribution, IndexingUpdateOp, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{CoreError, config_error};
use fn_ops as ops;

/// Which prediction is judged and compared with the gold word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// The most probable word. As a hard id it gives the logits no gradient.
    #[default]
    Argmax,
    /// A word drawn from the predicted distribution. As a hard id it gives the logits no gradient.
    Sample,
    /// For soft regularisation: the expected embedding `softmax(z) E`, which reaches the logits. What is judged is the
    /// most probable word.
    Expected,
}

/// How words are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleConfig {
    /// Logits are divided by it. Default 1; below 1 the sample comes closer to the most probable word.
    pub temperature: f64,
    /// Never draw the gold word (ELECTRA's option of the same name). Default false.
    pub disallow_correct: bool,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self { temperature: 1.0, disallow_correct: false }
    }
}

impl SampleConfig {
    /// Checks the temperature: 0.001 to 1000.
    pub fn validate(&self) -> Result<(), CoreError> {
        if (1e-3..=1e3).contains(&self.temperature) {
            Ok(())
        } else {
            Err(config_error("temperature", self.temperature, "between 0.001 and 1000"))
        }
    }
}

/// The most probable id per row, without gradient: `[P, V]` -> `[P]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let logits = Tensor::<2>::from_floats([[0.0, 3.0, 1.0]], &Device::flex());
/// assert_eq!(fn_core::sample::argmax_ids(logits).into_scalar::<i32>(), 1);
/// ```
pub fn argmax_ids(logits: Tensor<2>) -> Tensor<1, Int> {
    logits.inner().argmax(1).squeeze_dim(1)
}

/// The expected word vector per row, `softmax(logits) E`: `[P, V]`, `[V, H]` -> `[P, H]`. The gradient reaches both.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// let embedding = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 6.0]], &device);
/// let expected = fn_core::sample::expected_vectors(logits, embedding);
/// assert_eq!(expected.into_data().iter::<f32>().collect::<Vec<_>>(), [2.0, 4.0]);
/// ```
pub fn expected_vectors(logits: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    softmax(logits, 1).matmul(embedding)
}

/// Lower than any logit, yet finite, so that no difference is NaN.
const NEVER: f32 = -1e30;

/// Draws one id per row from `softmax(logits / temperature)`, without gradient: `[P, V]`, `[P]` -> `[P]`.
///
/// Gumbel-max in two stages. Adding Gumbel noise to all `V` logits and taking the largest draws from the softmax, but
/// needs as many random numbers as logits, and those are slow to make. The vocabulary is cut into about `sqrt(V)` blocks;
/// Gumbel-max over the blocks' log-sum-exps draws the block, Gumbel-max within it draws the word. The distribution is the
/// same, and a row needs `2 sqrt(V)` random numbers (350 in place of 30,522).
///
/// The noise comes from the device's generator: call `device.seed(..)` first to make it repeatable.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::sample::{SampleConfig, gumbel_sample};
/// let device = Device::flex();
/// let (logits, gold) = (Tensor::<2>::from_floats([[30.0, 0.0, 0.0]], &device), Tensor::from_ints([0], &device));
/// let likely = gumbel_sample(logits.clone(), &gold, &SampleConfig::default());
/// assert_eq!(likely.into_scalar::<i32>(), 0);
/// let other = gumbel_sample(logits, &gold, &SampleConfig { disallow_correct: true, ..Default::default() });
/// assert_ne!(other.into_scalar::<i32>(), 0);
/// ```
pub fn gumbel_sample(logits: Tensor<2>, gold: &Tensor<1, Int>, config: &SampleConfig) -> Tensor<1, Int> {
    let mut logits = logits.inner();
    let [p, v] = logits.dims();
    let device = logits.device();
    if config.temperature != 1.0 {
        logits = logits / config.temperature as f32;
    }
    // Blocks of equal size; what is missing in the last one is never drawn.
    let size = (v as f64).sqrt().ceil() as usize;
    let blocks = v.div_ceil(size);
    let missing = blocks * size - v;
    if missing > 0 {
        logits = Tensor::cat(vec![logits, Tensor::full([p, missing], NEVER, &device)], 1);
    }
    if config.disallow_correct {
        let gold = gold.clone().inner().unsqueeze_dim::<2>(1);
        let never = Tensor::full([p, 1], NEVER, &device);
        logits = logits.scatter(1, gold, never, IndexingUpdateOp::Add);
    }
    let logits = logits.reshape([p * blocks, size]);

    let block_logits = ops::log_sum_exp(logits.clone()).reshape([p, blocks]);
    let block = with_gumbel(block_logits).argmax(1).squeeze_dim::<1>(1);
    let row = Tensor::<1, Int>::arange(0..p as i64, &device) * blocks as i64 + block.clone();
    let within = with_gumbel(logits.select(0, row)).argmax(1).squeeze_dim::<1>(1);
    // Logits that are not finite (a model that has diverged) still give an id.
    (block * size as i64 + within).clamp_max(v as i64 - 1)
}

/// Adds standard Gumbel noise `-ln(-ln u)`.
fn with_gumbel(logits: Tensor<2>) -> Tensor<2> {
    let uniform = Tensor::<2>::random(logits.dims(), Distribution::Uniform(0.0, 1.0), &logits.device());
    // Strictly between 0 and 1 in f32; some generators include the ends.
    let uniform = uniform.clamp(1e-30, 1.0 - f32::EPSILON / 2.0);
    logits - (-uniform.log()).log()
}
