//! The Transformer encoder of BERT and ELECTRA: post-LN layers, dropout where `transformers` has it and nowhere else.
//!
//! One layer:
//! ```text
//! a = LN(x + dropout(W_o attention(W_q x, W_k x, W_v x)))        dropout on the attention weights, too
//! y = LN(a + dropout(W_2 f(W_1 a)))      f: the activation        none between W_1 and W_2
//! ```
//! DistilBERT has no dropout behind W_o.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_ops::{Noise, Reach};

use crate::activation::Activation;
use crate::config::EncoderConfig;
use crate::inputs::Inputs;
use crate::layers::{LayerNorm, Linear};
use crate::modern::ModernLayers;

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
            hidden_dropout: if config.distil { 0.0 } else { config.hidden_dropout },
        }
    }

    /// # Shapes
    /// - x: `[B, L, H]`, inputs: `[B, L]` - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        let mixed = self.mix(x.clone(), inputs, noise);
        self.finish(mixed, x, noise)
    }

    /// Values of all places of the row, mixed for each place: `[B, L, H]`.
    fn mix(&self, x: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        let query = self.query.forward(x.clone());
        let key = self.key.forward(x.clone());
        let value = self.value.forward(x);
        let reach = Reach { window: None, documents: inputs.documents.clone() };
        let (mask, rate) = (inputs.mask.clone(), self.attention_dropout);
        fn_ops::attention_within(query, key, value, self.heads, mask, &reach, rate, noise)
    }

    /// What follows the mixing, each place for itself.
    fn finish(&self, mixed: Tensor<3>, x: Tensor<3>, noise: &Noise) -> Tensor<3> {
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
    /// - x: `[B, L, H]`, inputs: `[B, L]` - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.feed_forward.forward(self.attention.forward(x, inputs, noise), noise)
    }

    /// [`forward`](Self::forward) at `places` only, counted through all rows: the output projection and the feed-forward half, three
    /// quarters of a layer's products, are computed nowhere else.
    ///
    /// # Shapes
    /// - x: `[B, L, H]`, inputs: `[B, L]`, places: `[P]` - output: `[P, H]`
    fn forward_at(&self, x: Tensor<3>, places: Tensor<1, Int>, inputs: &Inputs, noise: &Noise) -> Tensor<2> {
        let mixed = self.attention.mix(x.clone(), inputs, noise);
        let at = |x| select(x, places.clone()).unsqueeze::<3>();
        let x = self.attention.finish(at(mixed), at(x), noise);
        self.feed_forward.forward(x, noise).squeeze_dim(0)
    }
}

/// Vectors `[B, L, H]` at places `[P]`, counted through all rows: `[P, H]`.
fn select(x: Tensor<3>, places: Tensor<1, Int>) -> Tensor<2> {
    let [rows, length, width] = x.dims();
    x.reshape([rows * length, width]).select(0, places)
}

/// A stack of layers, after a projection of the embeddings where their width is not that of the layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// `[E, H]`, present when the embedding width E is not the hidden width H.
    pub project: Option<Linear>,
    /// In the order in which they are computed; none where there are those of ModernBERT.
    pub layers: Vec<Layer>,
    /// Layers as ModernBERT has them.
    pub modern: Option<ModernLayers>,
}

impl Encoder {
    pub(crate) fn zeros(config: &EncoderConfig, device: &Device) -> Self {
        let (embedding, hidden) = (config.embedding_size, config.hidden_size);
        let layer = |_| Layer {
            attention: Attention::zeros(config, device),
            feed_forward: FeedForward::zeros(config, device),
        };
        let modern = config.modern.as_ref().map(|modern| ModernLayers::zeros(config, modern, device));
        Self {
            project: (embedding != hidden).then(|| Linear::zeros(embedding, hidden, device)),
            layers: (0..if modern.is_some() { 0 } else { config.num_layers }).map(layer).collect(),
            modern,
        }
    }

    /// # Shapes
    /// - x: `[B, L, E]`, inputs: `[B, L]`, of which mask and documents are read - output: `[B, L, H]`
    pub fn forward(&self, x: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.forward_first(x, usize::MAX, inputs, noise)
    }

    /// The input of the first layer, then the output of each layer (`hidden_states` in transformers); the last one is what
    /// [`forward`](Self::forward) returns, after ModernBERT's last norm.
    ///
    /// # Shapes
    /// - x: `[B, L, E]`, inputs: `[B, L]` - output: number of layers + 1 times `[B, L, H]`
    pub fn forward_layers(&self, x: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Vec<Tensor<3>> {
        let mut x = self.start(x);
        let mut all = vec![x.clone()];
        if let Some(modern) = &self.modern {
            modern.forward_first(x, usize::MAX, inputs, noise, |x| all.push(x.clone()));
            return all;
        }
        for layer in &self.layers {
            x = layer.forward(x, inputs, noise);
            all.push(x.clone());
        }
        all
    }

    /// What leaves the first `layers` layers at `places`, counted through all rows; nothing else of the last of them is computed, nor are
    /// the layers above. 0: the input of the first layer. More layers than there are count as all of them.
    ///
    /// # Shapes
    /// - x: `[B, L, E]`, inputs: `[B, L]`, places: `[P]` - output: `[P, H]`
    pub fn forward_first_at(
        &self,
        x: Tensor<3>,
        layers: usize,
        inputs: &Inputs,
        places: Tensor<1, Int>,
        noise: &Noise,
    ) -> Tensor<2> {
        match self.layers[..layers.min(self.layers.len())].split_last() {
            Some((last, before)) if self.modern.is_none() => {
                let x = before.iter().fold(self.start(x), |x, layer| layer.forward(x, inputs, noise));
                last.forward_at(x, places, inputs, noise)
            }
            _ => select(self.forward_first(x, layers, inputs, noise), places),
        }
    }

    fn forward_first(&self, x: Tensor<3>, layers: usize, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        let x = self.start(x);
        match &self.modern {
            Some(modern) => modern.forward_first(x, layers, inputs, noise, |_| {}),
            None => {
                let layers = self.layers.iter().take(layers);
                layers.fold(x, |x, layer| layer.forward(inputs.cut(layer, x), inputs, noise))
            }
        }
    }

    fn start(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.project {
            Some(project) => project.forward(x),
            None => x,
        }
    }
}
