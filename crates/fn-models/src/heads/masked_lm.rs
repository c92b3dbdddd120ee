//! The masked-LM head.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::config::EncoderConfig;
use crate::layers::{LayerNorm, Linear, lazy};

/// `LN(gelu(h W)) E^T + b`, where E is the token table of [`crate::Embeddings`].
///
/// E belongs to the embeddings and is handed in. BERT: W is `[H, H]`; ELECTRA's generator: `[H, E]`.
/// ModernBERT: the same without the biases of W and LN.
#[derive(Module, Debug)]
pub struct MaskedLmHead {
    /// `[H, E]`
    pub dense: Linear,
    /// Over E.
    pub norm: LayerNorm,
    /// `[V]`, one per token.
    pub bias: Param<Tensor<1>>,
}

impl MaskedLmHead {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let (hidden, embedding, epsilon) = (config.hidden_size, config.embedding_size, config.layer_norm_eps);
        let (dense, norm) = match config.modern {
            None => {
                (Linear::zeros(hidden, embedding, device), LayerNorm::identity(embedding, epsilon, device))
            }
            Some(_) => (
                Linear::without_bias(hidden, embedding, device),
                LayerNorm::scale_only(embedding, epsilon, device),
            ),
        };
        Self { dense, norm, bias: lazy([config.vocab_size], 0.0, device) }
    }

    /// Scores of every token of the vocabulary at the given rows, and nowhere else.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]`, rows: `[P]` flat index `b * L + l`, word: `[V, E]` - output: `[P, V]`, raw logits
    pub fn forward(&self, hidden: Tensor<3>, rows: Tensor<1, Int>, word: Tensor<2>) -> Tensor<2> {
        let [batch, length, width] = hidden.dims();
        let picked = fn_ops::select_rows(hidden.reshape([batch * length, width]), rows);
        let vector = self.norm.forward(fn_ops::gelu(self.dense.forward(picked)));
        fn_ops::linear(vector, word.transpose(), Some(self.bias.val()))
    }
}
