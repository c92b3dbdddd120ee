//! BERT's pooler: one vector per sequence.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::inputs::Pooling;
use crate::layers::Linear;

/// `tanh(h_first W + b)`.
#[derive(Module, Debug)]
pub struct Pooler {
    /// `[H, H]`
    pub dense: Linear,
}

impl Pooler {
    pub(crate) fn zeros(hidden: usize, device: &Device) -> Self {
        Self { dense: Linear::zeros(hidden, hidden, device) }
    }

    /// # Shapes
    /// - hidden: `[B, L, H]` - output: `[B, H]`
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<2> {
        self.dense.forward(Pooling::FirstToken.pool(hidden, None)).tanh()
    }
}
