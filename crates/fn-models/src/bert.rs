//! BERT, RoBERTa, DistilBERT, ModernBERT and their relatives: an encoder with a masked-LM head.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_ops::Noise;

use crate::config::BertConfig;
use crate::embeddings::Embeddings;
use crate::encoder::Encoder;
use crate::heads::{MaskedLmHead, Pooler};
use crate::init;
use crate::inputs::{Inputs, Pooling};

/// A bidirectional encoder that predicts masked tokens.
///
/// # Shapes
/// B batch, L length, P masked rows of the batch, V vocabulary, H hidden width (= embedding width).
#[derive(Module, Debug)]
pub struct BertForPreTraining {
    /// Owner of the token table.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: Encoder,
    /// For fine-tuning; masked language modelling gives it no gradient.
    pub pooler: Option<Pooler>,
    /// Tied to the token table or not, as the configuration says.
    pub head: MaskedLmHead,
    #[module(skip)]
    config: BertConfig,
}

impl BertForPreTraining {
    /// Fresh weights: matrices normal(0, `init_std`), biases 0, norms 1 and 0. The same seed gives the same bytes.
    pub fn init(config: &BertConfig, seed: u64, device: &Device) -> Self {
        init::normal(Self::zeros(config, device), seed, |path| init::std(&config.encoder, path))
    }

    /// All matrices zero: to be filled by a loader.
    pub(crate) fn zeros(config: &BertConfig, device: &Device) -> Self {
        let c = &config.encoder;
        Self {
            embeddings: Embeddings::zeros(c, device),
            encoder: Encoder::zeros(c, device),
            pooler: config.pooler.then(|| Pooler::zeros(c.hidden_size, device)),
            head: MaskedLmHead::zeros(c, config.head_activation, config.untied_decoder, device),
            config: config.clone(),
        }
    }

    /// Its sizes.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Hidden vectors, `[B, L, H]`.
    pub fn hidden(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.encoder.forward(self.embeddings.forward(inputs, noise), inputs, noise)
    }

    /// [`hidden`](Self::hidden) of vectors in place of token ids, see [`Embeddings::combine`].
    pub fn hidden_of_words(&self, words: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.encoder.forward(self.embeddings.combine(words, inputs, noise), inputs, noise)
    }

    /// Scores of every token at the masked rows.
    ///
    /// # Shapes
    /// - rows: `[P]` flat index `b * L + l` - output: `[P, V]`, raw logits
    pub fn masked_logits(&self, inputs: &Inputs, rows: Tensor<1, Int>, noise: &Noise) -> Tensor<2> {
        self.head.forward(self.hidden(inputs, noise), rows, self.word_embedding())
    }

    /// The token table, `[V, H]`, with its gradient.
    pub fn word_embedding(&self) -> Tensor<2> {
        self.embeddings.word.weight.val()
    }

    /// One vector per sequence, `[B, H]`: through the pooler where there is one and the first token is asked for.
    pub fn pooled(&self, inputs: &Inputs, pooling: Pooling, noise: &Noise) -> Tensor<2> {
        let hidden = self.hidden(inputs, noise);
        match (&self.pooler, pooling) {
            (Some(pooler), Pooling::FirstToken) => pooler.forward(hidden),
            (_, pooling) => pooling.pool(hidden, inputs.mask.as_ref()),
        }
    }
}
