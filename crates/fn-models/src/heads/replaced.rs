//! ELECTRA's replaced-token head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::layers::Linear;

/// `gelu(h W) v + b` at every position.
#[derive(Module, Debug)]
pub struct ReplacedTokenHead {
    /// `[H, H]`
    pub dense: Linear,
    /// `[H, 1]`
    pub score: Linear,
}

impl ReplacedTokenHead {
    pub(crate) fn zeros(hidden: usize, device: &Device) -> Self {
        Self { dense: Linear::zeros(hidden, hidden, device), score: Linear::zeros(hidden, 1, device) }
    }

    /// Scores every position: was this token replaced by the generator? Positive: rather yes.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]` - output: `[B, L]`, raw logits (no sigmoid)
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<2> {
        self.score.forward(fn_ops::gelu(self.dense.forward(hidden))).squeeze_dim(2)
    }
}
