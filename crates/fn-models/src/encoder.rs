//! The Transformer encoder of BERT and ELECTRA: post-LN layers, dropout where `transformers` has it and nowhere else.
//!
//! One layer:
//! ```text
//! a = LN(x + dropout(W_o attention(W_q x, W_k x, W_v x)))        dropout on the attention weights, too
//! y = LN(a + dropout(W_2 f(W_1 a)))      f: the activation        none between W_1 and W_2
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_ops::Noise;

use crate::activation::Activation;
use crate::config::EncoderConfig;
use crate::layers::{LayerNorm, Linear};

/// Self-attention with its output projection, residual and norm.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[H, H]`
    pub query: Linear,
    /// `[H, H]`
    pub key: Linear,
    /// `[H, H]`
    pub value: Linear,
    /// `[H, H]`
    pub output: Linear,
    /// Over H, after the residual.
    pub norm: LayerNorm,
    heads: usize,
    attention_dropout: f64,
    hidden_dropout: f64,
}

impl Attention {
    fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let width = config.hidden_size;
        let square = || Linear::zeros(width, width, device);
        Self {
            query: square(),
            key: square(),
            value: square(),
            output: square(),
            norm: LayerNorm::identity(width, config.layer_norm_eps, device),
            heads: config.num_heads,
            attention_dropout: config.attention_dropout,
            hidden_dropout: config.hidden_dropout,
        }
    }

    /// # Shapes
    /// - x: `[B, L, H]`, mask: `[B, L]` 1 real, 0 padding - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, mask: Option<Tensor<2>>, noise: &Noise) -> Tensor<3> {
        let query = self.query.forward(x.clone());
        let key = self.key.forward(x.clone());
        let value = self.value.forward(x.clone());
        let mixed = fn_ops::attention(query, key, value, self.heads, mask, self.attention_dropout, noise);
        self.norm.forward_residual(self.output.forward(mixed), x, self.hidden_dropout, noise)
    }
}

/// Two linear maps with an activation (GELU in BERT) between, residual and norm.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[H, F]`
    pub inner: Linear,
    /// `[F, H]`
    pub outer: Linear,
    /// Over H, after the residual.
    pub norm: LayerNorm,
    hidden_dropout: f64,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            inner: Linear::zeros(width, inner, device),
            outer: Linear::zeros(inner, width, device),
            norm: LayerNorm::identity(width, config.layer_norm_eps, device),
            hidden_dropout: config.hidden_dropout,
            activation: config.activation,
        }
    }

    /// # Shapes
    /// - x: `[B, L, H]` - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, noise: &Noise) -> Tensor<3> {
        let inner = self.activation.forward(self.inner.forward(x.clone()));
        self.norm.forward_residual(self.outer.forward(inner), x, self.hidden_dropout, noise)
    }
}

/// One layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// First half: self-attention.
    pub attention: Attention,
    /// Second half: feed-forward.
    pub feed_forward: FeedForward,
}

impl Layer {
    /// # Shapes
    /// - x: `[B, L, H]`, mask: `[B, L]` 1 real, 0 padding - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, mask: Option<&Tensor<2>>, noise: &Noise) -> Tensor<3> {
        self.feed_forward.forward(self.attention.forward(x, mask.cloned(), noise), noise)
    }
}

/// A stack of layers, after a projection of the embeddings where their width is not that of the layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// `[E, H]`, present when the embedding width E is not the hidden width H.
    pub project: Option<Linear>,
    /// In the order in which they are computed.
    pub layers: Vec<Layer>,
}

impl Encoder {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let (embedding, hidden) = (config.embedding_size, config.hidden_size);
        let layer = |_| Layer {
            attention: Attention::zeros(config, device),
            feed_forward: FeedForward::zeros(config, device),
        };
        Self {
            project: (embedding != hidden).then(|| Linear::zeros(embedding, hidden, device)),
            layers: (0..config.num_layers).map(layer).collect(),
        }
    }

    /// # Shapes
    /// - x: `[B, L, E]`, mask: `[B, L]` 1 real, 0 padding - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, mask: Option<&Tensor<2>>, noise: &Noise) -> Tensor<3> {
        self.layers.iter().fold(self.start(x), |x, layer| layer.forward(x, mask, noise))
    }

    /// The input of the first layer, then the output of each layer (`hidden_states` in transformers).
    ///
    /// # Shapes
    /// - x: `[B, L, E]`, mask: `[B, L]` 1 real, 0 padding - output: number of layers + 1 times `[B, L, H]`
    pub fn forward_layers(&self, x: Tensor<3>, mask: Option<&Tensor<2>>, noise: &Noise) -> Vec<Tensor<3>> {
        let mut x = self.start(x);
        let mut all = vec![x.clone()];
        for layer in &self.layers {
            x = layer.forward(x, mask, noise);
            all.push(x.clone());
        }
        all
    }

    /// What leaves the first `layers` layers; the others are not computed. 0: the input of the first layer. More layers than there are
    /// count as all of them.
    ///
    /// # Shapes
    /// - x: `[B, L, E]`, mask: `[B, L]` 1 real, 0 padding - output: `[B, L, H]`
    pub fn forward_first(
        &self,
        x: Tensor<3>,
        layers: usize,
        mask: Option<&Tensor<2>>,
        noise: &Noise,
    ) -> Tensor<3> {
        self.layers.iter().take(layers).fold(self.start(x), |x, layer| layer.forward(x, mask, noise))
    }

    fn start(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.project {
            Some(project) => project.forward(x),
            None => x,
        }
    }
}
