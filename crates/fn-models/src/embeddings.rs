//! Token, position and segment tables: the only owner of the token table.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_ops::Noise;

use crate::config::EncoderConfig;
use crate::inputs::Inputs;
use crate::layers::{LayerNorm, Table};

/// `dropout(LN(word + segment + position))`; DistilBERT: without segments; ModernBERT: `dropout(LN(word))`.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[V, E]` token table; also the output layer of masked-LM heads.
    pub word: Table,
    /// `[position_offset + max_positions, E]`; none where the layers have rotary positions.
    pub position: Option<Table>,
    /// `[type_vocab, E]`, with one row every token gets it; DistilBERT and ModernBERT have none.
    pub token_type: Option<Table>,
    /// Over E.
    pub norm: LayerNorm,
    dropout: f64,
    #[module(skip)]
    max_positions: usize,
    #[module(skip)]
    position_offset: usize,
}

impl Embeddings {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let (width, epsilon) = (config.embedding_size, config.layer_norm_eps);
        let table = |ids| Table::zeros(ids, width, device);
        Self {
            word: table(config.vocab_size),
            position: config.modern.is_none().then(|| table(config.position_rows())),
            token_type: (config.modern.is_none() && !config.distil).then(|| table(config.type_vocab)),
            norm: match config.modern {
                None => LayerNorm::identity(width, epsilon, device),
                Some(_) => LayerNorm::scale_only(width, epsilon, device),
            },
            dropout: config.modern.as_ref().map_or(config.hidden_dropout, |modern| modern.embedding_dropout),
            max_positions: config.max_positions,
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
        self.sum(words, None, inputs, noise)
    }

    /// [`forward`](Self::forward) with tables that are the sums of `base`'s and this one's; `base`'s get no gradient. The norm is this
    /// one's. With tables that start at zero: gradient-disentangled sharing (He et al. 2021, DeBERTaV3, section 3.2.3).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_over(&self, base: &Self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        // Rows are looked up before they are added: the same sums as of whole tables, of as many rows as there are tokens.
        let of_base = fn_ops::embedding(base.word.weight.val().detach(), inputs.ids.clone());
        self.sum(of_base + self.word.forward(inputs.ids.clone()), Some(base), inputs, noise)
    }

    /// `dropout(LN(words + segment + position))`, of tables that lie over those of `base`.
    fn sum(&self, words: Tensor<3>, base: Option<&Self>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        let ([_, length, _], most) = (words.dims(), self.max_positions);
        assert!(
            length <= most,
            "a sequence of {length} tokens does not fit a model of {most} positions; shorten it or raise `max_positions`"
        );
        let mut sum = words;
        if let Some(table) = &self.token_type {
            let table = over(table, base.and_then(|base| base.token_type.as_ref()));
            sum = sum
                + match table.dims()[0] {
                    1 => table.unsqueeze::<3>(),
                    _ => fn_ops::embedding(table, inputs.token_type.clone()),
                };
        }
        if let Some(table) = &self.position {
            let table = over(table, base.and_then(|base| base.position.as_ref()));
            sum = sum + self.positions(table, inputs, length);
        }
        fn_ops::dropout(self.norm.forward(sum), self.dropout, noise)
    }

    /// Vectors of the positions, `[1, L, E]`, or `[B, L, E]` where they restart with each document.
    ///
    /// RoBERTa counts positions over real tokens only. Rows are padded at their end, so that real tokens get the same ones here; what
    /// padding gets does not matter, as nothing reads it.
    fn positions(&self, table: Tensor<2>, inputs: &Inputs, length: usize) -> Tensor<3> {
        let Some(documents) = &inputs.documents else {
            return table.narrow(0, self.position_offset, length).unsqueeze::<3>();
        };
        let positions: Vec<i32> =
            documents.positions().into_iter().map(|at| (at + self.position_offset) as i32).collect();
        let shape = [positions.len() / length.max(1), length];
        let device = inputs.token_type.device();
        fn_ops::embedding(table, Tensor::<2, Int>::from_data(TensorData::new(positions, shape), &device))
    }
}

/// The values of a table, `[rows, E]`, added to those of the one below it, which get no gradient.
fn over(table: &Table, base: Option<&Table>) -> Tensor<2> {
    match base {
        Some(base) => base.weight.val().detach() + table.weight.val(),
        None => table.weight.val(),
    }
}
