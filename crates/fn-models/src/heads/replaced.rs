//! ELECTRA's replaced-token head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::activation::Activation;
use crate::config::EncoderConfig;
use crate::layers::Linear;

/// `f(h W) v + b` at every position, with the encoder's activation f.
#[derive(Module, Debug)]
pub struct ReplacedTokenHead {
    /// `[H, H]`
    pub dense: Linear,
    /// `[H, 1]`
    pub score: Linear,
    #[module(skip)]
    activation: Activation,
}

impl ReplacedTokenHead {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        Self {
            dense: Linear::zeros(hidden, hidden, device),
            score: Linear::zeros(hidden, 1, device),
            activation: config.activation,
        }
    }

    /// Scores every position: was this token replaced by the generator? Positive: rather yes.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]` - output: `[B, L]`, raw logits (no sigmoid)
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<2> {
        self.score.forward(self.activation.forward(self.dense.forward(hidden))).squeeze_dim(2)
    }
}
