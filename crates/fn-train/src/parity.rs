//! Compares a device with `flex`: loss and all gradients of one forward and backward pass of a tiny BERT.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_models::{BertConfig, BertForPreTraining, EncoderConfig, Inputs, params};
use fn_ops::Noise;
use serde::Serialize;

use crate::optim::Gradients;

/// Maximum relative difference. Rounding and another order of summation stay far below it; a wrong kernel does not.
pub const TOLERANCE: f64 = 5e-3;

const ROWS: usize = 8;
const LENGTH: usize = 32;
/// Size of the vocabulary; not a multiple of 4, like those of BERT and ELECTRA.
const VOCABULARY: usize = 1002;

/// Differences between a device and `flex`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Relative difference of the losses.
    pub loss: f64,
    /// Largest difference of a parameter's gradient, relative to the larger of its norm and a thousandth of the global gradient
    /// norm.
    pub gradient: f64,
    /// The parameter with that difference.
    pub worst: String,
}

impl Agreement {
    /// Whether all differences are within [`TOLERANCE`].
    pub fn good(&self) -> bool {
        self.loss <= TOLERANCE && self.gradient <= TOLERANCE
    }

    /// Compares `device` with `flex`. Both are plain devices, without autodiff.
    pub fn measure(device: &Device, flex: &Device) -> Self {
        let (loss, gradients) = step(&device.clone().autodiff());
        let (expected_loss, expected) = step(&flex.clone().autodiff());
        let norm = |values: &[f32]| values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let all = expected.iter().map(|(_, g)| norm(g).powi(2)).sum::<f64>().sqrt();
        let mut worst = (0.0, String::new());
        for ((name, found), (_, wanted)) in gradients.iter().zip(&expected) {
            let off: Vec<f32> = found.iter().zip(wanted).map(|(a, b)| a - b).collect();
            let share = norm(&off) / norm(wanted).max(1e-3 * all).max(f64::MIN_POSITIVE);
            // NaN counts as the largest difference.
            if share > worst.0 || !share.is_finite() {
                worst = (if share.is_finite() { share } else { f64::INFINITY }, name.clone());
            }
        }
        let off = (f64::from(loss) - f64::from(expected_loss)).abs() / f64::from(expected_loss).abs();
        let loss = if off.is_finite() { off } else { f64::INFINITY };
        Self { loss, gradient: worst.0, worst: worst.1 }
    }
}

/// Loss and gradients without dropout, which are the same on every device except for rounding.
fn step(device: &Device) -> (f32, Vec<(String, Vec<f32>)>) {
    let shape = BertConfig::new(EncoderConfig {
        vocab_size: VOCABULARY,
        embedding_size: 64,
        hidden_size: 64,
        num_layers: 2,
        num_heads: 2,
        intermediate_size: 256,
        init_std: 0.1,
        ..EncoderConfig::default()
    });
    let model = BertForPreTraining::init(&shape, 1, device);
    let ids: Vec<i32> = (0..ROWS * LENGTH).map(|at| (at * 37 % VOCABULARY) as i32).collect();
    let inputs = Inputs::plain(Tensor::from_data(TensorData::new(ids, [ROWS, LENGTH]), device));
    let positions: Vec<i32> = (0..3 * ROWS).map(|at| (at * LENGTH / 3 + 5) as i32).collect();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [3 * ROWS]), device);
    let logits = model.masked_logits(&inputs, positions.clone(), &Noise::none());
    let loss = fn_ops::cross_entropy_rows(logits, positions).mean();
    let gradients = Gradients::from_backward(&model, loss.backward());
    let mut out = Vec::new();
    gradients.visit(|name, values| out.push((name.to_owned(), params::host(values.clone()))));
    (params::host(loss)[0], out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_agrees_with_itself_and_a_wrong_gradient_would_show() {
        let flex = Device::flex();
        let agreement = Agreement::measure(&flex, &flex);
        assert!(agreement.good() && agreement.gradient == 0.0, "{agreement:?}");
        let (loss, gradients) = step(&flex.autodiff());
        assert!(loss > 1.0 && gradients.len() > 30);
        assert!(gradients.iter().all(|(_, g)| g.iter().all(|x| x.is_finite())));
        assert!(!Agreement { loss: 0.0, gradient: f64::INFINITY, worst: String::new() }.good());
    }
}
