//! ELECTRA's replaced-token head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::activation::Activation;
use crate::config::EncoderConfig;
use crate::layers::{LayerNorm, Linear};

/// `f(h W) v + b` at every position, with the encoder's activation f; over ModernBERT's layers `LN(gelu(h W)) v + b`, which is what
/// transformers' `ModernBertForTokenClassification` with one label computes.
#[derive(Module, Debug)]
pub struct ReplacedTokenHead {
    /// `[H, H]`
    pub dense: Linear,
    /// Over H, with ModernBERT's layers.
    pub norm: Option<LayerNorm>,
    /// `[H, 1]`
    pub score: Linear,
    #[module(skip)]
    activation: Activation,
}

impl ReplacedTokenHead {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        let score = Linear::zeros(hidden, 1, device);
        let (dense, norm) = match config.modern {
            None => (Linear::zeros(hidden, hidden, device), None),
            Some(_) => (
                Linear::without_bias(hidden, hidden, device),
                Some(LayerNorm::scale_only(hidden, config.layer_norm_eps, device)),
            ),
        };
        // transformers' classifiers of ModernBERT have GELU, whatever the encoder's activation.
        let activation = if config.modern.is_some() { Activation::Gelu } else { config.activation };
        Self { dense, norm, score, activation }
    }

    /// Scores every position: was this token replaced by the generator? Positive: rather yes.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]` - output: `[B, L]`, raw logits (no sigmoid)
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<2> {
        let vectors = self.activation.forward(self.dense.forward(hidden));
        let vectors = match &self.norm {
            Some(norm) => norm.forward(vectors),
            None => vectors,
        };
        self.score.forward(vectors).squeeze_dim(2)
    }
}
