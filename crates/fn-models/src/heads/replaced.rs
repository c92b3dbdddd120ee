//! ELECTRA's replaced-token head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::EncoderConfig;
use crate::layers::{LayerNorm, Linear};

/// `gelu(h W) v + b` at every position; over ModernBERT's layers `LN(gelu(h W)) v + b`, which is what transformers'
/// `ModernBertForTokenClassification` with one label computes.
#[derive(Module, Debug)]
pub struct ReplacedTokenHead {
    /// `[H, H]`
    pub dense: Linear,
    /// Over H, with ModernBERT's layers.
    pub norm: Option<LayerNorm>,
    /// `[H, 1]`
    pub score: Linear,
}

impl ReplacedTokenHead {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        let score = Linear::zeros(hidden, 1, device);
        match config.modern {
            None => Self { dense: Linear::zeros(hidden, hidden, device), norm: None, score },
            Some(_) => {
                let norm = LayerNorm::scale_only(hidden, config.layer_norm_eps, device);
                Self { dense: Linear::without_bias(hidden, hidden, device), norm: Some(norm), score }
            }
        }
    }

    /// Scores every position: was this token replaced by the generator? Positive: rather yes.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]` - output: `[B, L]`, raw logits (no sigmoid)
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<2> {
        let vectors = fn_ops::gelu(self.dense.forward(hidden));
        let vectors = match &self.norm {
            Some(norm) => norm.forward(vectors),
            None => vectors,
        };
        self.score.forward(vectors).squeeze_dim(2)
    }
}
