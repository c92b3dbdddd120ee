//! Token, position and segment tables: the only owner of the token table.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_ops::Noise;

use crate::config::EncoderConfig;
use crate::inputs::Inputs;
use crate::layers::{LayerNorm, Table};

/// `dropout(LN(word + segment + position))`.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[V, E]` token table; also the output layer of masked-LM heads.
    pub word: Table,
    /// `[position_offset + max_positions, E]`
    pub position: Table,
    /// `[type_vocab, E]`; with one row every token gets it.
    pub token_type: Table,
    /// Over E.
    pub norm: LayerNorm,
    dropout: f64,
    #[module(skip)]
    position_offset: usize,
}

impl Embeddings {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let width = config.embedding_size;
        Self {
            word: Table::zeros(config.vocab_size, width, device),
            position: Table::zeros(config.position_rows(), width, device),
            token_type: Table::zeros(config.type_vocab, width, device),
            norm: LayerNorm::identity(width, config.layer_norm_eps, device),
            dropout: config.hidden_dropout,
            position_offset: config.position_offset,
        }
    }

    /// Vectors of a batch.
    ///
    /// # Shapes
    /// - inputs: `[B, L]` - output: `[B, L, E]`
    ///
    /// # Panics
    /// When L is larger than the position table, or an id lies outside of its table.
    pub fn forward(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.combine(self.word.forward(inputs.ids.clone()), inputs, noise)
    }

    /// [`forward`](Self::forward) with vectors in place of token ids: `words` `[B, L, E]` may be mixtures of rows of the
    /// token table; `inputs.ids` is not read.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn combine(&self, words: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        let [_, length, _] = words.dims();
        let most = self.position.weight.lazy_shape()[0] - self.position_offset;
        assert!(
            length <= most,
            "a sequence of {length} tokens does not fit a model of {most} positions; shorten it or raise `max_positions`"
        );
        let token_type = match self.token_type.weight.lazy_shape()[0] {
            1 => self.token_type.weight.val().unsqueeze::<3>(),
            _ => self.token_type.forward(inputs.token_type.clone()),
        };
        // RoBERTa counts positions over real tokens only. Rows are padded at their end, so that real tokens get the same ones here;
        // what padding gets does not matter, as nothing reads it.
        let position = self.position.weight.val().narrow(0, self.position_offset, length).unsqueeze::<3>();
        fn_ops::dropout(self.norm.forward(words + token_type + position), self.dropout, noise)
    }
}
