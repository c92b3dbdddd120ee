//! The masked-LM head.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::activation::Activation;
use crate::config::EncoderConfig;
use crate::layers::{LayerNorm, Linear, Table, lazy};

/// `LN(f(h W)) D^T + b`, where f is the activation and D the token table of [`crate::Embeddings`] or a matrix of its own.
///
/// The token table belongs to the embeddings and is handed in. BERT: W is `[H, H]`; ELECTRA's generator: `[H, E]`. ModernBERT: the same
/// without the biases of W and LN.
#[derive(Module, Debug)]
pub struct MaskedLmHead {
    /// `[H, E]`
    pub dense: Linear,
    /// Over E.
    pub norm: LayerNorm,
    /// `[V]`, one per token.
    pub bias: Param<Tensor<1>>,
    /// `[V, E]`: the output layer's own matrix, where it is not tied to the token table.
    pub decoder: Option<Table>,
    #[module(skip)]
    activation: Activation,
}

impl MaskedLmHead {
    pub(crate) fn zeros(
        config: &EncoderConfig,
        activation: Activation,
        untied: bool,
        device: &Device,
    ) -> Self {
        let (hidden, width, epsilon) = (config.hidden_size, config.embedding_size, config.layer_norm_eps);
        let (dense, norm) = match config.modern {
            None => (Linear::zeros(hidden, width, device), LayerNorm::identity(width, epsilon, device)),
            Some(_) => {
                (Linear::without_bias(hidden, width, device), LayerNorm::scale_only(width, epsilon, device))
            }
        };
        Self {
            dense,
            norm,
            bias: lazy([config.vocab_size], 0.0, device),
            decoder: untied.then(|| Table::zeros(config.vocab_size, width, device)),
            activation,
        }
    }

    /// Scores of every token of the vocabulary at the given rows, and nowhere else.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]`, rows: `[P]` flat index `b * L + l`, word: `[V, E]`, not read by an untied head
    /// - output: `[P, V]`, raw logits
    pub fn forward(&self, hidden: Tensor<3>, rows: Tensor<1, Int>, word: Tensor<2>) -> Tensor<2> {
        let [batch, length, width] = hidden.dims();
        let picked = fn_ops::select_rows(hidden.reshape([batch * length, width]), rows);
        let vector = self.norm.forward(self.activation.forward(self.dense.forward(picked)));
        let word = self.decoder.as_ref().map_or(word, |decoder| decoder.weight.val());
        fn_ops::linear(vector, word.transpose(), Some(self.bias.val()))
    }
}
